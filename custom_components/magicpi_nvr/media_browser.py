"""The media browser's nodes: latest, protected, exports, and cameras with their days."""

from contextlib import suppress
from dataclasses import dataclass, replace
import os
from pathlib import Path
from typing import Final

from homeassistant.auth.models import User
from homeassistant.components.media_player import BrowseError, MediaClass
from homeassistant.components.media_source import BrowseMediaSource
from homeassistant.util import dt as dt_util

from .access import POLICY_READ, async_events, may
from .const import DOMAIN, NAME
from .media_identifier import Identifier, Kind, export_camera, local_span
from .media_search import QueryReader, async_find_events, async_span_picture
from .nvr import Nvr, has_thumbnail
from .recording import NOTHING_SEEN, Event, HourCount
from .timestamps import local_time
from .views import event_thumbnail_url, picture_url, span_picture_url

NOTE: Final = str(Identifier(kind=Kind.NOTE))
MIME_TYPE: Final = "video/mp4"
# More in one folder is neither read nor found: a page, or a folder for each hour
PAGE: Final = 100
EXPORTS: Final = 500


@dataclass(slots=True)
class Browser:
    """Makes the nodes that one person sees, in their language."""

    nvr: Nvr
    identifier: Identifier
    user: User | None
    texts: dict[str, str]

    def text(self, key: str, **placeholders: str) -> str:
        """Return a translated text, or the key where nobody translated it."""
        text = self.texts.get(f"component.{DOMAIN}.common.{key}", key)
        return text.format(**placeholders)

    def may_see(self, camera: str | None) -> bool:
        """Say whether the person may see a camera."""
        return (
            self.user is None
            or camera is None
            or may(self.nvr.hass, self.user, camera, POLICY_READ)
        )

    async def async_browse(self) -> BrowseMediaSource:
        """Return the node with its children; raises RecordingError, BrowseError."""
        identifier = self.identifier
        if not self.may_see(identifier.camera):
            raise BrowseError(translation_domain=DOMAIN, translation_key="no_right")
        match identifier:
            case Identifier(kind=Kind.ROOT):
                return await self._async_root()
            case Identifier(kind=Kind.ALL):
                return await self._async_events(self.text("latest"))
            case Identifier(kind=Kind.PROTECTED):
                return await self._async_events(self.text("protected"), protected=True)
            case Identifier(kind=Kind.CAMERA, camera=str(camera)):
                return await self._async_camera(camera)
            case Identifier(kind=Kind.DAY, camera=str(camera), date=str(date)):
                return await self._async_day(camera, date)
            case Identifier(
                kind=Kind.GROUP, camera=str(camera), date=str(date), hour=str(hour)
            ):
                return await self._async_group(camera, date, hour)
            case Identifier(kind=Kind.CLIPS, camera=str(camera), date=str(date)):
                return await self._async_clips(camera, date)
            case Identifier(kind=Kind.EXPORTS):
                return await self._async_exports()
            case Identifier(kind=Kind.EVENT, event=str(event_id)):
                if event := await self.nvr.recordings.library.event(event_id):
                    return self._event(event, named=True)
            case _:
                # Hours and whole days play, but hold nothing
                pass
        raise BrowseError(
            translation_domain=DOMAIN,
            translation_key="unknown_media",
            translation_placeholders={"identifier": str(identifier)},
        )

    async def async_thumbnail(self) -> bytes | None:
        """Return the picture of an event, or of one in an hour or a day; raises RecordingError."""
        identifier = self.identifier
        if identifier.event:
            return await self.nvr.recordings.async_thumbnail(identifier.event)
        if identifier.camera is None or identifier.date is None:
            return None
        try:
            return await async_span_picture(
                self.nvr, identifier.camera, identifier.date, identifier.hour
            )
        except OverflowError, ValueError:
            return None

    async def _async_root(self) -> BrowseMediaSource:
        """Return everything, by camera and otherwise."""
        cameras = dict.fromkeys(self.nvr.gateway.cameras)
        cameras |= dict.fromkeys(
            usage.camera for usage in await self.nvr.recordings.library.cameras()
        )
        nodes = sorted(
            (self._camera(camera) for camera in cameras if self.may_see(camera)),
            key=lambda node: node.title.casefold(),
        )
        return _folder(
            self.identifier,
            NAME,
            [
                _folder(Identifier(kind=Kind.ALL), self.text("latest")),
                _folder(Identifier(kind=Kind.PROTECTED), self.text("protected")),
                _folder(Identifier(kind=Kind.EXPORTS), self.text("exports")),
                *nodes,
            ],
        )

    def _camera(
        self, camera: str, children: list[BrowseMediaSource] | None = None
    ) -> BrowseMediaSource:
        """Return a camera's folder, with its last picture."""
        return _folder(
            Identifier(kind=Kind.CAMERA, camera=camera),
            self.nvr.entries.name(camera),
            children,
            thumbnail=(picture_url(camera) if self.nvr.last_picture(camera) else None),
        )

    async def _async_camera(self, camera: str) -> BrowseMediaSource:
        """Return a camera's days."""
        return self._camera(
            camera,
            [
                _folder(
                    Identifier(kind=Kind.DAY, camera=camera, date=day.date),
                    self.text("day", date=day.date, count=str(day.events)),
                    thumbnail=span_picture_url(camera, day.date),
                )
                for day in await self.nvr.recordings.library.days(camera=camera)
            ]
            or self._notes("no_recordings_of_camera"),
        )

    async def _async_day(self, camera: str, date: str) -> BrowseMediaSource:
        """Return a day's events, by hours where there are many, and a folder of the hours and the day as clips."""
        title = f"{self.nvr.entries.name(camera)} {date}"
        hours = await self.nvr.recordings.library.hours(camera=camera, date=date)
        clips = _folder(
            Identifier(kind=Kind.CLIPS, camera=camera, date=date),
            self.text("whole_clips"),
            thumbnail=span_picture_url(camera, date) if hours else None,
        )
        groups: dict[str, int] = {}
        for hour in hours:
            # An hour has several files after a change of the resolution, and when the clock repeats it
            name = hour.name[:2]
            groups[name] = groups.get(name, 0) + hour.events
        if sum(groups.values()) > PAGE:
            nodes = [
                _folder(
                    Identifier(kind=Kind.GROUP, camera=camera, date=date, hour=name),
                    self.text("group", hour=name, count=str(count)),
                    thumbnail=span_picture_url(camera, date, name),
                )
                for name, count in sorted(groups.items(), reverse=True)
            ]
            return _folder(self.identifier, title, [*nodes, clips])
        page = await self.nvr.recordings.library.events(
            camera=camera,
            date=date,
            nothing_seen=False,
            continuous=False,
            limit=PAGE,
            cursor=self.identifier.cursor,
        )
        events = [self._event(event) for event in page.events]
        if not events:
            events = self._notes("no_recordings_then")
        return _folder(
            self.identifier,
            title,
            [*events, *self._next(page.cursor), *([clips] if hours else [])],
        )

    async def _async_group(
        self, camera: str, date: str, hour: str
    ) -> BrowseMediaSource:
        """Return a page of the events of an hour."""
        start_ms, end_ms = local_span(date, None, hour)
        page = await self.nvr.recordings.library.events(
            camera=camera,
            start_ms=start_ms,
            end_ms=end_ms,
            nothing_seen=False,
            continuous=False,
            limit=PAGE,
            cursor=self.identifier.cursor,
        )
        events = [
            self._event(event)
            for event in page.events
            if start_ms is None or event.start_ms >= start_ms
        ]
        return _folder(
            self.identifier,
            f"{self.nvr.entries.name(camera)} {date} {hour[:2]}:00",
            [*events, *self._next(page.cursor)] or self._notes("no_recordings_then"),
        )

    async def _async_clips(self, camera: str, date: str) -> BrowseMediaSource:
        """Return a day and its hours, each as one clip."""
        return _folder(
            self.identifier,
            f"{self.nvr.entries.name(camera)} {date}",
            [
                _clip(
                    Identifier(kind=Kind.WHOLE_DAY, camera=camera, date=date),
                    self.text("whole_day", date=date),
                    thumbnail=span_picture_url(camera, date),
                ),
                *(
                    self._hour(camera, date, hour)
                    for hour in await self.nvr.recordings.library.hours(
                        camera=camera, date=date
                    )
                ),
            ],
        )

    async def _async_exports(self) -> BrowseMediaSource:
        """Return exported clips and time-lapses, the newest first."""
        nodes = []
        for name, at in await self.nvr.hass.async_add_executor_job(
            _read_exports, self.nvr.export_folder
        ):
            identifier = Identifier(
                kind=Kind.EXPORT, export=name, camera=export_camera(name)
            )
            if identifier.camera and self.may_see(identifier.camera):
                local = local_time(round(at * 1000))
                camera = self.nvr.entries.name(identifier.camera)
                title = f"{local:%Y-%m-%d %H:%M} · {camera} · {name[18:-4]}"
                nodes.append(_clip(identifier, title))
        return _folder(
            self.identifier,
            self.text("exports"),
            nodes[:EXPORTS] or self._notes("no_exports"),
        )

    def _notes(self, key: str) -> list[BrowseMediaSource]:
        """Return the lines that say why a folder is empty; each has room for a short sentence on a phone."""
        return [
            BrowseMediaSource(
                domain=DOMAIN,
                identifier=NOTE,
                media_class=MediaClass.DIRECTORY,
                media_content_type="",
                title=sentence,
                can_play=False,
                can_expand=False,
            )
            for sentence in self.text(key).split(". ")
        ]

    def _hour(self, camera: str, date: str, hour: HourCount) -> BrowseMediaSource:
        """Return an hour as one clip."""
        return _clip(
            Identifier(kind=Kind.HOUR, camera=camera, date=date, hour=hour.name),
            self.text("hour", date=date, hour=hour.name, count=str(hour.events)),
            thumbnail=span_picture_url(camera, date, hour.name),
        )

    async def _async_events(
        self, title: str, *, protected: bool | None = None
    ) -> BrowseMediaSource:
        """Return a page of the events of all cameras."""
        page = await async_events(
            self.nvr,
            self.user,
            protected=protected,
            # A piece that a person protects is found nowhere else
            continuous=None if protected else False,
            limit=PAGE,
            cursor=self.identifier.cursor,
        )
        return _folder(
            self.identifier,
            title,
            [
                *(self._event(event, named=True) for event in page.events),
                *self._next(page.cursor),
            ]
            or self._notes("no_protected" if protected else "no_recordings"),
        )

    def _next(self, cursor: str | None) -> list[BrowseMediaSource]:
        """Return the folder of the next page, if there is one."""
        if cursor is None:
            return []
        return [
            _folder(replace(self.identifier, cursor=cursor), self.text("next_page"))
        ]

    def _event(self, event: Event, *, named: bool = False) -> BrowseMediaSource:
        """Return an event; its title begins with its local time, with the date unless its folder or today says it."""
        at = local_time(event.start_ms)
        dated = named and at.date() != dt_util.now().date()
        labels = [
            *(self.text(f"label_{name}") for name in event.findings.labels),
            *event.labels,
        ]
        said = [
            f"{at:%Y-%m-%d %H:%M}" if dated else f"{at:%H:%M}",
            self.nvr.entries.name(event.camera) if named else "",
            ", ".join(labels) or self.text(f"reason_{event.reason}"),
            f"{event.duration_ms / 1000:.0f} s",
            self.text("nothing_seen") if event.findings.verdict == NOTHING_SEEN else "",
            self.text("is_protected") if event.protected else "",
            self.text("is_remote") if event.remote else "",
        ]
        return _clip(
            Identifier(kind=Kind.EVENT, event=event.id),
            " · ".join(filter(None, said)),
            thumbnail=event_thumbnail_url(event.id) if has_thumbnail(event) else None,
        )

    async def async_search(self, query: str) -> list[BrowseMediaSource]:
        """Return the events that match all that was asked for."""
        asked = QueryReader(self.nvr, self.identifier, self.text).read(query)
        return [
            self._event(event, named=True)
            for event in await async_find_events(self.nvr, self.user, asked)
        ]


def _read_exports(folder: Path) -> list[tuple[str, float]]:
    """Return names of exported files and when they were made, newest first (blocking)."""
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError, ValueError):
                export_camera(entry.name)
                found.append((entry.name, entry.stat().st_mtime))
    return sorted(found, key=lambda item: item[1], reverse=True)


def _folder(
    identifier: Identifier,
    title: str,
    children: list[BrowseMediaSource] | None = None,
    thumbnail: str | None = None,
) -> BrowseMediaSource:
    """Return a node that opens."""
    return BrowseMediaSource(
        domain=DOMAIN,
        identifier=str(identifier),
        media_class=MediaClass.DIRECTORY,
        media_content_type="",
        title=title,
        can_play=False,
        can_expand=True,
        can_search=True,
        children=children,
        children_media_class=_layout(children),
        thumbnail=thumbnail,
    )


def _layout(children: list[BrowseMediaSource] | None) -> MediaClass | str:
    """Return the class by which children are laid out: sentences in rows, not in tiles."""
    if not children:
        return MediaClass.DIRECTORY
    return MediaClass.URL if children[0].identifier == NOTE else children[0].media_class


def _clip(
    identifier: Identifier, title: str, thumbnail: str | None = None
) -> BrowseMediaSource:
    """Return a node that plays."""
    return BrowseMediaSource(
        domain=DOMAIN,
        identifier=str(identifier),
        media_class=MediaClass.VIDEO,
        media_content_type=MIME_TYPE,
        title=title,
        can_play=True,
        can_expand=False,
        thumbnail=thumbnail,
    )
