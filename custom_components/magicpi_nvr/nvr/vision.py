"""Joins vision with gateway and recordings: frames in; what is seen, findings and early sleep out. Imported only where detection is on."""

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.event import (
    async_track_time_change,
    async_track_time_interval,
)

from ..const import LOGGER, WHEN_NOTHING_STOP
from ..gateway import Camera, CameraAsleep, CommandFailed, Frame
from ..options import CameraOptions, NvrOptions
from ..recording import NO_FINDINGS, Event, Findings, RecordingError, event_id
from ..vision.model import Label, Motion
from ..vision.standing import Still
from ..vision.watch import BLIND_MS, EventWatch, Look, WatchSettings
from ..vision.weights import ADDRESS
from ..vision.zones import InvalidZone, Zones
from .changes import Changes, NvrChange, Sighting
from .detector import Detector
from .entries import Entries
from .false_alarms import FalseAlarms
from .findings import detection_of, findings_of, merged, without_nothing
from .issues import Issues
from .recordings import Recordings
from .stores import NvrSettings

SILENCE: Final = 6.0
SILENCE_ROUND: Final = timedelta(seconds=2)
# What a finished event waits for at most before its clip is announced without an answer
PATIENCE: Final = 8.0
MAX_FINISHED: Final = 256
MAX_RUNNING: Final = 256
# Pictures of somebody who watches belong to no event; they are looked at in turns of this many milliseconds
LIVE_TURN_MS: Final = 30_000


@dataclass(slots=True)
class CameraMemory:
    """What a camera's events leave to the next."""

    quiet: bytes | None = None
    still: tuple[Still, ...] = ()
    seen: set[Label] = field(default_factory=set)


@dataclass(slots=True)
class RunningEvent:
    """An event that is being looked at."""

    id: str
    camera: str
    boot: int
    number: int
    watch: EventWatch
    first_t: int
    first_ms: int
    last_t: int
    last_arrival: float
    last_active_t: int
    done: asyncio.Future[Findings]
    announced: set[Label] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    best_t: int | None = None
    ended: bool = False
    sent_to_sleep: bool = False


class Vision:
    """Looks at the pictures of all cameras; one child for all."""

    def __init__(
        self,
        hass: HomeAssistant,
        options: NvrOptions,
        *,
        settings: NvrSettings,
        entries: Entries,
        changes: Changes,
        issues: Issues,
        recordings: Recordings,
        address: str = ADDRESS,
    ) -> None:
        """Prepare; nothing is started before `async_start`."""
        self._hass = hass
        self._options = options
        self.false_alarms = FalseAlarms(settings)
        self._entries = entries
        self._changes = changes
        self._recordings = recordings
        self._detector = Detector(hass, issues, address)
        self.worker = self._detector.worker
        self._events: dict[str, RunningEvent] = {}
        # What came of an event, and from when on it was looked at
        self._finished: OrderedDict[str, tuple[int, Findings]] = OrderedDict()
        self._memory: dict[str, CameraMemory] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsubscribe: list[CALLBACK_TYPE] = []
        self._closed = False

    # ---- life ----

    @callback
    def start(self) -> None:
        """Look at what moves at once, and for things as soon as the detector is there."""
        self._recordings.annotate = self.async_annotate
        self._unsubscribe = [
            async_track_time_interval(
                self._hass, self._end_silent, SILENCE_ROUND, cancel_on_shutdown=True
            ),
            async_track_time_change(
                self._hass, self._begin_day, hour=0, minute=0, second=0
            ),
        ]
        self._detector.prepare()

    async def async_stop(self) -> None:
        """End the child and all that waits for it."""
        self._closed = True
        self._recordings.annotate = None
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        for running in self._events.values():
            if not running.done.done():
                running.done.set_result(findings_of(running.watch.result()))
        await self._detector.async_stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._events.clear()
        for memory in self._memory.values():
            memory.seen.clear()
        self._changes.notify(NvrChange.VISION)

    # ---- settings ----

    def _settings(self, camera_id: str) -> WatchSettings:
        entry = self._entries.camera(camera_id)
        camera = CameraOptions.from_mapping(entry.options if entry else {})
        options = self._options
        try:
            zones = Zones.from_list(self._entries.zones(camera_id))
        except InvalidZone as err:
            LOGGER.warning("The zones of %s are not used: %s", camera_id, err)
            zones = Zones()
        return WatchSettings(
            zones=zones,
            labels=frozenset(
                Label(name) for name in camera.what_counts if name in set(Label)
            ),
            thresholds={
                Label.PERSON: options.person_score / 100,
                Label.VEHICLE: options.vehicle_score / 100,
                Label.ANIMAL: options.animal_score / 100,
            },
            max_pictures=options.max_pictures,
            detects=self.worker.detects,
        )

    def _stops_early(self, camera_id: str) -> bool:
        entry = self._entries.camera(camera_id)
        options = CameraOptions.from_mapping(entry.options if entry else {})
        return options.when_nothing_seen == WHEN_NOTHING_STOP

    # ---- what entities show ----

    def sees(self, camera_id: str, label: str) -> bool:
        """Say whether something of a label is being seen."""
        memory = self._memory.get(camera_id)
        return memory is not None and label in memory.seen

    def picture(self, event: str) -> bytes | None:
        """Return the best picture of an event that is being looked at."""
        running = self._events.get(event)
        return running.watch.best[1] if running and running.watch.best else None

    @callback
    def _begin_day(self, _now: datetime) -> None:
        """Show the counters of a day that has just begun."""
        self._changes.notify(NvrChange.VISION)

    @callback
    def forget(self, camera_id: str) -> None:
        """Forget a camera that was removed."""
        self._memory.pop(camera_id, None)

    def _remember(self, camera_id: str) -> CameraMemory:
        return self._memory.setdefault(camera_id, CameraMemory())

    # ---- frames ----

    @callback
    def camera_woke(self, camera: Camera) -> None:
        """Have the child ready when the first picture is here."""
        if not self._closed and camera.hello and camera.hello.reason == "pir":
            self._run_alone(self.worker.warm())

    @callback
    def frame_received(self, camera: Camera, frame: Frame) -> None:
        """Look at a frame when its turn has come; costs next to nothing when it has not."""
        name = event_id(camera.id, frame.boot, frame.event)
        if (running := self._events.get(name)) is None:
            if self._closed or len(self._events) >= MAX_RUNNING:
                return
            running = self._begin(name, camera, frame)
        elif not frame.event and frame.t - running.first_t > LIVE_TURN_MS:
            self._end(running)
            return
        if running.ended:
            return
        running.last_arrival = monotonic()
        running.last_t = frame.t
        if camera.motion:
            running.last_active_t = frame.t
        if running.watch.wants(frame.t, frame.flags):
            if look := running.watch.first_look(frame.t, frame.jpeg):
                self._run(running, self._async_look(running, camera, look))
            self._run(running, self._async_measure(running, camera, frame))

    def _begin(self, name: str, camera: Camera, frame: Frame) -> RunningEvent:
        memory = self._remember(camera.id)
        running = self._events[name] = RunningEvent(
            id=name,
            camera=camera.id,
            boot=frame.boot,
            number=frame.event,
            watch=EventWatch(
                self._settings(camera.id),
                memory.still,
                has_quiet=memory.quiet is not None,
            ),
            first_t=frame.t,
            first_ms=frame.captured_ms,
            last_t=frame.t,
            last_arrival=monotonic(),
            last_active_t=frame.t,
            done=self._hass.loop.create_future(),
        )
        self.worker.open(name, memory.quiet)
        return running

    @callback
    def _run(self, running: RunningEvent, work: Coroutine[Any, Any, None]) -> None:
        task = self._hass.async_create_background_task(work, "magicpi_nvr vision")
        for tasks in (self._tasks, running.tasks):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _async_measure(
        self, running: RunningEvent, camera: Camera, frame: Frame
    ) -> None:
        motion: Motion | None = await self.worker.motion(running.id, frame.jpeg)
        if running.done.done():
            return
        if motion is None:
            running.watch.unmeasured(frame.t)
            return
        for look in running.watch.measured(frame.t, frame.jpeg, motion):
            self._run(running, self._async_look(running, camera, look))
        self._consider(running, camera)

    async def _async_look(
        self, running: RunningEvent, camera: Camera | None, look: Look
    ) -> None:
        found = None
        try:
            found = await self.worker.detect(
                look.jpeg, crop=look.crop, thresholds=running.watch.asked
            )
        finally:
            running.watch.looked(look, found)
        self._announce(running)
        if camera is not None:
            self._consider(running, camera)

    @callback
    def _announce(self, running: RunningEvent) -> None:
        """Say what is surely seen, once per event and label, and which picture shows it best."""
        best = running.watch.best
        if best and best[0] != running.best_t and running.number:
            running.best_t = best[0]
            self._recordings.recorder.prefer_thumbnail(
                running.camera, running.boot, running.number, best[1]
            )
        for label, detection in running.watch.sure().items():
            if label in running.announced:
                continue
            running.announced.add(label)
            if not running.ended:
                self._remember(running.camera).seen.add(label)
            self._changes.notify(NvrChange.VISION)
            self._changes.notify_sighting(
                Sighting(running.camera, running.id, detection_of(detection))
            )

    # ---- early sleep ----

    @callback
    def _consider(self, running: RunningEvent, camera: Camera) -> None:
        """Send the camera back to sleep when its pictures show nothing that was asked for."""
        if (
            running.sent_to_sleep
            or running.ended
            or not running.number
            or camera.session is None
            or not camera.sleeps
            or camera.viewers
            or camera.stay_awake_s
            or camera.event != running.number
            or self._recordings.manual.is_running(camera.id)
            or not self._stops_early(camera.id)
            or not running.watch.may_sleep()
        ):
            return
        running.sent_to_sleep = True
        self._run(running, self._async_send_to_sleep(running, camera))

    async def _async_send_to_sleep(self, running: RunningEvent, camera: Camera) -> None:
        try:
            await camera.command("sleep")
        except (CameraAsleep, CommandFailed) as err:
            LOGGER.debug("%s does not go to sleep early: %s", camera.id, err)
            return
        frame = camera.latest
        since = frame.t - running.last_active_t if frame else 0
        stays = int(camera.config.effective("stream_duration_s"))
        left = stays - max(0, since) / 1000
        self.false_alarms.count_saved(camera.id, max(0.0, left))
        self._changes.notify(NvrChange.VISION)

    # ---- the end of an event ----

    @callback
    def event_ended(self, camera: Camera, boot: int, event: int) -> None:
        """Take in that the camera ended an event."""
        if running := self._events.get(event_id(camera.id, boot, event)):
            self._end(running)

    @callback
    def _end_silent(self, _now: Any) -> None:
        """End events whose camera sends nothing any more."""
        before = monotonic() - SILENCE
        for running in list(self._events.values()):
            if not running.ended and running.last_arrival < before:
                self._end(running)

    @callback
    def _end(self, running: RunningEvent) -> None:
        if running.ended:
            return
        running.ended = True
        self._run_alone(self._async_finish(running))

    @callback
    def _run_alone(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._hass.async_create_background_task(work, "magicpi_nvr vision")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _async_finish(self, running: RunningEvent) -> None:
        """Wait for the answers that are due, look once more, and keep what the next event needs."""
        try:
            async with asyncio.timeout(PATIENCE):
                while running.tasks:
                    await asyncio.wait(running.tasks)
                for look in running.watch.last_looks():
                    await self._async_look(running, None, look)
                quiet = await self.worker.finish(running.id)
                memory = self._remember(running.camera)
                memory.quiet = quiet
                memory.still = running.watch.standing()
        except TimeoutError:
            LOGGER.debug("Event %s ends before all was looked at", running.id)
            running.watch.unmeasured(running.last_t)
        finally:
            findings = findings_of(running.watch.result())
            self._events.pop(running.id, None)
            self._settle(running, findings)
            if not running.done.done():
                running.done.set_result(findings)
            self._changes.notify(NvrChange.VISION)

    @callback
    def _settle(self, running: RunningEvent, findings: Findings) -> None:
        """Take in what came of an event."""
        if self._entries.camera(running.camera) is None:
            # It was removed meanwhile
            self.forget(running.camera)
            return
        self._remember(running.camera).seen = {
            label
            for other in self._events.values()
            if other.camera == running.camera and not other.ended
            for label in other.announced
        }
        if not running.number:
            return
        self.false_alarms.judge(running.id, running.camera, findings.verdict)
        # An earlier part of it may wait for the same clip
        first_ms, before = self._finished.get(
            running.id, (running.first_ms, NO_FINDINGS)
        )
        self._finished[running.id] = (
            min(first_ms, running.first_ms),
            merged(before, findings),
        )
        if len(self._finished) > MAX_FINISHED:
            self._finished.popitem(last=False)

    async def async_annotate(self, event: Event) -> Event:
        """Return a finished event with what was found in it, which is written first."""
        first_ms, findings = event.start_ms, NO_FINDINGS
        if running := self._events.get(event.id):
            self._end(running)
            async with asyncio.timeout(PATIENCE + 1):
                first_ms, findings = (
                    running.first_ms,
                    await asyncio.shield(running.done),
                )
        first_ms, findings = self._finished.pop(event.id, (first_ms, findings))
        if findings == NO_FINDINGS:
            return event
        try:
            known = await self._recordings.library.event(event.id)
            if known:
                if (
                    known.findings.verdict is None
                    and first_ms >= event.start_ms + BLIND_MS
                ):
                    # Detection, or Home Assistant, began within it
                    findings = without_nothing(findings)
                findings = merged(known.findings, findings)
            return await self._recordings.library.note_findings(event.id, findings)
        except RecordingError as err:
            LOGGER.debug("Findings of %s are not kept: %s", event.id, err)
            return event

    def nothing_seen_days(self, camera_id: str) -> int:
        """Return for how many days events in which nothing was seen are kept; 0: not at all."""
        entry = self._entries.camera(camera_id)
        options = CameraOptions.from_mapping(entry.options if entry else {})
        return options.nothing_seen_days
