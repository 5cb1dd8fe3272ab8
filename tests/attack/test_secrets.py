"""Keys, tokens and setup codes of a whole run, looked for in all that Home Assistant writes and tells."""

import asyncio
from collections.abc import AsyncGenerator
import json
from pathlib import Path
from typing import Any

import pytest

from custom_components.magicpi_nvr.gateway.trust.authority import CA_FILE, SERVER_FILE
from integration_setup import DOMAIN, FLOWS, STEP_TIMEOUT
from tests.harness.home_assistant_process import all_ready, claim, prepare
from virtual_camera import LoopSource, VirtualCamera

CODE = "7K3M-Q9XD-2F5T-HW8R"
WRONG_CODE = "ABCD-EFGH-JKMN-PQRS"


@pytest.fixture
async def camera() -> AsyncGenerator[VirtualCamera]:
    """A camera on mains in setup mode."""
    camera = VirtualCamera(
        source=LoopSource.rendered(20, resolution="QVGA"),
        setup_code=CODE,
        always_on=True,
        wifi_s=0.01,
        tail_s=0.3,
        time_factor=50,
    )
    await camera.start()
    await camera.wait_state("setup")
    yield camera
    await camera.stop()


@pytest.mark.slow
async def test_no_secret_is_revealed(tmp_path: Path, camera: VirtualCamera) -> None:
    """Not in the log at its loudest, in diagnostics, system health, states, REST or storage."""
    loud = dict.fromkeys(
        ("aiohttp", "homeassistant", "asyncio", "custom_components", "websockets"),
        "debug",
    )
    hass, _ = await prepare(tmp_path, levels=loud, configuration="system_health:\n")
    await hass.start()
    try:
        # A person mistypes first
        flow = await hass.rest("POST", FLOWS, {"handler": DOMAIN})
        await hass.configure(
            flow["flow_id"], {"host": f"127.0.0.1:{camera.setup_port}"}
        )
        step = await hass.configure(
            flow["flow_id"], {"setup_code": WRONG_CODE, "name": "x"}
        )
        assert step["errors"]
        await hass.rest("DELETE", f"{FLOWS}/{flow['flow_id']}")
        await claim(hass, camera)
        bundle, first_key = camera.flash.bundle, camera.flash.api_key
        assert bundle
        assert first_key
        mark = camera.mark()
        camera.trigger_motion(0.5)
        await camera.wait_event("event_ended", after=mark)
        await all_ready(hass, 1)
        # A wrong key that looks like one
        right = camera.flash.api_key
        wrong = "wrongwrongwrongwrongwrongwrongwrongwrongwro"
        camera.flash.api_key = wrong
        with pytest.raises(Exception, match="401"):
            await camera.request("GET", "/stats")
        camera.flash.api_key = right
        await camera.request("GET", "/stats")

        answers: dict[str, Any] = {"states": await hass.states()}
        for entry in await hass.ws("config_entries/get", domain=DOMAIN):
            answers[entry["title"]] = await hass.rest(
                "GET", f"/api/diagnostics/config_entry/{entry['entry_id']}"
            )
        async with hass.websocket() as websocket:
            await websocket.ask("system_health/info")
            answers["health"] = await websocket.event()
        for path in ("device/status", "stats", "health", "recordings"):
            answers[path] = await hass.rest("GET", f"/api/{DOMAIN}/{path}")
        for command in ("cameras", "events"):
            answers[command] = await hass.ws(f"{DOMAIN}/{command}")
        for registry in ("device", "entity"):
            answers[registry] = await hass.ws(f"config/{registry}_registry/list")
        answers["flows"] = await hass.ws("config_entries/flow/progress")
        await asyncio.sleep(1.5)
    finally:
        await hass.stop(timeout=STEP_TIMEOUT)

    secrets = {
        "key": first_key,
        "token": bundle["token"],
        "wrong key": wrong,
        "setup code": CODE,
        "canonical setup code": CODE.replace("-", ""),
        "mistyped code": WRONG_CODE,
    }
    private = ("ca.pem", "server.pem")
    keys = [
        (hass.folder / ".storage" / DOMAIN / name).read_text().splitlines()[2]
        for name in (CA_FILE, SERVER_FILE)
    ]
    secrets |= dict(zip(private, keys, strict=True))
    written = {
        str(path.relative_to(hass.folder)): path.read_bytes()
        for path in hass.folder.rglob("*")
        if path.is_file()
        and path.name not in private
        and "custom_components" not in path.parts
    }
    written["answers"] = json.dumps(answers).encode()
    log = written["hass.log"].decode(errors="replace")
    assert "DEBUG" in log
    assert camera.id in log
    found = [
        (secret, place)
        for secret, value in secrets.items()
        for place, data in written.items()
        if value.encode() in data or value.lower().encode() in data.lower()
    ]
    assert found == []
    # What is kept is a hash
    stored = json.loads(written[f".storage/{DOMAIN}.cameras"])
    assert len(stored["data"]["cameras"][camera.id]["key_hash"]) == 64
    for name in private:
        path = hass.folder / ".storage" / DOMAIN / name
        assert path.stat().st_mode & 0o077 == 0
    assert (hass.folder / ".storage" / f"{DOMAIN}.cameras").stat().st_mode & 0o077 == 0
