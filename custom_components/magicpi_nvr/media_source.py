"""Recordings in the media browser: latest, protected, exports, cameras with their days, and searching.

Long because one object makes every kind of node, in one person's language and rights.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
import os
from pathlib import Path
import re
from typing import TYPE_CHECKING, Final, override

from homeassistant.auth.models import User
from homeassistant.components.media_player import (
    BrowseError,
    MediaClass,
    SearchMedia,
    SearchMediaQuery,
)
from homeassistant.components.media_source import (
    BrowseMediaSource,
    MediaSource,
    MediaSourceItem,
    PlayMedia,
    Unresolvable,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers.translation import async_get_translations
from homeassistant.util import dt as dt_util

from .access import POLICY_READ, async_asking_user, async_events, may
from .const import DOMAIN, NAME
from .media_identifier import Identifier, Kind, export_camera
from .nvr import NotRunning, Nvr, has_thumbnail, running_nvr
from .recording import NOTHING_SEEN, Event, HourCount, RecordingError
from .views import (
    day_clip_url,
    event_clip_url,
    event_thumbnail_url,
    export_url,
    hour_clip_url,
    picture_url,
)

if TYPE_CHECKING:
    from homeassistant.components.media_source.models import MediaImage

MIME_TYPE: Final = "video/mp4"
# More in one folder is neither read nor found: a page, or a folder for each hour
PAGE: Final = 100
SEARCH_PAGE: Final = 500
SEARCH_PAGES: Final = 20
SEARCH_RESULTS: Final = 100
# Newest events of an hour or a day that are looked at for a picture
THUMBNAIL_TRIES: Final = 20
HOUR_MS: Final = 3_600_000
DATE: Final = re.compile(r"\b(20[0-9]{2}-[0-9]{2})(-[0-9]{2})?\b")
LOCAL_DATE: Final = re.compile(
    r"\b(?P<one>[0-9]{1,2})(?P<mark>[./])(?P<two>[0-9]{1,2})(?:(?P=mark)(?P<year>20[0-9]{2})?)?(?![0-9])"
)
TIME: Final = re.compile(r"(?<![0-9])[0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9])?(?![0-9])")
REASONS: Final = ("motion", "button", "manual", "timer", "ring", "continuous")
LABELS: Final = ("person", "vehicle", "animal")


async def async_get_media_source(hass: HomeAssistant) -> MagicPiMediaSource:
    """Return the media source."""
    return MagicPiMediaSource(hass)


class MagicPiMediaSource(MediaSource):
    """Shows what was recorded, and plays it."""

    name = NAME

    def __init__(self, hass: HomeAssistant) -> None:
        """Keep Home Assistant."""
        super().__init__(DOMAIN)
        self.hass = hass

    @override
    async def async_resolve_media(self, item: MediaSourceItem) -> PlayMedia:
        """Return the address of a clip."""
        try:
            identifier = Identifier.parse(item.identifier)
        except ValueError:
            raise Unresolvable(
                translation_domain=DOMAIN,
                translation_key="unknown_media",
                translation_placeholders={"identifier": item.identifier},
            ) from None
        await self._async_check(identifier)
        match identifier:
            case Identifier(kind=Kind.EVENT, event=str(event)):
                return PlayMedia(event_clip_url(event), MIME_TYPE)
            case Identifier(
                kind=Kind.HOUR, camera=str(camera), date=str(date), hour=str(hour)
            ):
                return PlayMedia(hour_clip_url(camera, date, hour), MIME_TYPE)
            case Identifier(kind=Kind.WHOLE_DAY, camera=str(camera), date=str(date)):
                return PlayMedia(day_clip_url(camera, date), MIME_TYPE)
            case Identifier(kind=Kind.EXPORT, export=str(export)):
                return PlayMedia(export_url(export), MIME_TYPE)
            case _:
                raise Unresolvable(
                    translation_domain=DOMAIN,
                    translation_key="not_playable",
                    translation_placeholders={"identifier": item.identifier or NAME},
                )

    async def _async_check(self, identifier: Identifier) -> None:
        """Raise Unresolvable unless the user may see the camera."""
        user = await async_asking_user(self.hass)
        if (
            user
            and identifier.camera
            and not may(self.hass, user, identifier.camera, POLICY_READ)
        ):
            raise Unresolvable(translation_domain=DOMAIN, translation_key="no_right")

    async def async_get_media_image(self, item: MediaSourceItem) -> MediaImage | None:
        """Return the picture of an event or of a camera."""
        # Not there before 2026.11, which does not call this either
        from homeassistant.components.media_source.models import MediaImage  # noqa: PLC0415

        browser = await self._async_browser(item)
        identifier = browser.identifier
        await self._async_check(identifier)
        if identifier.kind is Kind.CAMERA and identifier.camera:
            if picture := browser.nvr.last_picture(identifier.camera):
                return MediaImage(picture.jpeg, "image/jpeg")
            return None
        try:
            path = await browser.async_thumbnail()
        except RecordingError as err:
            raise _unknown(item) from err
        if isinstance(path, Path):
            content = await self.hass.async_add_executor_job(path.read_bytes)
            return MediaImage(content, "image/jpeg")
        return None if path is None else MediaImage(path, "image/jpeg")

    @override
    async def async_browse_media(self, item: MediaSourceItem) -> BrowseMediaSource:
        """Return a node with its children."""
        browser = await self._async_browser(item)
        try:
            return await browser.async_browse()
        except RecordingError as err:
            raise _unknown(item) from err

    @override
    async def async_search_media(
        self, item: MediaSourceItem, query: SearchMediaQuery
    ) -> SearchMedia:
        """Find events by label, description, camera or date."""
        browser = await self._async_browser(item)
        try:
            return SearchMedia(result=await browser.async_search(query.search_query))
        except RecordingError as err:
            raise _unknown(item) from err

    async def _async_browser(self, item: MediaSourceItem) -> Browser:
        """Return what makes the nodes of an item; raises BrowseError."""
        try:
            nvr = running_nvr(self.hass)
        except NotRunning:
            raise BrowseError(
                translation_domain=DOMAIN, translation_key="not_running"
            ) from None
        try:
            identifier = Identifier.parse(item.identifier)
        except ValueError:
            raise _unknown(item) from None
        texts = await async_get_translations(
            self.hass, self.hass.config.language, "common", {DOMAIN}
        )
        return Browser(nvr, identifier, await async_asking_user(self.hass), texts)


def _unknown(item: MediaSourceItem) -> BrowseError:
    """Return the error of an identifier that leads nowhere."""
    return BrowseError(
        translation_domain=DOMAIN,
        translation_key="unknown_media",
        translation_placeholders={"identifier": item.identifier},
    )


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

    async def async_thumbnail(self) -> Path | bytes | None:
        """Return the picture of an event, or of one in an hour or a day; raises RecordingError."""
        identifier, recordings = self.identifier, self.nvr.recordings
        if identifier.event:
            return await recordings.async_thumbnail(identifier.event)
        if identifier.camera is None or identifier.date is None:
            return None
        start_ms, end_ms = _bounds(identifier.date, None, identifier.hour)
        page = await recordings.library.events(
            camera=identifier.camera,
            start_ms=start_ms,
            end_ms=end_ms,
            limit=THUMBNAIL_TRIES,
        )
        for event in page.events:
            if has_thumbnail(event) and (
                found := await recordings.async_thumbnail(event.id)
            ):
                return found
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
                )
                for day in await self.nvr.recordings.library.days(camera=camera)
            ]
            or [self._note("no_recordings_of_camera")],
        )

    async def _async_day(self, camera: str, date: str) -> BrowseMediaSource:
        """Return a day's events, by hours where there are many, and a folder of the hours and the day as clips."""
        title = f"{self.nvr.entries.name(camera)} {date}"
        hours = await self.nvr.recordings.library.hours(camera=camera, date=date)
        clips = _folder(
            Identifier(kind=Kind.CLIPS, camera=camera, date=date),
            self.text("whole_clips"),
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
            events = [self._note("no_recordings_then")]
        return _folder(
            self.identifier,
            title,
            [*events, *self._next(page.cursor), *([clips] if hours else [])],
        )

    async def _async_group(
        self, camera: str, date: str, hour: str
    ) -> BrowseMediaSource:
        """Return a page of the events of an hour."""
        start_ms, end_ms = _bounds(date, None, hour)
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
            [*events, *self._next(page.cursor)] or [self._note("no_recordings_then")],
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
                local = dt_util.as_local(dt_util.utc_from_timestamp(at))
                camera = self.nvr.entries.name(identifier.camera)
                title = f"{local:%Y-%m-%d %H:%M} · {camera} · {name[18:-4]}"
                nodes.append(_clip(identifier, title))
        return _folder(
            self.identifier,
            self.text("exports"),
            nodes[:SEARCH_PAGE] or [self._note("no_exports")],
        )

    def _note(self, key: str) -> BrowseMediaSource:
        """Return a line that says why a folder is empty."""
        return BrowseMediaSource(
            domain=DOMAIN,
            identifier=str(Identifier(kind=Kind.NOTE)),
            media_class=MediaClass.DIRECTORY,
            media_content_type="",
            title=self.text(key),
            can_play=False,
            can_expand=False,
        )

    def _hour(self, camera: str, date: str, hour: HourCount) -> BrowseMediaSource:
        """Return an hour as one clip."""
        return _clip(
            Identifier(kind=Kind.HOUR, camera=camera, date=date, hour=hour.name),
            self.text("hour", date=date, hour=hour.name, count=str(hour.events)),
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
            or [self._note("no_protected" if protected else "no_recordings")],
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
        at = dt_util.as_local(dt_util.utc_from_timestamp(event.start_ms / 1000))
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
        """Return the events that match all that was asked: dates, times, cameras, reasons, protection, labels, words."""
        asked = self._read_query(query)
        found: list[Event] = []
        cursor: str | None = None
        for _ in range(SEARCH_PAGES):
            page = await async_events(
                self.nvr,
                self.user,
                cameras=asked.cameras,
                start_ms=asked.start_ms,
                end_ms=asked.end_ms,
                protected=asked.protected,
                label=asked.label,
                nothing_seen=None,
                text=asked.text,
                limit=SEARCH_PAGE if asked.sieves else SEARCH_RESULTS,
                cursor=cursor,
            )
            found += [event for event in page.events if asked.passes(event)]
            cursor = page.cursor
            if cursor is None or len(found) >= SEARCH_RESULTS:
                break
        return [self._event(event, named=True) for event in found[:SEARCH_RESULTS]]

    def _read_query(self, query: str) -> Query:
        """Take out of a query what is a date, a time, a name, a reason or a word of its own; the rest is text."""
        text = f" {query.casefold()} "

        def take(word: str) -> bool:
            nonlocal text
            if not word or (at := text.find(f" {word.casefold()} ")) < 0:
                return False
            text = text[: at + 1] + text[at + len(word) + 1 :]
            return True

        date, month = self.identifier.date, None
        if found := DATE.search(text):
            date, month = (found[0], None) if found[2] else (None, found[1])
            text = text.replace(found[0], " ")
        elif local := LOCAL_DATE.search(text):
            if parsed := self._local_date(local):
                date = parsed
                text = text.replace(local[0], " ")
        today = dt_util.now().date()
        for key, day in (("today", today), ("yesterday", today - timedelta(1))):
            if take(self.text(f"search_{key}")) or take(key):
                date = str(day)
        time = TIME.search(text)
        if time:
            text = text.replace(time[0], " ")
        cameras = {self.identifier.camera} if self.identifier.camera else None
        if cameras is None:
            named = {
                camera
                for camera in self.nvr.known_cameras
                if take(self.nvr.entries.name(camera))
            }
            cameras = named or None
        protected = self.identifier.kind is Kind.PROTECTED
        protected |= take(self.text("is_protected")) or take("protected")
        reason = next(
            (
                name
                for name in REASONS
                if take(self.text(f"reason_{name}")) or take(name)
            ),
            None,
        )
        label = next(
            (name for name in LABELS if take(self.text(f"label_{name}")) or take(name)),
            None,
        )
        start_ms, end_ms = _bounds(date, month) if date or month else (None, None)
        return Query(
            cameras=cameras,
            start_ms=start_ms,
            end_ms=end_ms,
            protected=protected or None,
            label=label,
            reason=reason,
            time=time[0].strip() if time else None,
            text=" ".join(text.split()) or None,
        )

    def _local_date(self, found: re.Match[str]) -> str | None:
        """Return a date as it is written here: day first, but for the United States."""
        day, month = int(found["one"]), int(found["two"])
        if found["mark"] == "/" and self.nvr.hass.config.country == "US":
            day, month = month, day
        year = int(found["year"] or dt_util.now().year)
        date = f"{year:04}-{month:02}-{day:02}"
        return date if dt_util.parse_date(date) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What somebody searches for."""

    cameras: set[str] | None
    start_ms: int | None
    end_ms: int | None
    protected: bool | None
    label: str | None
    reason: str | None
    time: str | None
    text: str | None

    @property
    def sieves(self) -> bool:
        """Whether events are looked at one by one."""
        return self.reason is not None or self.time is not None

    def passes(self, event: Event) -> bool:
        """Say whether an event has the reason and the time of day."""
        if self.reason is not None and event.reason != self.reason:
            return False
        if self.time is None:
            return True
        at = dt_util.as_local(dt_util.utc_from_timestamp(event.start_ms / 1000))
        return f"{at:%H:%M:%S}".startswith(self.time.zfill(5))


def _read_exports(folder: Path) -> list[tuple[str, float]]:
    """Return names of exported files and when they were made, newest first (blocking)."""
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError, ValueError):
                export_camera(entry.name)
                found.append((entry.name, entry.stat().st_mtime))
    return sorted(found, key=lambda item: item[1], reverse=True)


def _bounds(
    date: str | None, month: str | None, hour: str | None = None
) -> tuple[int | None, int | None]:
    """Return the local beginning and end of an hour, a date or a month in UTC epoch milliseconds."""
    if (first := dt_util.parse_date(date or f"{month}-01")) is None:
        return None, None
    if hour:
        # The second part of an hour that the clock repeats is in the same span
        at = dt_util.start_of_local_day(first).replace(hour=int(hour[:2]))
        return (
            int(at.replace(fold=0).timestamp() * 1000),
            int(at.replace(fold=1).timestamp() * 1000) + HOUR_MS,
        )
    if date:
        last = first.fromordinal(first.toordinal() + 1)
    else:
        last = first.fromordinal(first.toordinal() + 31).replace(day=1)
    start, end = (
        int(dt_util.start_of_local_day(day).timestamp() * 1000) for day in (first, last)
    )
    return start, end


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
        children_media_class=(
            children[0].media_class if children else MediaClass.DIRECTORY
        ),
        thumbnail=thumbnail,
    )


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
