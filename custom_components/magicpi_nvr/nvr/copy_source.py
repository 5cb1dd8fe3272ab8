"""The library as copies see it: which events may be copied, what is said of one, and its bytes."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..recording import NOTHING_SEEN, Event, RecordingError
from ..recording.library.notes import findings_as_dict
from .entries import Entries
from .recordings import Recordings

if TYPE_CHECKING:
    # Nothing of it is imported before the first target is set up
    from ..copies.model import Facts


def may_be_copied(event: Event) -> bool:
    """Say whether an event may be copied: it is finished, and neither a false alarm nor what is recorded all the time."""
    return event.state == "ready" and (
        event.protected
        or (event.findings.verdict != NOTHING_SEEN and not event.is_continuous)
    )


def facts_of(
    event: Event, entries: Entries, segments: Sequence[Mapping[str, Any]] = ()
) -> Facts:
    """Return what is said of an event at a target."""
    from ..copies.model import Facts  # noqa: PLC0415

    findings = event.findings
    more: dict[str, Any] = {
        "labels": list(event.labels),
        "vision": findings_as_dict(findings),
    }
    if segments:
        more["segments"] = list(segments)
    return Facts(
        event=event.id,
        camera=event.camera,
        camera_name=entries.name(event.camera),
        start_ms=event.start_ms,
        end_ms=event.end_ms,
        reason=event.reason,
        frames=event.frames,
        lost=event.lost,
        labels=event.all_labels,
        zones=findings.zones,
        description=event.description,
        protected=event.protected,
        more=more,
    )


class LocalClips:
    """The library as a copier asks it."""

    def __init__(self, recordings: Recordings, entries: Entries) -> None:
        """Keep what is asked."""
        self._recordings = recordings
        self._entries = entries

    async def open(self, event: str) -> _LocalClip | None:
        """Return a clip, None when it is not here any more."""
        from ..copies.errors import SourceGone  # noqa: PLC0415

        try:
            source = await self._recordings.library.copies.source(event)
        except RecordingError as err:
            raise SourceGone(str(err)) from err
        if source is None:
            return None
        return _LocalClip(
            facts=facts_of(source.event, self._entries, source.segments),
            size=source.clip.size,
            thumbnail=source.thumbnail,
            source=source.source,
            clip=source.clip,
        )


@dataclass(slots=True)
class _LocalClip:
    """A clip as a copier reads it."""

    facts: Facts
    size: int
    thumbnail: bytes | None
    source: Mapping[str, Any]
    clip: Any

    async def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield bytes of the MP4; raises SourceGone."""
        from ..copies.errors import SourceGone  # noqa: PLC0415

        try:
            async for chunk in self.clip.read(start, stop):
                yield chunk
        except RecordingError as err:
            raise SourceGone(str(err)) from err
