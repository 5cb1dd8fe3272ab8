"""Firmware images: which are offered, and which are refused for what."""

import base64
from collections.abc import Callable
import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
import pytest

from custom_components.magicpi_nvr.nvr import NvrChange
from custom_components.magicpi_nvr.nvr.firmware import read_folders
from tests.harness.home_assistant import CAMERA_ID, Installation

KEY = ec.generate_private_key(ec.SECP256R1())
IMAGE = bytes(range(256)) * 16


def public_pem(key: Any = KEY) -> bytes:
    """Return a public key as a file."""
    return key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )


def put_image(
    folder: Path, *, name: str = "image", image: bytes = IMAGE, **changes: Any
) -> None:
    """Write an image and its manifest; `changes` go into the manifest, None takes out."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.bin").write_bytes(image)
    (folder / "own.pem").write_bytes(public_pem())
    manifest = {
        "board": "MagicPi Virtual Camera",
        "version": "2.0.0",
        "sha256": hashlib.sha256(image).hexdigest(),
        "size": len(image),
        "signature": base64.b64encode(
            KEY.sign(image, ec.ECDSA(hashes.SHA256()))
        ).decode(),
        "notes": "Better pictures",
    } | changes
    (folder / f"{name}.json").write_text(
        json.dumps({key: value for key, value in manifest.items() if value is not None})
    )


async def test_offered(installation: Installation) -> None:
    """The newest image for the board is offered."""
    await installation.claimed()
    nvr = installation.nvr
    camera = installation.camera()
    assert nvr.firmware_for(camera) is None
    folder = Path(installation.hass.config.path("magicpi_nvr", "firmware"))
    put_image(folder)
    put_image(folder, name="older", image=b"old", version="1.9.9")
    put_image(
        folder, name="other", image=b"other", board="Another board", version="3.0"
    )
    changes: list[NvrChange] = []
    nvr.changes.subscribe(changes.append)
    await nvr.async_read_firmware()
    assert changes == [NvrChange.FIRMWARE]
    offer = nvr.firmware_for(camera)
    assert offer
    assert offer.version == "2.0.0"
    assert offer.size == len(IMAGE)
    path = nvr.delegate.firmware(CAMERA_ID, offer.sha256)
    assert path == folder / "image.bin"
    assert nvr.delegate.firmware(CAMERA_ID, "0" * 64) is None


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda folder: put_image(folder, size=1), "size"),
        (lambda folder: put_image(folder, image=b""), "size"),
        (lambda folder: put_image(folder, sha256="0" * 64), "SHA-256"),
        (lambda folder: put_image(folder, version="newest"), "version"),
        (lambda folder: put_image(folder, signature="?"), "signed"),
        (
            lambda folder: put_image(
                folder, signature=base64.b64encode(b"forged").decode()
            ),
            "signed",
        ),
        (lambda folder: put_image(folder, signature=None), "'signature' is missing"),
        (lambda folder: put_image(folder, board=None), "'board' is missing"),
        (lambda folder: put_image(folder, file="../image.bin"), "beside"),
        (lambda folder: put_image(folder, file="absent.bin"), "No such file"),
        (lambda folder: (folder / "image.json").write_text("[]"), ""),
        (lambda folder: (folder / "image.json").write_text("{"), ""),
        (lambda folder: (folder / "image.json").write_text(" " * 20000), "too big"),
        (lambda folder: (folder / "own.pem").write_text("nothing"), "signed"),
        (
            lambda folder: (folder / "own.pem").write_bytes(
                public_pem(ec.generate_private_key(ec.SECP384R1()))
            ),
            "signed",
        ),
        (
            lambda folder: (folder / "own.pem").write_bytes(
                public_pem(ec.generate_private_key(ec.SECP256R1()))
            ),
            "signed",
        ),
    ],
)
def test_refused(tmp_path: Path, spoil: Callable[[Path], Any], why: str) -> None:
    """An image that is not what its manifest says, or that nobody signed, is refused."""
    put_image(tmp_path)
    assert len(read_folders([tmp_path])[0]) == 1
    spoil(tmp_path)
    images, refused = read_folders([tmp_path, tmp_path / "absent"])
    assert not images
    assert why in refused["image.json"]


async def test_refusals_are_logged(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    """Who puts a bad image into the folder reads why nothing is offered."""
    folder = Path(installation.hass.config.path("magicpi_nvr", "firmware"))
    put_image(folder, size=1)
    await installation.nvr.async_read_firmware()
    assert "image.json is not offered" in caplog.text
