#!/usr/bin/env python3
"""Turn PlatformIO's builds into what people flash and what Home Assistant offers.

For every environment built under `.pio/build`:
- `<out>/flash/<env>/`: the four parts, and `manifest.json` for ESP Web Tools; `<out>/flash/boards.json` lists the boards;
- with --key: `<out>/ota/<env>-<version>.bin` and its manifest, signed, as the integration reads them.
"""

import argparse
import base64
import configparser
import hashlib
import json
from pathlib import Path
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

HERE = Path(__file__).resolve().parent


class Board(NamedTuple):
    """A row of board.h."""

    model: str
    esp32s3: bool
    wired: bool


def boards() -> dict[str, Board]:
    """Return the rows of board.h by the name of their macro."""
    text = (HERE / "magicpi_cam" / "board.h").read_text(encoding="utf-8")
    numbers = re.findall(r"#define (MAGICPI_BOARD_\w+) (\d+)", text)
    table = text[text.index("kBoards[] = {") :]
    rows = re.findall(
        r'^    \{"([^"]+)", \w+, (true|false), .*, (\w+)\},$', table, re.MULTILINE
    )
    if len(rows) != len(numbers):
        raise SystemExit("board.h: not as many rows as names")
    return {
        name: Board(
            rows[int(n)][0], rows[int(n)][1] == "true", rows[int(n)][2] != "kNoEthernet"
        )
        for name, n in numbers
    }


def environments() -> dict[str, Board]:
    """Return the board of each environment of platformio.ini."""
    known = boards()
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(HERE / "platformio.ini", encoding="utf-8")
    found = {}
    for section in ini.sections():
        if section.startswith("env:"):
            match = re.search(r"MAGICPI_BOARD=(\w+)", ini[section]["build_flags"])
            if match is None or match[1] not in known:
                raise SystemExit(f"platformio.ini: {section} names no board of board.h")
            found[section.removeprefix("env:")] = known[match[1]]
    return found


def parts(board: Board) -> tuple[tuple[str, int], ...]:
    """Return file names and flash offsets; only the boot loader's place depends on the chip."""
    return (
        ("bootloader.bin", 0x0 if board.esp32s3 else 0x1000),
        ("partitions.bin", 0x8000),
        ("boot_app0.bin", 0xE000),
        ("firmware.bin", 0x10000),
    )


def package_flash(
    build: Path, boot_app0: Path, out: Path, board: Board, version: str
) -> None:
    """Write the parts and the manifest for the flashing page."""
    out.mkdir(parents=True, exist_ok=True)
    for name, _ in parts(board):
        shutil.copyfile(
            boot_app0 if name == "boot_app0.bin" else build / name, out / name
        )
    manifest = {
        "name": f"MagicPi camera: {board.model}",
        "version": version,
        "home_assistant_domain": "magicpi_nvr",
        "new_install_prompt_erase": True,
        # A cable needs no password: the dialog would wait for Improv in vain.
        **({"new_install_improv_wait_time": 0} if board.wired else {}),
        "builds": [
            {
                "chipFamily": "ESP32-S3" if board.esp32s3 else "ESP32",
                "parts": [
                    {"path": name, "offset": offset} for name, offset in parts(board)
                ],
            }
        ],
    }
    (out / "manifest.json").write_text(
        json.dumps(manifest, indent=2) + "\n", encoding="utf-8"
    )


def package_ota(
    image: Path, out: Path, env: str, board: Board, version: str, key: Path
) -> None:
    """Write a signed image and its manifest; the signature is ECDSA P-256 over the image's SHA-256, DER in base64."""
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{env}-{version}.bin"
    shutil.copyfile(image, target)
    signature = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", str(key), str(target)],
        check=True,
        capture_output=True,
    ).stdout
    data = target.read_bytes()
    manifest = {
        "board": board.model,
        "version": version,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "signature": base64.b64encode(signature).decode(),
        "file": target.name,
    }
    target.with_suffix(".json").write_text(
        json.dumps(manifest, indent=2) + "\n", encoding="utf-8"
    )


def main() -> int:
    """Package what is built."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", required=True, help="as compiled in (MAGICPI_FW)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--build", type=Path, default=HERE / ".pio" / "build")
    parser.add_argument(
        "--boot-app0",
        type=Path,
        required=True,
        help="boot_app0.bin of the Arduino core",
    )
    parser.add_argument(
        "--key",
        type=Path,
        help="private key on P-256 (PEM): also makes signed update images",
    )
    options = parser.parse_args()
    listed = []
    for env, board in environments().items():
        build = options.build / env
        if not (build / "firmware.bin").exists():
            print(f"{env}: not built, left out", file=sys.stderr)
            continue
        package_flash(
            build,
            options.boot_app0,
            options.out / "flash" / env,
            board,
            options.version,
        )
        if options.key:
            package_ota(
                build / "firmware.bin",
                options.out / "ota",
                env,
                board,
                options.version,
                options.key,
            )
        listed.append(
            {
                "name": board.model,
                "manifest": f"{env}/manifest.json",
                "chip": "ESP32-S3" if board.esp32s3 else "ESP32",
            }
        )
        print(f"{env}: {board.model}, {(build / 'firmware.bin').stat().st_size} bytes")
    if not listed:
        return 1
    (options.out / "flash" / "boards.json").write_text(
        json.dumps(listed, indent=2) + "\n", encoding="utf-8"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
