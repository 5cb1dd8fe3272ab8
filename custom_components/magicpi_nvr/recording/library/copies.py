"""Copies of events at targets: what they are made of, remote events in the index, bringing one back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import ClipGone, EventNotFound, EventProtected, StorageFailed
from ..files import replace_file
from ..hourfile import HourFileError
from ..model import ClipSpec, Event, StoredSegment
from .annotate import write_note
from .backend import Backend
from .clips import Clips
from .layout import HourPath
from .notes import NOTHING, Note, read_findings
from .outline import outline_of, stored_as_dict, stored_from_dict
from .playback import VirtualFile
from .remote_rows import RemoteEvent
from .restore import restore
from .source import RemoteStore


@dataclass(frozen=True, slots=True)
class CopySource:
    """What a copy of an event is made of; `source` gives the recording back from the clip's bytes."""

    event: Event
    clip: VirtualFile
    thumbnail: bytes | None
    source: Mapping[str, Any]
    segments: tuple[Mapping[str, Any], ...]  # what the index keeps


class Copies:
    """All methods are called in the event loop."""

    def __init__(self, backend: Backend, clips: Clips) -> None:
        """Prepare."""
        self._backend = backend
        self._clips = clips

    def set_store(self, store: RemoteStore | None) -> None:
        """Name where remote events are read from."""
        self._backend.remote.store = store

    # What copies are made of

    async def source(self, event_id: str) -> CopySource | None:
        """Return what a copy of a local event is made of, None when it is not here; raises ClipGone and other RecordingErrors."""
        backend = self._backend
        event = await backend.event(event_id)
        if event is None or event.remote or event.state != "ready":
            return None
        segments = await backend.indexed(
            partial(backend.index.segments, event=event_id)
        )
        clip = await self._clips.clip(ClipSpec.event(event_id))
        source = await backend.threaded(
            outline_of, backend.root, segments, clip.extents()
        )
        return CopySource(
            event,
            clip,
            await backend.threaded(_thumbnail, backend.root, event),
            source,
            tuple(stored_as_dict(segment) for segment in segments),
        )

    # Remote events in the index

    async def known(self) -> set[str]:
        """Return the events of which the index knows a copy."""
        return await self._backend.indexed(self._backend.index.with_copies)

    async def put(self, events: Iterable[RemoteEvent]) -> list[str]:
        """Take in copies; return the events that are remote now."""
        events = list(events)
        self._backend.remote.forget([item.event for item in events])
        return await self._backend.indexed(self._backend.index.put_remote, events)

    async def drop(self, events: Sequence[str]) -> list[str]:
        """Forget copies; return the events that are nowhere any more."""
        self._backend.remote.forget(events)
        return await self._backend.indexed(self._backend.index.drop_remote, events)

    async def annotate(self, event: Event, change: Callable[[Note], Note]) -> None:
        """Change what is said of an event of which there may be a copy."""
        note = change(
            Note(
                protected=event.protected,
                labels=event.labels,
                description=event.description,
                findings=event.findings,
            )
        )
        await self._backend.indexed(self._backend.index.annotate_remote, event.id, note)

    async def found(self, event_id: str) -> Event:
        """Return an event; raises EventNotFound."""
        if (event := await self._backend.event(event_id)) is None:
            raise EventNotFound(event_id)
        return event

    async def delete(self, event: Event) -> Event:
        """Forget a remote event; raises EventProtected."""
        if event.protected:
            raise EventProtected(event.id)
        await self.drop([event.id])
        return event

    # Bringing one back

    async def restore(self, event_id: str) -> Event:
        """Write a remote event's recording again; raises EventNotFound, ClipGone, StorageFailed."""
        event = await self.found(event_id)
        if not event.remote:
            return event
        return await self._backend.complete(self._restore(event))

    async def _restore(self, event: Event) -> Event:
        backend, remote = self._backend, self._backend.remote
        segments = await backend.indexed(
            partial(backend.index.segments, event=event.id)
        )
        outline = (await remote.outlines(segments))[event.id]
        thumbnail = None
        if remote.store is not None:
            # A recording without its picture is better than none.
            with suppress(OSError):
                thumbnail = await remote.store.thumbnail(event.id)
        try:
            paths = await backend.threaded_remote(
                restore,
                backend.root,
                outline,
                partial(remote.read, event.id),
                backend.claims,
            )
        except (OSError, HourFileError) as error:
            raise StorageFailed(f"the recording cannot be written: {error}") from error
        async with backend.changing:
            await backend.indexed(backend.index.rescan, sorted(set(paths)))
            local = await self.found(event.id)
            if local.remote:
                raise ClipGone("the recording does not read back")
            note = Note(
                protected=event.protected,
                labels=event.labels,
                description=event.description,
                findings=event.findings,
            )
            try:
                if note != NOTHING:
                    await write_note(backend, local, lambda _: note)
                if thumbnail:
                    path = HourPath.parse(local.path).thumbnail(local.id)
                    await backend.threaded(replace_file, backend.root / path, thumbnail)
                    await backend.indexed(
                        backend.index.put,
                        replace(local, thumbnail=path),
                        None,
                        None,
                        len(thumbnail),
                    )
            except OSError as error:
                raise StorageFailed(f"the notes cannot be written: {error}") from error
        return await self.found(event.id)


def remote_event(
    event: str,
    segments: Sequence[Mapping[str, Any]],
    *,
    protected: bool,
    labels: Sequence[str],
    description: str,
    findings: Any = None,
) -> RemoteEvent:
    """Return a copy as the index takes it; raises ValueError when it is none of a recording."""
    try:
        stored: tuple[StoredSegment, ...] = tuple(map(stored_from_dict, segments))
        for segment in stored:
            if segment.event != event or HourPath.parse(segment.path).camera != (
                segment.camera
            ):
                raise ValueError("segments of another event")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not segments: {error}") from error
    if not stored:
        raise ValueError("no segments")
    return RemoteEvent(
        event,
        stored,
        Note(
            protected=protected,
            labels=tuple(labels),
            description=description,
            findings=read_findings(findings),
        ),
    )


def _thumbnail(root: Path, event: Event) -> bytes | None:
    """Blocking."""
    if event.thumbnail is None:
        return None
    try:
        return (root / event.thumbnail).read_bytes()
    except OSError:
        return None
