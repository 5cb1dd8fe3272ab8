"""Which frame stands for an event."""

from custom_components.magicpi_nvr.recording.capture.thumbnail import ThumbnailChooser
from custom_components.magicpi_nvr.recording.model import FLAG_WARMING_UP


def _choose(*frames: tuple[int, int]) -> int | None:
    """Return the position of the chosen frame; frames are (size, flags)."""
    chooser = ThumbnailChooser()
    jpegs = [bytes([i]) * size for i, (size, _) in enumerate(frames)]
    for jpeg, (_, flags) in zip(jpegs, frames, strict=True):
        chooser.offer(jpeg, flags)
    return None if chooser.best is None else chooser.best[0]


def test_choice() -> None:
    """Frames of a settled sensor before any other, then the sharp and the unusual."""
    warm = FLAG_WARMING_UP
    assert _choose() is None
    assert _choose((500, warm), (900, warm)) == 1
    assert _choose((900, warm), (500, 0)) == 1
    assert _choose((900, 0), (800, 0), (700, 0), (300, 0)) == 3
    # Sharper than its neighbors.
    assert _choose(*((400, 0),) * 8, (430, 0), (390, 0)) == 8
    # Something dark in front of a rich scene.
    assert _choose(*((400, 0),) * 8, (395, 0), (250, 0), (398, 0)) == 9
    # A large frame of a sensor that warms up does not count.
    assert _choose(*((400, 0),) * 5, (2000, warm), (410, 0)) == 6
