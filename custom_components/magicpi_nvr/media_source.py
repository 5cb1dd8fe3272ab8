"""Recordings as a media source: browsing, searching, playing, and pictures of nodes."""

from typing import TYPE_CHECKING, override

from homeassistant.components.media_player import (
    BrowseError,
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

from .access import POLICY_READ, async_asking_user, may
from .const import DOMAIN, NAME
from .media_browser import MIME_TYPE, Browser
from .media_identifier import Identifier, Kind
from .nvr import NotRunning, running_nvr
from .recording import RecordingError
from .views import day_clip_url, event_clip_url, export_url, hour_clip_url

if TYPE_CHECKING:
    from homeassistant.components.media_source.models import MediaImage


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
            case Identifier(kind=Kind.NOTE):
                raise Unresolvable(
                    translation_domain=DOMAIN, translation_key="nothing_to_play"
                )
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
            found = await browser.async_thumbnail()
        except RecordingError as err:
            raise _unknown(item) from err
        return None if found is None else MediaImage(found, "image/jpeg")

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
