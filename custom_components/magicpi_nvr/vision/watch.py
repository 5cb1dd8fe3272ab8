"""One event as vision sees it: which pictures to look at, what was found, and what the event is worth. No clock but the camera's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from .grid import CELLS, Box, cells_in, cells_of, grow, part_around
from .model import (
    FLAG_STILL,
    FLAG_WARMING_UP,
    Detection,
    Label,
    Motion,
    Verdict,
    overlap,
)
from .standing import Seen, Still, standing, stands
from .zones import Zones, names

# At most three pictures a second; two once an event is ten seconds old.
INTERVAL_MS: Final = 333
LATER_INTERVAL_MS: Final = 500
# Who was asked for has been seen: one a second finds the best view and the end of the motion.
SURE_INTERVAL_MS: Final = 1_000
# Late frames of the camera's memory have earlier times: so far back they are pictures of their own.
FAR_MS: Final = 5_000
LATER_AFTER_MS: Final = 10_000
QUICK_LOOKS: Final = 2
LOOK_EVERY_MS: Final = 2_000
LATER_LOOK_EVERY_MS: Final = 4_000
FIRST_LOOK_EVERY_MS: Final = 700
FIRST_MOTION_MS: Final = 3_000
# What comes after a pause is looked at at once, whatever is known
SURE_LOOK_EVERY_MS: Final = 20_000
# The last looks of an event are for what moves where nothing has been looked at yet; else one comes so seldom
SPARED_LOOKS: Final = 3
SPARED_LOOK_EVERY_MS: Final = 20_000
NEW_MOTION_AFTER_MS: Final = 1_000
# Who appears three seconds after the wake, and is sure to move by the second picture, is not cut.
QUIET_MS: Final = 3_400
QUIET_PICTURES: Final = 5
# Of an event with so long a stretch of pictures of which nothing is known, nobody can say that it shows nothing.
BLIND_MS: Final = 2_000
SURE_BY: Final = 0.1
# What is this far below its threshold is no detection, but keeps the camera awake for another look.
NEARLY_BY: Final = 0.15
MOVING_LOOKS: Final = 2
SURE_LOOKS: Final = 2
MAX_DETECTIONS: Final = 12
PER_LABEL: Final = 4
_SAME_THING: Final = 0.3
# More than all cells that move can weigh
_NEW_PLACE: Final = 256 * CELLS

DEFAULT_THRESHOLDS: Final[Mapping[Label, float]] = {
    Label.PERSON: 0.45,
    Label.VEHICLE: 0.4,
    Label.ANIMAL: 0.45,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """What is asked of a camera's events. `labels`: what counts; empty: whatever moves."""

    zones: Zones = field(default_factory=Zones)
    labels: frozenset[Label] = frozenset()
    thresholds: Mapping[Label, float] = field(
        default_factory=lambda: DEFAULT_THRESHOLDS
    )
    max_pictures: int = 12
    detects: bool = True


@dataclass(frozen=True, slots=True)
class Look:
    """A picture, or a part of one, that the detector is to look at."""

    t: int
    jpeg: bytes
    crop: Box | None
    moving: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What is known of an event so far. `cells` moved at all; `strength` is the most in one picture, percent."""

    verdict: Verdict | None
    detections: tuple[Detection, ...]
    zones: tuple[str, ...]
    cells: int
    strength: int


class EventWatch:
    """Ask `wants` and `first_look`, say `measured` and `looked`, read `result`, `sure` and `may_sleep`."""

    def __init__(
        self,
        settings: WatchSettings,
        still: Sequence[Still] = (),
        *,
        has_quiet: bool = False,
    ) -> None:
        """Begin with what the camera's earlier events saw standing, and whether they left a quiet picture."""
        self.settings = settings
        self.still = tuple(still)
        self.best: tuple[int, bytes] | None = None  # t and picture of the best view
        self.looks = 0
        self._has_quiet = has_quiet
        self.map = [0] * CELLS
        self._began: int | None = None
        self._due: int | None = None
        self._last_look: int | None = None
        self._last_moving: int | None = None
        self._before = 0  # cells that moved in the picture before
        self._moved = 0
        self._counted = 0  # of these, in zones to watch and in two pictures
        self._unlike = 0
        self._strength = 0
        self._compared = 0
        self._compared_span: tuple[int, int] | None = None
        self._known_to: int | None = (
            None  # the last picture of which something is known
        )
        self._blind = False
        self._longest_blind = 0
        self._open: list[Look] = []
        self._answered = 0
        self._unanswered = 0  # cells that moved where the detector did not answer
        self._moving_looks = 0
        self._sure_of_all = False
        self._moving_since: int | None = None
        self._nearly: list[Seen] = []
        self._looked_at = 0  # cells that the detector has looked at since they moved
        self._seen: list[Seen] = []
        self._candidate: Look | None = None
        self._candidate_weight = 0
        self._best_view = 0.0
        # What _detections was made of: it is asked for with each picture
        self._known: tuple[WatchSettings, int, int] | None = None
        self._detections: tuple[Detection, ...] = ()

    @property
    def pending(self) -> int:
        """How many answers of the detector are still to come."""
        return len(self._open)

    @property
    def _watched(self) -> int:
        return self.settings.zones.watched

    # Pictures in

    def wants(self, t: int, flags: int) -> bool:
        """Say whether to measure a picture, and count it as measured."""
        if flags & (FLAG_STILL | FLAG_WARMING_UP):
            return False
        if self._began is None:
            self._began = t
        if self._due is not None and t < self._due:
            if t > self._due - FAR_MS:
                return False
            self._due = None
        interval = (
            SURE_INTERVAL_MS
            if self._sure_of_all
            else LATER_INTERVAL_MS
            if t - self._began > LATER_AFTER_MS
            else INTERVAL_MS
        )
        # From the last that was due, so that a camera's own rhythm does not add to it
        self._due = max((self._due or t) + interval, t + interval // 2)
        return True

    def first_look(self, t: int, jpeg: bytes) -> Look | None:
        """Return the event's first wanted picture to look at, without waiting for what moved: nothing can have."""
        if not self.settings.detects or self.looks:
            return None
        return self._take(Look(t, jpeg, None, 0), t)

    def measured(self, t: int, jpeg: bytes, motion: Motion) -> list[Look]:
        """Take in a picture's motion; returns what to look at now."""
        self._note_known(t, motion.usable)
        if not motion.usable:
            # Somebody who fills the picture, or the light: no cell tells, so the whole is looked at when it is time
            self._candidate = self._candidate or Look(t, jpeg, None, 0)
            return self._choose(t, is_new=False)
        moving = motion.moved & self._watched
        lasting = moving & grow(self._before)
        self._before = moving
        self._moved |= motion.moved
        self._counted |= lasting
        self._unlike = motion.unlike & self._watched
        self._strength = max(self._strength, motion.strength)
        for column, row in cells_in(motion.moved):
            self.map[row * 16 + column] += 1
        if motion.compared:
            self._compared += 1
            first, last = self._compared_span or (t, t)
            self._compared_span = (min(first, t), max(last, t))
        is_new = bool(lasting) and (
            self._last_moving is None or t - self._last_moving > NEW_MOTION_AFTER_MS
        )
        if is_new:
            self._moving_since = t
        if lasting:
            self._last_moving = t
        if self.looks < QUICK_LOOKS and self.settings.detects:
            if self._last_look is not None and t - self._last_look < INTERVAL_MS // 2:
                return []
            return [self._take(Look(t, jpeg, None, moving), t)]
        self._propose(t, jpeg, motion, moving)
        return self._choose(t, is_new=is_new)

    def unmeasured(self, t: int) -> None:
        """Take in that of a wanted picture nothing will be known."""
        self._note_known(t, False)

    def _note_known(self, t: int, known: bool) -> None:
        if self._known_to is None:
            self._known_to = self._began if self._began is not None else t
        self._blind |= not known
        if self._blind:
            self._longest_blind = max(self._longest_blind, t - self._known_to)
        if known:
            self._known_to, self._blind = t, False

    def _propose(self, t: int, jpeg: bytes, motion: Motion, moving: int) -> None:
        """Keep a picture for the next look if it shows more than the one before."""
        if not self._candidate_weight:
            self._candidate = None
        standing = motion.unlike & self._watched & ~self._looked_at
        weight = motion.weight(self._watched) + standing.bit_count()
        if moving & ~grow(self._looked_at):
            weight += _NEW_PLACE
        if weight > self._candidate_weight:
            self._candidate_weight = weight
            self._candidate = Look(
                t, jpeg, part_around(moving or standing), moving or standing
            )

    def _choose(self, t: int, *, is_new: bool) -> list[Look]:
        if (
            self._candidate is None
            or not self.settings.detects
            or self.looks >= self.settings.max_pictures
        ):
            return []
        since = t - self._last_look if self._last_look is not None else LOOK_EVERY_MS
        if since < self._pace(t, self._candidate, is_new):
            return []
        return [self._take(self._candidate, t)]

    def _pace(self, t: int, look: Look, is_new: bool) -> int:
        assert self._began is not None
        left = self.settings.max_pictures - self.looks
        if left <= SPARED_LOOKS and not look.moving & ~grow(self._looked_at):
            return SPARED_LOOK_EVERY_MS
        if is_new:
            return INTERVAL_MS
        if self._sure_of_all:
            return SURE_LOOK_EVERY_MS
        if self._moving_since is not None and t - self._moving_since < FIRST_MOTION_MS:
            return FIRST_LOOK_EVERY_MS
        if t - self._began > LATER_AFTER_MS:
            return LATER_LOOK_EVERY_MS
        return LOOK_EVERY_MS

    def _take(self, look: Look, now: int) -> Look:
        # Every third part is looked at with all around it: who is near may fill more than what moves
        if look.crop is not None and self.looks % 3 == 1:
            look = replace(look, crop=None)
        self.looks += 1
        self._open.append(look)
        self._last_look = now
        self._candidate, self._candidate_weight = None, 0
        return look

    def last_looks(self) -> list[Look]:
        """Return what is still worth a look at the event's end."""
        if (
            self._candidate is None
            or not self.settings.detects
            or self.looks >= self.settings.max_pictures
            or self._sure_of_all
        ):
            return []
        return [self._take(self._candidate, self._candidate.t)]

    def looked(
        self, look: Look, found: Iterable[tuple[Label, float, Box]] | None
    ) -> bool:
        """Take in an answer of the detector, None when there was none; True when something came of it."""
        self._open.remove(look)
        if found is None:
            self._unanswered |= look.moving
            if self.looks <= QUICK_LOOKS:
                # No quick answer: the next picture is to give it
                self.looks -= 1
            return False
        self._answered += 1
        self._looked_at |= cells_of(look.crop) if look.crop else look.moving
        self._unanswered &= ~self._looked_at
        self._moving_looks += bool(look.moving)
        news = False
        view = 0.0
        for label, score, box in found:
            if self.settings.zones.ignores(box):
                continue
            seen = Seen(label, score, box, look.t)
            if score < self.settings.thresholds[label]:
                self._nearly.append(seen)
                continue
            self._seen.append(seen)
            news = True
            if self.settings.zones.watches(box) and not self._stands(seen):
                # Persons first: a face at the door says more than the car that brought it
                bonus = 0.3 if label is Label.PERSON else 0.0
                view = max(view, score + bonus + 0.5 * (box[2] * box[3]) ** 0.5)
        self._sure_of_all = self._is_sure_of_all()
        if view > self._best_view:
            self._best_view = view
            self.best = (look.t, look.jpeg)
        return news

    # What is known

    def _stands(self, seen: Seen) -> bool:
        return stands(seen, self.still, self._moved | self._unlike)

    def _is_new(self, seen: Seen) -> bool:
        """Say whether something moves there, or is not known to look as ever."""
        return not self._has_quiet or bool(
            cells_of(seen.box) & (self._moved | self._unlike)
        )

    def _is_sure(self, seen: Seen) -> bool:
        """Say whether one look is enough, or whether another saw the same thing."""
        threshold = self.settings.thresholds[seen.label]
        if seen.score >= threshold + SURE_BY:
            return True
        looks = {
            other.t
            for other in self._seen
            if other.label is seen.label and other.score >= threshold
        }
        return len(looks) >= SURE_LOOKS

    def sure(self) -> dict[Label, Detection]:
        """Return the best sure detection of each label that counts."""
        found: dict[Label, Detection] = {}
        for detection in self.detections():
            if detection.counts and detection.label not in found:
                found[detection.label] = detection
        return found

    def _is_sure_of_all(self) -> bool:
        return (self.settings.labels or {Label.PERSON}) <= self.sure().keys()

    def detections(self) -> tuple[Detection, ...]:
        """Return what was seen, the best view of each thing, best first."""
        known = (self.settings, len(self._seen), self._moved | self._unlike)
        if known != self._known:
            self._known, self._detections = known, self._group()
        return self._detections

    def _group(self) -> tuple[Detection, ...]:
        zones = self.settings.zones
        groups: list[list[Seen]] = []
        for seen in sorted(self._seen, key=lambda item: -item.score):
            for group in groups:
                if group[0].label is seen.label and any(
                    overlap(other.box, seen.box) > _SAME_THING for other in group
                ):
                    group.append(seen)
                    break
            else:
                groups.append([seen])
        result: list[Detection] = []
        per_label = dict.fromkeys(Label, 0)
        for group in groups:
            best = group[0]
            per_label[best.label] += 1
            if per_label[best.label] > PER_LABEL:
                continue
            still = all(self._stands(seen) for seen in group)
            result.append(
                Detection(
                    label=best.label,
                    score=best.score,
                    box=_clip(best.box),
                    zones=names(zones.around(seen.box) for seen in group),
                    t=best.t,
                    still=still,
                    counts=not still
                    and self._is_sure(best)
                    and any(zones.watches(seen.box) for seen in group),
                )
            )
        return tuple(result[:MAX_DETECTIONS])

    @property
    def asked(self) -> dict[Label, float]:
        """The scores from which on the detector is to answer."""
        return {
            label: max(0.1, threshold - NEARLY_BY)
            for label, threshold in self.settings.thresholds.items()
        }

    def _uses_labels(self) -> bool:
        return bool(self.settings.labels) and self._answered > 0

    def verdict(self) -> Verdict | None:
        """Return what the event is worth so far; None when too little was looked at."""
        sure = self.sure()
        if self._uses_labels():
            if any(label in self.settings.labels for label in sure):
                return Verdict.SEEN
            unanswered = self._unanswered
            for look in self._open:
                unanswered |= look.moving
            if unanswered & self._counted:
                # Where the detector does not answer, motion counts
                return Verdict.SEEN
        elif self._counted or sure:
            return Verdict.SEEN
        if self._compared < QUIET_PICTURES or self._longest_blind >= BLIND_MS:
            return None
        return Verdict.NOTHING_SEEN

    def result(self) -> Result:
        """Return all that is known."""
        detections = self.detections()
        return Result(
            verdict=self.verdict(),
            detections=detections,
            zones=names(
                (
                    *(item.zones for item in detections if item.counts),
                    self.settings.zones.touched(self._counted),
                )
            ),
            cells=self._moved,
            strength=self._strength,
        )

    def may_sleep(self) -> bool:
        """Say whether enough was looked at to send the camera back to sleep."""
        first, last = self._compared_span or (0, 0)
        if (
            last - first < QUIET_MS
            or self.pending
            or self._blind
            or self.verdict() is not Verdict.NOTHING_SEEN
        ):
            return False
        if self._uses_labels():
            # What moves has been looked at, and nothing was nearly what is asked for
            nearly = any(
                seen.label in self.settings.labels
                and self.settings.zones.watches(seen.box)
                and not self._stands(seen)
                for seen in (
                    *self._seen,
                    *(seen for seen in self._nearly if self._is_new(seen)),
                )
            )
            unseen = (self._counted | self._before | self._unlike) & ~grow(
                self._looked_at
            )
            if self._counted and self._moving_looks < MOVING_LOOKS:
                return False
            if self._answered < min(QUICK_LOOKS, self.settings.max_pictures):
                return False
            return not nearly and not unseen
        seen = grow(self._looked_at) if self._answered else 0
        return not (self._before | self._unlike & ~seen)

    def standing(self) -> tuple[Still, ...]:
        """Return what the camera's next event is to take for standing."""
        return standing(
            (*self._seen, *self._nearly),
            self.still,
            moved=self._moved,
            answered=bool(self._answered),
        )


def _clip(box: Box) -> Box:
    x, y, w, h = box
    left, top = max(0.0, x), max(0.0, y)
    return (left, top, min(1.0, x + w) - left, min(1.0, y + h) - top)
