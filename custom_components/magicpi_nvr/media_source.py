"""Recordings in the media browser: cameras, days, events, and hours as one clip."""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
import re
from typing import TYPE_CHECKING, Final, Self, override

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
from .nvr import NotRunning, Nvr, has_thumbnail, running_nvr
from .recording import (
    NOTHING_SEEN,
    Event,
    HourCount,
    RecordingError,
    camera_folder,
    folder_camera,
    parse_event_id,
)
from .views import (
    day_clip_url,
    event_clip_url,
    event_thumbnail_url,
    hour_clip_url,
    picture_url,
)

if TYPE_CHECKING:
    from homeassistant.components.media_source.models import MediaImage

MIME_TYPE: Final = "video/mp4"
PAGE: Final = 500
SEARCH_RESULTS: Final = 100
# Newest events of an hour or a day that are looked at for a picture
THUMBNAIL_TRIES: Final = 20
HOUR_MS: Final = 3_600_000
DATE: Final = re.compile(r"\b(20[0-9]{2}-[0-9]{2})(-[0-9]{2})?\b")
HOUR: Final = re.compile(r"[0-9]{2}(-[0-9]{1,4})?")


async def async_get_media_source(hass: HomeAssistant) -> MagicPiMediaSource:
    """Return the media source."""
    return MagicPiMediaSource(hass)


class Kind(StrEnum):
    """What a node of the tree is; the first part of its identifier."""

    ROOT = ""
    ALL = "all"
    PROTECTED = "protected"
    CAMERA = "camera"
    DAY = "day"
    WHOLE_DAY = "whole_day"
    HOUR = "hour"
    EVENT = "event"


# Parts of an identifier behind its kind; one more may follow as the cursor of a page
PARTS: Final = {
    Kind.ROOT: 0,
    Kind.ALL: 0,
    Kind.PROTECTED: 0,
    Kind.CAMERA: 1,
    Kind.DAY: 2,
    Kind.WHOLE_DAY: 2,
    Kind.HOUR: 3,
    Kind.EVENT: 1,
}
PAGED: Final = frozenset({Kind.ALL, Kind.DAY, Kind.PROTECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """An identifier, read and checked."""

    kind: Kind
    camera: str | None = None
    date: str | None = None
    hour: str | None = None
    event: str | None = None
    cursor: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an identifier; raises ValueError."""
        name, *parts = text.split("/") if text else [""]
        kind = Kind(name)
        count = PARTS[kind]
        if len(parts) not in ({count, count + 1} if kind in PAGED else {count}):
            raise ValueError("not an identifier")
        cursor = parts[count] if len(parts) > count else None
        if kind is Kind.EVENT:
            return cls(kind=kind, event=parts[0], camera=parse_event_id(parts[0])[0])
        camera = folder_camera(parts[0]) if count else None
        date = parts[1] if count > 1 else None
        if date is not None and dt_util.parse_date(date) is None:
            raise ValueError("not a date")
        hour = parts[2] if count > 2 else None
        if hour is not None and HOUR.fullmatch(hour) is None:
            raise ValueError("not an hour")
        return cls(kind=kind, camera=camera, date=date, hour=hour, cursor=cursor)

    def __str__(self) -> str:
        """Return it as it was read."""
        camera = camera_folder(self.camera) if self.camera else None
        parts = [self.event] if self.event else [camera, self.date, self.hour]
        return "/".join(filter(None, [self.kind, *parts, self.cursor]))


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
            case _:
                raise Unresolvable(
                    translation_domain=DOMAIN,
                    translation_key="not_playable",
                    translation_placeholders={"identifier": item.identifier or NAME},
                )

    async def _async_check(self, identifier: Identifier) -> None:
        """Raise Unresolvable unless whoever asks may see the camera."""
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
                return await self._async_events(self.text("all_cameras"))
            case Identifier(kind=Kind.PROTECTED):
                return await self._async_events(self.text("protected"), protected=True)
            case Identifier(kind=Kind.CAMERA, camera=str(camera)):
                return await self._async_camera(camera)
            case Identifier(kind=Kind.DAY, camera=str(camera), date=str(date)):
                return await self._async_day(camera, date)
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
                *nodes,
                _folder(Identifier(kind=Kind.ALL), self.text("all_cameras")),
                _folder(Identifier(kind=Kind.PROTECTED), self.text("protected")),
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
            ],
        )

    async def _async_day(self, camera: str, date: str) -> BrowseMediaSource:
        """Return a day's events, and before them its hours and itself as clips."""
        clips: list[BrowseMediaSource] = []
        if self.identifier.cursor is None:
            clips = [
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
            ]
        page = await self.nvr.recordings.library.events(
            camera=camera,
            date=date,
            continuous=False,
            limit=PAGE,
            cursor=self.identifier.cursor,
        )
        events = [self._event(event) for event in page.events]
        if page.cursor is None and not events and len(clips) == 1:
            clips = []
        return _folder(
            self.identifier,
            f"{self.nvr.entries.name(camera)} {date}",
            [*events, *self._next(page.cursor), *clips],
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
            ],
        )

    def _next(self, cursor: str | None) -> list[BrowseMediaSource]:
        """Return the folder of the next page, if there is one."""
        if cursor is None:
            return []
        return [
            _folder(replace(self.identifier, cursor=cursor), self.text("next_page"))
        ]

    def _event(self, event: Event, *, named: bool = False) -> BrowseMediaSource:
        """Return an event; its title begins with its local time, which cards read."""
        at = dt_util.as_local(dt_util.utc_from_timestamp(event.start_ms / 1000))
        said = [
            f"{at:%Y-%m-%d %H:%M:%S}",
            self.nvr.entries.name(event.camera) if named else "",
            f"{event.duration_ms / 1000:.0f} s",
            self.text(f"reason_{event.reason}"),
            ", ".join(
                (
                    *(self.text(f"label_{name}") for name in event.findings.labels),
                    *event.labels,
                )
            ),
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
        """Return the events that match all that was asked: dates, names of cameras, words of labels and descriptions."""
        date: str | None = None
        month: str | None = None
        text = query.casefold()
        if found := DATE.search(text):
            date, month = (found[0], None) if found[2] else (None, found[1])
            text = text.replace(found[0], " ")
        cameras = {self.identifier.camera} if self.identifier.camera else None
        if cameras is None:
            named = {
                camera: name
                for camera in self.nvr.known_cameras
                if (name := self.nvr.entries.name(camera).casefold()) in text
            }
            if named:
                cameras = set(named)
                for name in named.values():
                    text = text.replace(name, " ")
        start_ms, end_ms = _bounds(self.identifier.date or date, month)
        page = await async_events(
            self.nvr,
            self.user,
            cameras=cameras,
            start_ms=start_ms,
            end_ms=end_ms,
            protected=True if self.identifier.kind is Kind.PROTECTED else None,
            text=text.strip() or None,
            continuous=None if self.identifier.kind is Kind.PROTECTED else False,
            limit=SEARCH_RESULTS,
        )
        return [self._event(event, named=True) for event in page.events]


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
