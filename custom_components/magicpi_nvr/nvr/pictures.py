"""The last picture of each camera, kept over restarts in a small file."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
import os
from pathlib import Path
from typing import Final

from homeassistant.core import HomeAssistant

from ..const import LOGGER
from ..gateway import Frame

MAX_BYTES: Final = 512 * 1024


@dataclass(frozen=True, slots=True)
class LastPicture:
    """A JPEG and the UTC epoch milliseconds of its capture."""

    jpeg: bytes
    captured_ms: int


class LastPictures:
    """Last pictures by camera id: in memory, and on disk when a camera rests."""

    def __init__(self, hass: HomeAssistant, folder: Path) -> None:
        """Keep the pictures in a folder of private files."""
        self._hass = hass
        self._folder = folder
        self._pictures: dict[str, LastPicture] = {}
        self._dirty: set[str] = set()
        self._writer: asyncio.Task[None] | None = None

    def _path(self, camera_id: str) -> Path:
        return self._folder / f"{camera_id.replace(':', '-')}.jpg"

    async def async_load(self, camera_ids: Iterable[str]) -> None:
        """Read what an earlier run kept; a missing or odd file is no picture."""
        self._pictures |= await self._hass.async_add_executor_job(
            self._read, list(camera_ids)
        )

    def _read(self, camera_ids: list[str]) -> dict[str, LastPicture]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        pictures: dict[str, LastPicture] = {}
        for camera_id in camera_ids:
            path = self._path(camera_id)
            with suppress(OSError):
                stat = path.stat()
                if 0 < stat.st_size <= MAX_BYTES:
                    pictures[camera_id] = LastPicture(
                        path.read_bytes(), stat.st_mtime_ns // 1_000_000
                    )
        return pictures

    def get(self, camera_id: str) -> LastPicture | None:
        """Return the last picture that was noted."""
        return self._pictures.get(camera_id)

    def note(self, frame: Frame) -> None:
        """Keep a frame as the last picture, whatever time it has; written by and by, newest only."""
        # The host's clock may have been set back: the order of coming counts
        picture = LastPicture(frame.jpeg, frame.captured_ms)
        if self._pictures.get(frame.camera) == picture:
            return
        self._pictures[frame.camera] = picture
        self._dirty.add(frame.camera)
        # A task may end before its creation returns, so it does not say itself that it ended
        if self._writer is None or self._writer.done():
            self._writer = self._hass.async_create_background_task(
                self._async_write(), "magicpi_nvr last pictures"
            )

    async def async_forget(self, camera_id: str) -> None:
        """Delete a camera's picture."""
        self._pictures.pop(camera_id, None)
        self._dirty.discard(camera_id)
        await self._hass.async_add_executor_job(
            lambda: self._path(camera_id).unlink(missing_ok=True)
        )

    async def async_stop(self) -> None:
        """Wait until everything noted is written."""
        if self._writer:
            await self._writer

    async def _async_write(self) -> None:
        try:
            while self._dirty:
                camera_id = self._dirty.pop()
                if picture := self._pictures.get(camera_id):
                    await self._hass.async_add_executor_job(
                        self._write, self._path(camera_id), picture
                    )
        except OSError as err:
            LOGGER.debug("Could not keep the last picture: %s", err)

    @staticmethod
    def _write(path: Path, picture: LastPicture) -> None:
        temporary = path.with_suffix(".tmp")
        with open(
            temporary, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)
        ) as file:
            file.write(picture.jpeg)
        os.utime(temporary, ns=(picture.captured_ms * 1_000_000,) * 2)
        temporary.replace(path)
