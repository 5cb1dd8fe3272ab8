"""The detector's model: two files from a pinned address, kept in a folder, loaded only with the right SHA-256."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
import hashlib
import os
from pathlib import Path
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from .worker import ModelFiles

ADDRESS: Final = (
    "https://raw.githubusercontent.com/yyccR/nanodet-plus-ncnn-android/"
    "e902e25caa9260b63a0b32bb529f196376419596/app/src/main/assets/"
)
_TIMEOUT: Final = ClientTimeout(total=120, connect=20)
_CHUNK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file: its name here, its name there, what it has to be."""

    name: str
    source: str
    sha256: str
    size: int


PARAM: Final = ModelFile(
    "nanodet-plus-m_416.param",
    "nanodet-plus-coco-416.param",
    "d79e18ecd8595081bb29fdf0c790a47fcea96fbf58598350569a92e71e915b72",
    23_123,
)
WEIGHTS: Final = ModelFile(
    "nanodet-plus-m_416.bin",
    "nanodet-plus-coco-416.bin",
    "f7555ca6cb9650ee41e2f0a53fdf46b6e187a2a09792208d8c3eec033b6ac615",
    2_397_184,
)


class ModelMissing(Exception):
    """A file of the model is not there."""


class WrongModel(Exception):
    """A file of the model is another one than it should be; the text is its name."""


class DownloadFailed(Exception):
    """A file of the model could not be fetched or kept."""


def check_model(folder: Path) -> ModelFiles:
    """Return the files when both are there and right (blocking); raises ModelMissing, WrongModel, OSError."""
    for file in (PARAM, WEIGHTS):
        path = folder / file.name
        try:
            with path.open("rb") as opened:
                data = opened.read(file.size + 1)
        except FileNotFoundError:
            raise ModelMissing(file.name) from None
        _check(file, data)
    return ModelFiles(
        folder / PARAM.name, folder / WEIGHTS.name, (PARAM.sha256, WEIGHTS.sha256)
    )


async def fetch_model(
    session: ClientSession, folder: Path, *, address: str = ADDRESS
) -> ModelFiles:
    """Fetch what is missing and return the files; raises WrongModel, DownloadFailed."""
    for file in (PARAM, WEIGHTS):
        if await asyncio.to_thread((folder / file.name).is_file):
            continue
        try:
            async with session.get(
                address + file.source, timeout=_TIMEOUT, raise_for_status=True
            ) as response:
                data = bytearray()
                async for chunk in response.content.iter_chunked(_CHUNK):
                    data += chunk
                    if len(data) > file.size:
                        raise WrongModel(file.name)
        except (ClientError, TimeoutError) as err:
            raise DownloadFailed(str(err) or type(err).__name__) from err
        _check(file, data)
        try:
            await asyncio.to_thread(_keep, folder / file.name, bytes(data))
        except OSError as err:
            raise DownloadFailed(str(err)) from err
    try:
        return await asyncio.to_thread(check_model, folder)
    except (ModelMissing, OSError) as err:
        raise DownloadFailed(str(err)) from err


def _check(file: ModelFile, data: bytes | bytearray) -> None:
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise WrongModel(file.name)


def _keep(path: Path, data: bytes) -> None:
    """Write a file so that it is there as a whole or not at all (blocking)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
