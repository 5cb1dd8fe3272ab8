"""What people flash: the flashing page's manifests as ESP Web Tools reads them, one for each board."""

import importlib.util
import json
from pathlib import Path
import re
import subprocess
import sys
from typing import Any

import probatio
import pytest

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
PARTS = ("bootloader.bin", "partitions.bin", "firmware.bin")
# `Manifest` and `Build` in ESP Web Tools 10, src/const.ts.
MANIFEST = probatio.Schema(
    {
        probatio.Required("name"): probatio.All(str, probatio.Length(min=1)),
        probatio.Required("version"): probatio.All(str, probatio.Length(min=1)),
        probatio.Optional("home_assistant_domain"): str,
        probatio.Optional("funding_url"): str,
        probatio.Optional("new_install_skip_erase"): bool,
        probatio.Optional("new_install_prompt_erase"): bool,
        probatio.Optional("new_install_improv_wait_time"): int,
        probatio.Required("builds"): probatio.All(
            probatio.Length(min=1),
            [
                {
                    probatio.Required("chipFamily"): probatio.In(
                        (
                            *("ESP32", "ESP32-C2", "ESP32-C3", "ESP32-C5", "ESP32-C6"),
                            *("ESP32-H2", "ESP32-P4", "ESP32-S2", "ESP32-S3"),
                            "ESP8266",
                        )
                    ),
                    probatio.Required("parts"): probatio.All(
                        probatio.Length(min=1),
                        [
                            {
                                probatio.Required("path"): str,
                                probatio.Required("offset"): probatio.All(
                                    int, probatio.Range(min=0)
                                ),
                            }
                        ],
                    ),
                }
            ],
        ),
    }
)


def load_script() -> Any:
    """Return package_images as a module."""
    spec = importlib.util.spec_from_file_location(
        "package_images", FIRMWARE / "package_images.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def boards() -> dict[str, Any]:
    """Return the boards by their environment."""
    boards = load_script().environments()
    assert isinstance(boards, dict)
    return boards


@pytest.fixture(scope="module")
def packaged(
    boards: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any]:
    """Package builds of all boards, with a key."""
    folder = tmp_path_factory.mktemp("packaged")
    for env in boards:
        (folder / "build" / env).mkdir(parents=True)
        for name in PARTS:
            (folder / "build" / env / name).write_bytes(f"{env} {name}".encode())
    (folder / "boot_app0.bin").write_bytes(b"boot_app0")
    key = folder / "key.pem"
    subprocess.run(
        ("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key),
        check=True,
        capture_output=True,
    )
    subprocess.run(
        (
            *(sys.executable, FIRMWARE / "package_images.py", "--version", "1.2.3"),
            *("--build", folder / "build", "--out", folder / "out", "--key", key),
            *("--boot-app0", folder / "boot_app0.bin"),
        ),
        check=True,
        capture_output=True,
    )
    listed = json.loads((folder / "out" / "flash" / "boards.json").read_text())
    return folder / "out", listed


def test_each_board_has_a_manifest(
    boards: dict[str, Any], packaged: tuple[Path, Any]
) -> None:
    """ESP Web Tools reads it, and every part is there, in order and without overlap."""
    out, listed = packaged
    assert [row["name"] for row in listed] == [board.model for board in boards.values()]
    assert len({row["name"] for row in listed}) == len(listed) >= 8
    for row, (env, board) in zip(listed, boards.items(), strict=True):
        path = out / "flash" / row["manifest"]
        manifest = MANIFEST(json.loads(path.read_text()))
        assert manifest["version"] == "1.2.3"
        assert manifest["home_assistant_domain"] == "magicpi_nvr"
        (build,) = manifest["builds"]
        assert build["chipFamily"] == row["chip"]
        assert row["chip"] == ("ESP32-S3" if board.esp32s3 else "ESP32")
        offsets = [part["offset"] for part in build["parts"]]
        assert offsets == sorted(set(offsets))
        assert offsets[0] == (0 if board.esp32s3 else 0x1000)
        for part in build["parts"]:
            data = (path.parent / part["path"]).read_bytes()
            assert data == (
                b"boot_app0"
                if part["path"] == "boot_app0.bin"
                else f"{env} {part['path']}".encode()
            )
        # Improv is what asks for the Wi-Fi; a cable has none.
        assert ("new_install_improv_wait_time" in manifest) is board.wired
    assert any(board.wired for board in boards.values())


def test_places_are_those_of_the_partition_table(packaged: tuple[Path, Any]) -> None:
    """Boot data and image are written where the partition table has them."""
    table = {
        row.split(",")[0].strip(): int(row.split(",")[3], 16)
        for row in (FIRMWARE / "magicpi_cam" / "partitions.csv")
        .read_text()
        .splitlines()
        if row and not row.startswith("#")
    }
    out, listed = packaged
    for row in listed:
        manifest = json.loads((out / "flash" / row["manifest"]).read_text())
        places = {
            part["path"]: part["offset"] for part in manifest["builds"][0]["parts"]
        }
        assert places["boot_app0.bin"] == table["otadata"]
        assert places["firmware.bin"] == table["app0"]


def test_workflow_links_the_oldest_core() -> None:
    """The README names a core, and the workflow links it and the newest."""
    named = re.search(
        r"(\d+)\.(\d+)\.(\d+) or newer", (FIRMWARE / "README.md").read_text()
    )
    assert named
    workflow = (ROOT / ".github" / "workflows" / "firmware.yml").read_text()
    # pioarduino numbers its platform IDF 5.x, core 3.y.z: 5x.0y.0z with the core's last two digits
    assert f"03.0{named[3]}" in workflow
    assert f"carries Arduino-ESP32 {named[0].split()[0]}." in workflow
