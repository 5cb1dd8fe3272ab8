"""Whole events through a real child, as Home Assistant's side sends them, without waiting for the camera's clock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from custom_components.magicpi_nvr.vision.model import Label
from custom_components.magicpi_nvr.vision.standing import Still
from custom_components.magicpi_nvr.vision.watch import (
    EventWatch,
    Look,
    Result,
    WatchSettings,
)
from custom_components.magicpi_nvr.vision.worker import Worker

PERSONS = WatchSettings(labels=frozenset({Label.PERSON}))
ANYTHING = WatchSettings(labels=frozenset(Label))


@dataclass(frozen=True, slots=True)
class Past:
    """What a camera's event leaves to the next one."""

    quiet: bytes | None = None
    still: tuple[Still, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an event; times are milliseconds from its first picture."""

    result: Result
    sleeps_at: int | None
    sure_at: dict[Label, int]
    looks: int
    past: Past

    @property
    def labels(self) -> set[str]:
        """The labels that count."""
        return {str(item.label) for item in self.result.detections if item.counts}


async def run_event(
    worker: Worker,
    pictures: Iterable[bytes],
    settings: WatchSettings = WatchSettings(),
    *,
    fps: int = 3,
    past: Past = Past(),
    name: str = "event",
) -> Outcome:
    """Run an event and return what came of it."""
    watch = EventWatch(settings, past.still, has_quiet=past.quiet is not None)
    worker.open(name, past.quiet)
    sleeps_at: int | None = None
    sure_at: dict[Label, int] = {}
    t = 0

    async def look(looks: Sequence[Look]) -> None:
        for item in looks:
            found = await worker.detect(
                item.jpeg, crop=item.crop, thresholds=watch.asked
            )
            watch.looked(item, found)
            for label in watch.sure():
                sure_at.setdefault(label, t)

    for number, jpeg in enumerate(pictures):
        t = number * 1000 // fps
        if not watch.wants(t, 0):
            continue
        if first := watch.first_look(t, jpeg):
            await look((first,))
        if (motion := await worker.motion(name, jpeg)) is None:
            watch.unmeasured(t)
            continue
        await look(watch.measured(t, jpeg, motion))
        if sleeps_at is None and watch.may_sleep():
            sleeps_at = t
    await look(watch.last_looks())
    return Outcome(
        watch.result(),
        sleeps_at,
        sure_at,
        watch.looks,
        Past(await worker.finish(name), watch.standing()),
    )
