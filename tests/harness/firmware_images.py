"""Firmware images that are signed by a key of the test."""

import base64
from hashlib import sha256
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

BOARD = "MagicPi Virtual Camera"


class FirmwareImages:
    """The folder of images below a configuration folder, with a key that is trusted there."""

    def __init__(self, config: Path) -> None:
        """Make the folder and the key."""
        self._folder = config / "magicpi_nvr" / "firmware"
        self._folder.mkdir(parents=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        (self._folder / "own.pem").write_bytes(
            self._key.public_key().public_bytes(
                Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
            )
        )

    def add(self, version: str, notes: str | None = None) -> None:
        """Put an image into the folder."""
        image = f"firmware {version}".encode() * 5000
        manifest = {
            "board": BOARD,
            "version": version,
            "sha256": sha256(image).hexdigest(),
            "size": len(image),
            "signature": base64.b64encode(
                self._key.sign(image, ec.ECDSA(SHA256()))
            ).decode(),
            "notes": notes,
        }
        (self._folder / f"cam-{version}.bin").write_bytes(image)
        (self._folder / f"cam-{version}.json").write_text(json.dumps(manifest))

    def clear(self) -> None:
        """Delete every image."""
        for path in self._folder.glob("cam-*"):
            path.unlink()
