"""Which frame stands for an event: decided from sizes alone, nothing is decoded."""

from ..model import FLAG_WARMING_UP

# The first frames after a wake are green or dark even where the camera does not say so.
_UNSETTLED = 3
_FOLLOW = 0.1
_PREFERRED = 4


class ThumbnailChooser:
    """Keeps the best frame so far.

    A sharp picture is a larger JPEG than a blurred, dark or green one of the same scene, and something that
    moves into the scene changes the size, in either direction. So the size and its distance from what is
    usual are what counts.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.best: bytes | None = None
        self.score = 0.0
        self._rank = 0
        self._seen = 0
        self._usual = 0.0

    def offer(self, jpeg: bytes, flags: int) -> None:
        """Look at one frame of the event, in order."""
        self._seen += 1
        size = float(len(jpeg))
        if flags & FLAG_WARMING_UP:
            rank = 1
        elif self._seen <= _UNSETTLED:
            rank = 2
        else:
            rank = 3
            self._usual = self._usual or size
        score = size + 2 * abs(size - self._usual) if rank == 3 else size
        if rank == 3:
            self._usual += _FOLLOW * (size - self._usual)
        if (rank, score) > (self._rank, self.score):
            self._rank, self.score, self.best = rank, score, jpeg

    def prefer(self, jpeg: bytes) -> None:
        """Take a picture that somebody has looked into; the last one given stays."""
        self._rank, self.best = _PREFERRED, jpeg
        # More than enough to take the place of any that is on disk
        self.score = max(self.score, float(len(jpeg))) * 2

    def is_settled(self) -> bool:
        """Whether the best is better than nothing."""
        return self._rank >= 3
