"""Cameras as Home Assistant's storage holds them: for tests and benches that need many."""

from pathlib import Path
from typing import Any

from benchmark import camera_id
from custom_components.magicpi_nvr.gateway import Camera, Caps, Clock
from home_assistant import write_store
from integration_setup import DOMAIN, config_entry, nvr_entry, write_entries


class _Host:
    """A registry that keeps nothing."""

    clock = Clock()

    def save(self) -> None:
        """Keep nothing."""

    def save_later(self) -> None:
        """Keep nothing."""

    async def begin_rekey(self, camera_id: str) -> str:
        """Hand out no key."""
        return ""

    def abandon_rekey(self, camera_id: str) -> None:
        """Forget no key."""


def stored_cameras(
    count: int, *, settings: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the gateway's registry with so many cameras: that sleep, or that are always on and have these settings."""
    caps = Caps(
        resolutions=("QVGA", "VGA", "SVGA", "XGA", "HD", "SXGA", "UXGA"),
        battery=settings is None,
        flash=True,
        motion=("pir",),
        sleep=settings is None,
        ota=True,
    )
    cameras = {}
    for number in range(count):
        camera = Camera(
            camera_id(number),
            name=f"Camera {number}",
            model="esp32-cam",
            firmware="1.0.0",
            caps=caps,
            host=_Host(),
        )
        if settings:
            camera.set_config(settings)
        camera.presence.last_seen_ms = Clock().now_ms()
        camera.presence.next_check_in_ms = camera.presence.last_seen_ms
        cameras[camera.id] = {
            "key_hash": "0" * 64,
            "new_key_hash": None,
            **camera.as_dict(),
        }
    return {"cameras": cameras}


def add_fleet(
    folder: Path,
    port: int,
    registry: dict[str, Any],
    *,
    options: dict[str, Any] | None = None,
    camera_options: dict[str, Any] | None = None,
) -> None:
    """Give a stopped Home Assistant the stored cameras as if they had been claimed."""
    cameras = registry["cameras"]
    write_entries(
        folder,
        nvr_entry(
            port,
            {"cameras": {"max_cameras": max(50, len(cameras))}, **(options or {})},
        ),
        *(
            config_entry(
                stored["name"],
                camera.lower(),
                data={"id": camera},
                options=camera_options,
            )
            for camera, stored in cameras.items()
        ),
    )
    write_store(folder, f"{DOMAIN}.cameras", registry)
