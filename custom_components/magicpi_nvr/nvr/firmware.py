"""Firmware images in a folder: read, checked, and matched to cameras."""

import asyncio
import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
import stat
from typing import Any, Final

from awesomeversion import AwesomeVersion
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from homeassistant.core import HomeAssistant

from ..const import FIRMWARE_PUBLIC_KEYS, FOLDER, LOGGER
from ..gateway import Camera, FirmwareOffer

MAX_IMAGE: Final = 16 * 1024 * 1024
MAX_MANIFEST: Final = 16 * 1024
CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FirmwareImage:
    """An image that passed all checks."""

    path: Path
    board: str
    version: str
    sha256: str
    size: int
    signature: str
    notes: str | None


class FirmwareFolder:
    """Images shipped with the integration and those in `<config>/magicpi_nvr/firmware`.

    Beside each image lies a manifest `{"board", "version", "sha256", "size", "signature", "file"?, "notes"?}`; the signature
    is ECDSA P-256 over the image's SHA-256, DER in base64. Keys of own builds are trusted from `*.pem` in the folder.
    """

    def __init__(self, hass: HomeAssistant) -> None:
        """Name the folders."""
        self._hass = hass
        self._folders = (
            Path(__file__).parents[1] / "firmware",
            Path(hass.config.path(FOLDER, "firmware")),
        )
        self.images: tuple[FirmwareImage, ...] = ()
        self.refused: dict[str, str] = {}
        self._reading: asyncio.Task[None] | None = None

    async def async_read(self) -> None:
        """Read the folders again; the files are hashed in a thread.

        Who asks while they are read gets the answer of that reading: every camera's
        update entity asks at once.
        """
        if self._reading is None or self._reading.done():
            self._reading = self._hass.async_create_task(
                self._async_read(), "magicpi_nvr firmware"
            )
        await asyncio.shield(self._reading)

    async def _async_read(self) -> None:
        self.images, refused = await self._hass.async_add_executor_job(
            read_folders, self._folders
        )
        for name, reason in refused.items():
            if self.refused.get(name) != reason:
                LOGGER.warning("Firmware image %s is not offered: %s", name, reason)
        self.refused = refused

    def newest(self, model: str) -> FirmwareImage | None:
        """Return the newest image for a board, None without one."""
        return max(
            (item for item in self.images if item.board.lower() == model.lower()),
            key=lambda item: AwesomeVersion(item.version),
            default=None,
        )

    def offer(self, camera: Camera) -> FirmwareOffer | None:
        """Return the newest image for a camera as an offer, whether it is newer or not."""
        if (image := self.newest(camera.model)) is None:
            return None
        return FirmwareOffer(
            version=image.version,
            sha256=image.sha256,
            size=image.size,
            signature=image.signature,
        )

    def path(self, sha256: str) -> Path | None:
        """Return the file of an image that passed the checks."""
        return next((item.path for item in self.images if item.sha256 == sha256), None)


def read_folders(
    folders: Iterable[Path],
) -> tuple[tuple[FirmwareImage, ...], dict[str, str]]:
    """Return the good images and, by file name, why others are refused (blocking)."""
    images: list[FirmwareImage] = []
    refused: dict[str, str] = {}
    for folder in folders:
        try:
            names = sorted(folder.iterdir()) if folder.is_dir() else []
        except OSError as err:
            refused[folder.name] = str(err)
            continue
        keys = _read_keys([path for path in names if path.suffix == ".pem"], refused)
        for manifest in names:
            if manifest.suffix != ".json":
                continue
            try:
                images.append(_read_image(manifest, keys))
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as err:
                refused[manifest.name] = (
                    f"{err} is missing" if isinstance(err, KeyError) else str(err)
                )
    return tuple(images), refused


def _size(path: Path, maximum: int) -> int:
    """Return the size of a file; raises ValueError for what is none, or too big."""
    status = path.stat()
    # Reading anything else, such as a pipe, might never end
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path.name} is not a file")
    if status.st_size > maximum:
        raise ValueError(f"{path.name} is too big")
    return status.st_size


def _read_keys(
    paths: Iterable[Path], refused: dict[str, str]
) -> list[ec.EllipticCurvePublicKey]:
    keys: list[ec.EllipticCurvePublicKey] = []
    sources = [("built in", pem.encode()) for pem in FIRMWARE_PUBLIC_KEYS]
    for path in paths:
        try:
            _size(path, MAX_MANIFEST)
            sources.append((path.name, path.read_bytes()))
        except (OSError, ValueError) as err:
            refused[path.name] = str(err)
    for name, pem in sources:
        try:
            key = load_pem_public_key(pem)
        except ValueError, UnsupportedAlgorithm:
            refused[name] = "not a public key"
            continue
        if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1":
            keys.append(key)
        else:
            refused[name] = "not a key on P-256"
    return keys


def _read_image(manifest: Path, keys: list[ec.EllipticCurvePublicKey]) -> FirmwareImage:
    """Check one image; raises ValueError with the reason."""
    _size(manifest, MAX_MANIFEST)
    data: Any = json.loads(manifest.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError("the manifest is no object")  # noqa: TRY004 - a file's content, not a type
    name = data.get("file", f"{manifest.stem}.bin")
    if Path(name).name != name:
        raise ValueError("the file is not beside its manifest")
    path = manifest.parent / name
    if not (size := _size(path, MAX_IMAGE)) or size != data["size"]:
        raise ValueError("its size is not the manifest's")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != data["sha256"]:
        raise ValueError("its SHA-256 is not the manifest's")
    if not AwesomeVersion(data["version"]).valid:
        raise ValueError("its version cannot be compared")
    if not _signed(digest.digest(), data["signature"], keys):
        raise ValueError("no trusted key signed it")
    return FirmwareImage(
        path=path,
        board=str(data["board"]),
        version=str(data["version"]),
        sha256=digest.hexdigest(),
        size=size,
        signature=data["signature"],
        notes=data.get("notes"),
    )


def _signed(
    digest: bytes, signature: str, keys: Iterable[ec.EllipticCurvePublicKey]
) -> bool:
    """Say whether one of the keys made the signature."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except binascii.Error:
        return False
    for key in keys:
        try:
            key.verify(raw, digest, ec.ECDSA(utils.Prehashed(SHA256())))
        except InvalidSignature:
            continue
        return True
    return False
