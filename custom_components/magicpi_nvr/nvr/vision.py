"""Joins vision with gateway and recordings: frames in; what is seen, findings and early sleep out. Imported only where detection is on.

Long because all that an event's pictures lead to is decided here.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
import importlib
from pathlib import Path
from time import monotonic
from typing import Any, Final

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.event import (
    async_track_time_change,
    async_track_time_interval,
)
from homeassistant.requirements import RequirementsNotFound, async_process_requirements
from homeassistant.util import dt as dt_util

from ..const import DOMAIN, FOLDER, LOGGER, WHEN_NOTHING_STOP
from ..gateway import Camera, CameraAsleep, CommandFailed, Frame
from ..options import CameraOptions, NvrOptions
from ..recording import (
    NO_FINDINGS,
    NOTHING_SEEN,
    Detection,
    Event,
    Findings,
    RecordingError,
    event_id,
)
from ..vision.model import Detection as Seen, Label, Motion
from ..vision.watch import EventWatch, Look, Still, WatchSettings
from ..vision.weights import ADDRESS, DownloadFailed, WrongModel, fetch_model
from ..vision.worker import ProblemKind, Worker
from ..vision.zones import InvalidZone, Zones
from .changes import Changes, NvrChange, Sighting
from .entries import Entries
from .issues import Issues
from .recordings import Recordings
from .stores import NvrSettings

# The one neural runtime with wheels for Home Assistant's images
REQUIREMENT: Final = "ncnn==1.0.20261020"
ISSUE: Final = "vision"
RETRY: Final = 1800.0
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
        self._store = settings
        self._entries = entries
        self._changes = changes
        self._issues = issues
        self._recordings = recordings
        self._address = address
        self.folder = Path(hass.config.path(FOLDER, "models"))
        self.worker = Worker(None, on_problem=self._handle_problem)
        self._events: dict[str, RunningEvent] = {}
        self._finished: OrderedDict[str, Findings] = OrderedDict()
        self._memory: dict[str, CameraMemory] = {}
        self._alarms: deque[str] = deque(maxlen=MAX_FINISHED)
        self._preparing: asyncio.Task[None] | None = None
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
        self._preparing = self._hass.async_create_background_task(
            self._async_prepare(), "magicpi_nvr vision"
        )

    async def async_stop(self) -> None:
        """End the child and all that waits for it."""
        self._closed = True
        self._recordings.annotate = None
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        if self._preparing:
            self._preparing.cancel()
        for running in self._events.values():
            if not running.done.done():
                running.done.set_result(self._findings(running))
        await self.worker.stop()
        tasks = [*self._tasks, *([self._preparing] if self._preparing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._events.clear()
        for memory in self._memory.values():
            memory.seen.clear()
        self._issues.clear(ISSUE)
        self._changes.notify(NvrChange.VISION)

    async def _async_prepare(self) -> None:
        """Install the runtime and fetch the model, again and again while that fails."""
        while True:
            try:
                await async_process_requirements(
                    self._hass, DOMAIN, [REQUIREMENT], is_built_in=False
                )
                importlib.invalidate_caches()
                model = await fetch_model(
                    async_get_clientsession(self._hass),
                    self.folder,
                    address=self._address,
                )
            except RequirementsNotFound as err:
                self._report("vision_no_runtime", ", ".join(err.requirements))
            except WrongModel as err:
                # A person may put the right one there, and a login page of a network goes away
                self._report("vision_wrong_model", str(self.folder / str(err)))
            except DownloadFailed as err:
                self._report("vision_no_model", str(err))
            else:
                self.worker.set_model(model)
                self._issues.clear(ISSUE)
                return
            await asyncio.sleep(RETRY)

    @callback
    def _handle_problem(self, problem: ProblemKind | None, detail: str) -> None:
        if problem is None:
            self._issues.clear(ISSUE)
        else:
            self._report("vision_crash_loop", detail or "-")

    @callback
    def _report(self, key: str, detail: str) -> None:
        LOGGER.warning("The detector does not run (%s): %s", key, detail)
        self._issues.report(
            key,
            issue_id=ISSUE,
            detail=detail,
            folder=str(self.folder),
            requirement=REQUIREMENT,
        )

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

    def false_alarms(self, camera_id: str) -> int:
        """Return how many events of the local day showed nothing."""
        return int(self._today(camera_id)["false_alarms"])

    def saved_s(self, camera_id: str) -> float:
        """Return for how many seconds of the local day the camera slept instead of recording nothing."""
        return float(self._today(camera_id)["saved_s"])

    def _today(self, camera_id: str) -> dict[str, Any]:
        """Return the counters of the local day, which outlive a restart."""
        today = dt_util.now().date().isoformat()
        counters = self._store.false_alarms
        begun = {"day": today, "false_alarms": 0, "saved_s": 0.0}
        stored = counters.get(camera_id, {})
        if stored.get("day") != today or stored.keys() != begun.keys():
            counters[camera_id] = begun
        return counters[camera_id]

    @callback
    def _count(self, camera_id: str, name: str, more: float) -> None:
        self._today(camera_id)[name] += more
        self._store.save()

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
        if motion is None or running.done.done():
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
                Sighting(running.camera, running.id, _detection(detection))
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
        self._count(camera.id, "saved_s", max(0.0, left))
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
        finally:
            findings = self._findings(running)
            self._events.pop(running.id, None)
            memory = self._remember(running.camera)
            memory.seen = {
                label
                for other in self._events.values()
                if other.camera == running.camera and not other.ended
                for label in other.announced
            }
            if running.number:
                if findings.verdict == NOTHING_SEEN and running.id not in self._alarms:
                    # Once, whatever of it comes later
                    self._alarms.append(running.id)
                    self._count(running.camera, "false_alarms", 1)
                self._finished[running.id] = findings
                if len(self._finished) > MAX_FINISHED:
                    self._finished.popitem(last=False)
            if not running.done.done():
                running.done.set_result(findings)
            self._changes.notify(NvrChange.VISION)

    def _findings(self, running: RunningEvent) -> Findings:
        result = running.watch.result()
        return Findings(
            verdict=None if result.verdict is None else str(result.verdict),
            zones=result.zones,
            strength=result.strength,
            detections=tuple(map(_detection, result.detections)),
        )

    async def async_annotate(self, event: Event) -> Event:
        """Return a finished event with what was found in it, which is written first."""
        findings = self._finished.pop(event.id, None)
        if running := self._events.get(event.id):
            self._end(running)
            async with asyncio.timeout(PATIENCE + 1):
                findings = await asyncio.shield(running.done)
            self._finished.pop(event.id, None)
        if findings is None or findings == NO_FINDINGS:
            return event
        try:
            known = await self._recordings.library.event(event.id)
            if known:
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


def merged(before: Findings, now: Findings) -> Findings:
    """Return findings of an event of which more came later."""
    if before == NO_FINDINGS:
        return now
    verdicts = {before.verdict, now.verdict}
    best = sorted(
        dict.fromkeys((*before.detections, *now.detections)),
        key=lambda item: -item.score,
    )
    return Findings(
        verdict=(
            "seen"
            if "seen" in verdicts
            else NOTHING_SEEN
            if NOTHING_SEEN in verdicts
            else None
        ),
        zones=tuple(dict.fromkeys((*before.zones, *now.zones))),
        strength=max(before.strength, now.strength),
        detections=tuple(best[:24]),
    )


def _detection(seen: Seen) -> Detection:
    return Detection(
        label=str(seen.label),
        score=round(seen.score, 2),
        box=(
            round(seen.box[0], 4),
            round(seen.box[1], 4),
            round(seen.box[2], 4),
            round(seen.box[3], 4),
        ),
        zones=seen.zones,
        still=seen.still,
        counts=seen.counts,
    )
