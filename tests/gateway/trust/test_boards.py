"""A camera that gets another board: one registry entry, one key, one board."""

import json
from pathlib import Path
from typing import Any

import pytest

from custom_components.magicpi_nvr.gateway import Registry
from tests.harness.gateway import (
    CAMERA_ID,
    MemoryStorage,
    RunningGateway,
    headers,
    hello,
    registration,
)

BOARD_ID = "24:6F:28:12:34:99"
STORED = Path(__file__).parents[1] / "fixtures/registry-0.1.0.json"


async def register(
    gateway: RunningGateway, board_id: str, camera_id: str, status: int = 201
) -> dict[str, Any]:
    """Register a board as a camera; returns the answer."""
    token = gateway.server.issue_token(
        board_id, data={"name": "Gate"}, camera_id=camera_id
    )
    answer = await gateway.call("POST", "/register", json=registration(token, board_id))
    assert answer[0] == status
    return dict(answer[1])


async def test_new_board(gateway: RunningGateway) -> None:
    """The old board's session ends with `forget` and 4003, its key is nobody's, settings and totals stay."""
    camera, old = await gateway.register()
    camera.set_config({"framerate": 5})
    async with gateway.connect(old) as wire:
        await wire.greet()
        await wire.send_frame(1)
        await wire.expect_ack(1)
        answer = await register(gateway, BOARD_ID, CAMERA_ID)
        assert (await wire.expect("command"))["name"] == "forget"
        assert (await wire.closed())[0] == 4003
    assert answer["config"]["framerate"] == 5
    new = headers(answer["api_key"], BOARD_ID)
    assert list(gateway.server.cameras) == [CAMERA_ID]
    assert gateway.server.cameras[CAMERA_ID] is camera
    assert (camera.id, camera.board_id) == (CAMERA_ID, BOARD_ID)
    assert camera.counters.frames == 1
    assert camera.telemetry.battery_pct is None
    unknown = await gateway.call(
        "GET", "/stats", headers("no key", "24:6F:28:00:00:02")
    )
    for auth in (old, headers(answer["api_key"], CAMERA_ID)):
        status, body, _ = await gateway.call("GET", "/stats", auth)
        assert (status, body) == unknown[:2]
    # Nobody is asked to claim it again
    assert not gateway.delegate.stale
    wrong = old | {"X-Camera-Id": BOARD_ID}
    assert (await gateway.call("GET", "/stats", wrong))[0] == 401
    status, body, _ = await gateway.call("GET", "/device/status", new)
    assert (status, body["id"]) == (200, BOARD_ID)
    async with gateway.connect(new) as wire:
        await wire.greet(id=BOARD_ID, boot=78)
        assert camera.session
    # A hello in the camera's name is none of this board
    async with gateway.connect(new) as wire:
        await wire.send(hello(id=CAMERA_ID))
        assert (await wire.closed())[0] == 1008


async def test_stored(gateway: RunningGateway) -> None:
    """Which board a camera is survives a restart."""
    await gateway.register()
    answer = await register(gateway, BOARD_ID, CAMERA_ID)
    saved = gateway.storage.flush()
    registry = Registry(MemoryStorage(saved))
    await registry.load()
    assert registry.cameras[CAMERA_ID].board_id == BOARD_ID
    assert registry.camera_of(CAMERA_ID) is None
    assert registry.check_key(BOARD_ID, answer["api_key"]) is not None
    assert registry.check_key(CAMERA_ID, answer["api_key"]) is None
    # What claims a board that another camera is, and what is no id, is left out
    (values,) = saved["cameras"].values()
    saved["cameras"]["24:6F:28:00:00:02"] = values
    saved["cameras"]["24:6F:28:00:00:04"] = values | {"board_id": 5}
    registry = Registry(MemoryStorage(saved))
    await registry.load()
    assert list(registry.cameras) == [CAMERA_ID]


async def test_stored_by_the_first_version() -> None:
    """Cameras of 0.1.0 are their own boards."""
    registry = Registry(MemoryStorage(json.loads(STORED.read_text())))
    await registry.load()
    assert registry.cameras
    for camera in registry.cameras.values():
        assert camera.board_id == camera.id
        assert registry.camera_of(camera.id) is camera


async def test_board_of_another_camera(gateway: RunningGateway) -> None:
    """A board is one camera at a time."""
    camera, auth = await gateway.register()
    other, others = await gateway.register(BOARD_ID)
    assert (await register(gateway, BOARD_ID, CAMERA_ID, 409))["error"] == "claimed"
    for known, key in ((camera, auth), (other, others)):
        assert known.board_id == known.id
        assert (await gateway.call("GET", "/stats", key))[0] == 200


@pytest.mark.parametrize("board_id", [CAMERA_ID, BOARD_ID])
async def test_forgotten(gateway: RunningGateway, board_id: str) -> None:
    """A camera that is removed takes its board's key and the tokens for it along."""
    await gateway.register()
    answer = await register(gateway, board_id, CAMERA_ID)
    token = gateway.server.issue_token(
        "24:6F:28:00:00:02", data={}, camera_id=CAMERA_ID
    )
    await gateway.server.forget(CAMERA_ID)
    status, _, _ = await gateway.call(
        "GET", "/stats", headers(answer["api_key"], board_id)
    )
    assert status == 401
    body = registration(token, "24:6F:28:00:00:02")
    assert (await gateway.call("POST", "/register", json=body))[0] == 401
    assert not gateway.server.cameras
    await gateway.register(board_id)
    await gateway.register("24:6F:28:00:00:02")
