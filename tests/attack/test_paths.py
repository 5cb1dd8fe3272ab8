"""Paths, queries and markup where an id or a name is expected, at every door."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import probatio
import pytest
from pytest_homeassistant_custom_component.typing import (
    ClientSessionGenerator,
    WebSocketGenerator,
)
from yarl import URL

from custom_components.magicpi_nvr.const import DOMAIN
from custom_components.magicpi_nvr.recording import Event as RecordedEvent
from homeassistant.components.media_player import BrowseError
from homeassistant.components.media_source import (
    Unresolvable,
    async_browse_media,
    async_resolve_media,
)
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from tests.harness.gateway import run_gateway
from tests.harness.home_assistant import CAMERA_ID, Installation

BASE = "/api/magicpi_nvr"
FOLDER = CAMERA_ID.replace(":", "-")
CANARY = "the canary sings"
NASTY = (
    "..",
    "../..",
    "../../secrets.yaml",
    "..%2f..%2fsecrets.yaml",
    "....//....//secrets.yaml",
    "..\\..\\secrets.yaml",
    f"{FOLDER}/../../secrets.yaml",
    f"{FOLDER}_/../../secrets.yaml",
    f"{FOLDER}_..%2f..%2fsecrets.mp4",
    "/etc/passwd",
    "//etc/passwd",
    "file:///etc/passwd",
    "~root/.ssh/id_rsa",
    "secrets.yaml\0.mp4",
    "aabbccddee01-00000001-1\n",
    "aabbccddee01-00000001-1/..",
    "aabbccddee01-00000001-99999999999999999999",
    "AA-BB-CC-DD-EE-01\n",
    "AA-BB-CC-DD-EE-0\u0661",
    "2026-11-22\n",
    "'; DROP TABLE events; --",
    '" OR 1=1 --',
    "%",
    "*",
    "{{ 7 * 7 }}",
    "<script>alert(1)</script>",
    "$(id)",
    "-rf",
    "\u202e\ufeff",
    "x" * 3000,
)


def hide_canaries(*folders: Path) -> None:
    """Put files where nobody should get."""
    for folder in folders:
        for name in ("secrets.yaml", "secrets.mp4", "x.mp4"):
            (folder / name).write_text(CANARY)


def addresses() -> Iterator[str]:
    """Yield each address of people's REST with something nasty in each place."""
    event, start, end = "aabbccddee01-00000001-1", "1", "2"
    patterns: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("clip/event/{}", (event,)),
        ("clip/range/{}/{}/{}", (FOLDER, start, end)),
        ("clip/timelapse/{}/{}/{}/{}", (FOLDER, start, end, "60")),
        ("clip/hour/{}/{}/{}", (FOLDER, "2026-11-22", "08")),
        ("clip/day/{}/{}", (FOLDER, "2026-11-22")),
        ("thumbnail/{}", (event,)),
        ("picture/{}", (FOLDER,)),
        ("export/{}", (f"{FOLDER}_x.mp4",)),
    )
    for pattern, good in patterns:
        for place in range(len(good)):
            for nasty in NASTY:
                parts = [*good]
                parts[place] = quote(nasty, safe="")
                yield f"{BASE}/{pattern.format(*parts)}"
    for name in (
        "camera",
        "from",
        "to",
        "label",
        "text",
        "protected",
        "limit",
        "cursor",
    ):
        for nasty in NASTY:
            yield f"{BASE}/recordings?{name}={quote(nasty, safe='')}"


async def test_views(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
) -> None:
    """People's REST answers with an error, and never with a file that is none of its own."""
    hide_canaries(
        installation.media, installation.nvr.media_root, installation.nvr.folder
    )
    client = await hass_client()
    tried = 0
    for address in addresses():
        response = await client.get(URL(address, encoded=True))
        body = await response.read()
        assert CANARY.encode() not in body, address
        assert b"root:" not in body, address
        if "/recordings?" in address and response.status == 200:
            # Searched for and not found
            assert (await response.json())["recordings"] == [], address
        else:
            assert response.status in (400, 404), (address, response.status)
        tried += 1
    assert tried > 500


async def test_actions(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant, tmp_path: Path
) -> None:
    """Actions refuse them, and write nothing where nothing was allowed to be written."""
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    entity_id = installation.entity_id("camera", "camera")
    span = {"start": "2026-11-22T00:00:00+00:00", "end": "2026-11-23T00:00:00+00:00"}
    outside = tmp_path / "outside"
    outside.mkdir()
    (installation.media / "link").symlink_to(outside)
    hide_canaries(installation.media, outside)

    def everything() -> set[Path]:
        return {path for path in tmp_path.rglob("*") if path.is_file()}

    before = everything()
    calls: list[tuple[str, dict[str, Any]]] = []
    for nasty in NASTY:
        calls += [
            (action, {"event_id": nasty})
            for action in ("protect", "unprotect", "delete_event", "export_clip")
        ]
        calls += [
            ("label_event", {"event_id": nasty, "labels": ["x"]}),
            ("record", {"camera": nasty}),
            ("snapshot", {"camera": nasty}),
            ("purge", {"camera": nasty}),
            ("export_clip", {"camera": nasty, **span}),
            ("create_timelapse", {"camera": nasty, **span}),
            ("list_events", {"camera": nasty}),
            ("list_events", {"cursor": nasty}),
        ]
    for name in (*NASTY, str(installation.media / ".." / "evil.mp4"), str(outside / "evil.mp4"),
                 str(installation.media / "link" / "evil.mp4"), "evil.mp4"):  # fmt: skip
        calls.append(("export_clip", {"event_id": event.id, "filename": name}))
    for action, data in calls:
        with pytest.raises((HomeAssistantError, probatio.Invalid)):
            await hass.services.async_call(
                DOMAIN, action, data, blocking=True, return_response=True
            )
    assert everything() == before
    assert installation.nvr.recordings.last_event(CAMERA_ID) == event
    # Texts are searched for as they are
    for name in ("label", "text"):
        for nasty in NASTY:
            answer = await hass.services.async_call(
                DOMAIN, "list_events", {name: nasty}, blocking=True, return_response=True
            )  # fmt: skip
            assert answer
            assert answer["events"] == []
    assert entity_id


async def test_websocket(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """Cards' commands answer with nothing, or with a clear error."""
    client = await hass_ws_client(hass)
    for nasty in NASTY:
        for command, fields in (
            ("events", {"camera_ids": [nasty]}),
            ("events", {"label": nasty}),
            ("events", {"text": nasty}),
            ("events", {"cursor": nasty}),
            ("days", {"camera_id": nasty}),
            ("days", {"camera_id": CAMERA_ID, "month": nasty}),
        ):
            await client.send_json_auto_id({"type": f"{DOMAIN}/{command}", **fields})
            answer = await client.receive_json()
            if answer["success"]:
                (facts,) = [
                    value for key, value in answer["result"].items() if key != "cursor"
                ]
                assert facts == [], (command, fields)
            else:
                code = answer["error"]["code"]
                assert code in ("invalid_format", "unauthorized", "not_found"), code


async def test_media_source(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant
) -> None:
    """The media browser leads nowhere but to recordings."""
    for nasty in NASTY:
        if nasty.endswith("\n"):
            continue  # Home Assistant's own parser leaves it out: what remains is an id
        for identifier in (nasty, f"{FOLDER}/{nasty}", f"event/{nasty}"):
            address = f"media-source://{DOMAIN}/{identifier}"
            with pytest.raises((BrowseError, Unresolvable, ValueError)):
                await async_browse_media(hass, address)
            with pytest.raises((Unresolvable, ValueError)):
                await async_resolve_media(hass, address, None)


async def test_gateway(tmp_path: Path) -> None:
    """A camera with a good key gets no further either."""
    hide_canaries(tmp_path)
    async with run_gateway(tmp_path / "tls") as gateway:
        _, auth = await gateway.register()
        async with gateway.session() as http:
            for nasty in NASTY:
                word = quote(nasty, safe="")
                for path in (
                    f"/firmware/{word}",
                    f"/recordings?from={word}",
                    f"/recordings?to={word}",
                    f"/recordings?limit={word}",
                    f"/{word}",
                ):
                    async with gateway.request(
                        http, "GET", URL(gateway.url + path, encoded=True), headers=auth
                    ) as response:
                        assert response.status in (400, 404), path
                        assert CANARY not in await response.text()
