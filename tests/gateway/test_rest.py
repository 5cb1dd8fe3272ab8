"""REST of the gateway: each row, each error."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import fields
from hashlib import sha256
import hmac
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from custom_components.magicpi_nvr.gateway.camera.camera import FirmwareOffer
from custom_components.magicpi_nvr.gateway.messages import Caps
from custom_components.magicpi_nvr.gateway.trust import registry
from custom_components.magicpi_nvr.gateway.trust.registry import RegistrationExpired
from tests.harness.gateway import (
    CAMERA_ID,
    CAPS,
    OTHER_ID,
    RunningGateway,
    headers,
    registration,
    run_gateway,
)
from tests.harness.waiting import until


async def register(gateway: RunningGateway, body: Any) -> tuple[int, Any, Any]:
    """Try to register."""
    return await gateway.call("POST", "/register", json=body)


# Registration


async def test_register(gateway: RunningGateway) -> None:
    """201 with the key and the first configuration; the owner hears of it."""
    token = gateway.server.issue_token(CAMERA_ID, data={"name": "Gate", "flow": 7})
    waiting = asyncio.create_task(gateway.server.wait_registered(CAMERA_ID))
    status, body, _ = await register(gateway, registration(token, future=1))
    assert status == 201
    assert len(body["api_key"]) == 43
    assert body["config"]["rev"] == 1
    assert body["config"]["resolution"] == "SVGA"
    camera = await waiting
    assert (camera.id, camera.name, camera.model) == (CAMERA_ID, "Gate", "ai-thinker")
    assert camera.caps == Caps.from_dict(CAPS)
    assert gateway.delegate.registered == [(camera, {"name": "Gate", "flow": 7})]
    # Also who asks later gets it.
    assert await gateway.server.wait_registered(CAMERA_ID) is camera
    saved = json.dumps(gateway.storage.flush())
    assert body["api_key"] not in saved
    assert token not in saved


async def test_key_is_safe_before_it_is_sent(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera gets its key once a crash can no longer make the gateway forget it."""
    written = asyncio.Event()
    asked = asyncio.Event()

    async def save_now(data_func: Callable[[], dict[str, Any]]) -> None:
        gateway.storage.save(data_func)
        asked.set()
        await written.wait()
        gateway.storage.flush()

    monkeypatch.setattr(gateway.storage, "save_now", save_now)
    token = gateway.server.issue_token(CAMERA_ID, data={})
    answer = asyncio.create_task(register(gateway, registration(token)))
    await asked.wait()
    await asyncio.sleep(0.1)
    assert not answer.done()
    written.set()
    assert (await answer)[0] == 201
    assert gateway.storage.data
    assert CAMERA_ID in gateway.storage.data["cameras"]


@pytest.mark.parametrize(
    "body",
    [
        "nonsense",
        [],
        {},
        {"id": CAMERA_ID},
        registration("t", "no-mac"),
        registration("t", caps=5),
        registration("t", caps={"resolutions": [1]}),
        registration("t", caps={"resolutions": []}),
        registration("t", caps={"battery": "yes"}),
        registration("t", caps={"psram": -1}),
        registration("t", model=None),
        registration("t", fw=""),
    ],
    ids=str,
)
async def test_malformed_registration(gateway: RunningGateway, body: Any) -> None:
    """400, and the token stays good."""
    token = gateway.server.issue_token(CAMERA_ID, data={})
    status, answer, _ = await register(gateway, body)
    assert (status, answer["error"]) == (400, "bad_request")
    assert (await register(gateway, registration(token)))[0] == 201


@pytest.mark.parametrize(
    "camera_id", ["00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF", "01:00:5E:00:00:FB"]
)
async def test_id_that_no_device_has(gateway: RunningGateway, camera_id: str) -> None:
    """A chip without a MAC is refused with a sentence."""
    token = gateway.server.issue_token(camera_id, data={})
    status, answer, _ = await register(gateway, registration(token, camera_id))
    assert (status, answer["error"]) == (400, "bad_request")
    assert "zero nor a group address" in answer["message"]
    assert not gateway.server.cameras


async def test_token_is_used_once(gateway: RunningGateway) -> None:
    """401 for a used token, and for a strange one of an unknown id."""
    token = gateway.server.issue_token(CAMERA_ID, data={})
    assert (await register(gateway, registration("strange")))[0] == 401
    assert (await register(gateway, registration(token, OTHER_ID)))[0] == 401
    assert (await register(gateway, registration(token)))[0] == 201
    status, body, _ = await register(gateway, registration(token))
    assert (status, body["error"]) == (401, "bad_token")
    assert (await register(gateway, registration("strange")))[0] == 409


async def test_token_expires(gateway: RunningGateway) -> None:
    """Ten minutes; who waits is informed."""
    token = gateway.server.issue_token(CAMERA_ID, data={})
    waiting = asyncio.create_task(gateway.server.wait_registered(CAMERA_ID))
    gateway.clock.ahead = 599
    await asyncio.sleep(0.6)
    assert not waiting.done()
    gateway.clock.ahead = 601
    assert (await register(gateway, registration(token)))[0] == 401
    with pytest.raises(RegistrationExpired):
        await waiting


async def test_token_is_replaced_and_revoked(gateway: RunningGateway) -> None:
    """Only the newest token is good, and none after it was taken back."""
    older = gateway.server.issue_token(CAMERA_ID, data={})
    newer = gateway.server.issue_token(CAMERA_ID, data={})
    assert (await register(gateway, registration(older)))[0] == 401
    waiting = asyncio.create_task(gateway.server.wait_registered(CAMERA_ID))
    await asyncio.sleep(0)
    gateway.server.revoke_token(CAMERA_ID)
    with pytest.raises(RegistrationExpired):
        await waiting
    assert (await register(gateway, registration(newer)))[0] == 401
    with pytest.raises(RegistrationExpired):
        await gateway.server.wait_registered(CAMERA_ID)


async def test_claimed_with_another_token(gateway: RunningGateway) -> None:
    """409: a strange token for a camera that is registered."""
    await gateway.register()
    gateway.server.issue_token(CAMERA_ID, data={})
    status, body, _ = await register(gateway, registration("strange"))
    assert (status, body["error"]) == (409, "claimed")


async def test_too_long_registration(gateway: RunningGateway) -> None:
    """413 over 8 KiB, whether the length is given or not."""
    token = gateway.server.issue_token(CAMERA_ID, data={})
    body = json.dumps(registration(token)).encode()
    padded = body + b" " * (8192 - len(body))

    async def chunks() -> Any:
        for start in range(0, 9000, 1000):
            yield (body + b" " * 9000)[start : start + 1000]

    for data in (padded + b" ", chunks()):
        status, answer, _ = await gateway.call("POST", "/register", data=data)
        assert (status, answer["error"]) == (413, "too_large")
    assert (await gateway.call("POST", "/register", data=padded))[0] == 201


async def test_too_many_cameras(tmp_path: Path) -> None:
    """A clear word at the limit; the token stays good for when there is room."""
    async with run_gateway(tmp_path, max_cameras=1) as gateway:
        await gateway.register(OTHER_ID)
        assert not gateway.server.has_room(CAMERA_ID)
        assert gateway.server.has_room(OTHER_ID)
        token = gateway.server.issue_token(CAMERA_ID, data={})
        status, body, _ = await register(gateway, registration(token))
        assert (status, body["error"]) == (403, "too_many_cameras")
        await gateway.server.forget(OTHER_ID)
        assert (await register(gateway, registration(token)))[0] == 201


async def test_two_hundred_cameras(tmp_path: Path) -> None:
    """The limit is a setting, and so many are no trouble after a restart either."""
    async with run_gateway(tmp_path, max_cameras=200) as gateway:
        async with gateway.session() as http:
            for number in range(200):
                camera_id = f"24:6F:28:00:00:{number:02X}"
                token = gateway.server.issue_token(camera_id, data={})
                status, _, _ = await gateway.call(
                    "POST",
                    "/register",
                    http=http,
                    json=registration(token, camera_id),
                )
                assert status == 201
        storage = gateway.storage
    async with run_gateway(tmp_path, storage, max_cameras=200) as gateway:
        assert len(gateway.server.cameras) == 200
        assert not gateway.server.has_room(CAMERA_ID)


async def test_registration_tries_are_limited(gateway: RunningGateway) -> None:
    """429 with a time to wait; the right token gets in all the same."""
    token = gateway.server.issue_token(CAMERA_ID, data={})
    statuses = [(await register(gateway, registration("guess")))[0] for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    _, body, answer = await register(gateway, registration("guess"))
    assert body["error"] == "too_many_tries"
    assert int(answer["Retry-After"]) > 0
    assert (await register(gateway, registration(token)))[0] == 201


# Keys


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/device/status"),
        ("PUT", "/device/config"),
        ("GET", "/recordings"),
        ("GET", "/stats"),
        ("GET", f"/firmware/{'0' * 64}"),
        ("GET", "/ws"),
    ],
)
async def test_key_is_asked_for(
    gateway: RunningGateway, method: str, path: str
) -> None:
    """Wrong key, unknown id, none at all: one and the same answer."""
    _, auth = await gateway.register()
    key = auth["Authorization"]
    answers = [
        await gateway.call(method, path, wrong)
        for wrong in (
            None,
            headers("wrong"),
            headers("wrong", OTHER_ID),
            {"Authorization": key},
            {"Authorization": key, "X-Camera-Id": OTHER_ID},
            {"Authorization": key, "X-Camera-Id": CAMERA_ID.lower()},
            {"X-Camera-Id": CAMERA_ID},
            {**auth, "Authorization": key.replace("Bearer", "Basic")},
            {**auth, "Authorization": key + "x"},
        )
    ]
    expected = {"error": "unauthorized", "message": "unknown camera or key"}
    assert [(status, body) for status, body, _ in answers] == [(401, expected)] * 9
    names = {tuple(sorted(answer.keys())) for _, _, answer in answers}
    assert len(names) == 1


async def test_every_secret_takes_the_same_comparisons(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right or wrong, known id or not: hashes of one length, compared in constant time."""
    _, auth = await gateway.register()
    token = gateway.server.issue_token(OTHER_ID, data={})
    compared: list[tuple[int, int]] = []

    def compare(left: str, right: str) -> bool:
        compared.append((len(left), len(right)))
        return hmac.compare_digest(left, right)

    monkeypatch.setattr(registry, "hmac", SimpleNamespace(compare_digest=compare))
    for presented, status in (
        (auth, 200),
        (headers("wrong"), 401),
        (headers("wrong", OTHER_ID), 401),
    ):
        assert (await gateway.call("GET", "/stats", presented))[0] == status
        assert compared == [(64, 64)] * 2
        compared.clear()
    unknown = "24:6F:28:AA:BB:EE"
    for shown, camera_id, status in (
        ("wrong", unknown, 401),
        ("wrong", OTHER_ID, 401),
        (token, OTHER_ID, 201),
    ):
        assert (await register(gateway, registration(shown, camera_id)))[0] == status
        assert compared == [(64, 64)]
        compared.clear()


async def test_every_counter_is_answered(gateway: RunningGateway) -> None:
    """`/stats` and `/device/status` with everything counted, waiting and refused."""
    camera, auth = await gateway.register()
    counters = camera.counters
    for number, item in enumerate(fields(counters), 1):
        value = getattr(counters, item.name)
        if isinstance(value, Counter):
            value.update({"crc": number, "zeroed": 1})
        else:
            setattr(counters, item.name, number)
    camera.frame_given_up()
    camera.set_config({"framerate": 5})
    status, stats, _ = await gateway.call("GET", "/stats", auth)
    assert status == 200
    assert stats == {"id": CAMERA_ID, **counters.as_dict()}
    assert stats["given_up"] > 1
    assert stats["lost"] > 1
    assert all(value for value in stats.values())
    status, answer, _ = await gateway.call("GET", "/device/status", auth)
    assert status == 200
    assert answer["pending"] == ["framerate"]
    gateway.registry.save()
    saved = gateway.storage.flush()
    assert saved is not None
    assert saved["cameras"][CAMERA_ID]["counters"] == counters.as_dict()


async def test_wrong_keys_are_limited(gateway: RunningGateway) -> None:
    """By address and by id; who has the key gets in from the very same address."""
    _, auth = await gateway.register()
    statuses = [
        (await gateway.call("GET", "/stats", headers("wrong", OTHER_ID)))[0]
        for _ in range(15)
    ]
    assert statuses == [401] * 10 + [429] * 5
    status, _, answer = await gateway.call("GET", "/stats", headers("wrong"))
    assert status == 429
    assert int(answer["Retry-After"]) > 0
    assert (await gateway.call("GET", "/stats", auth))[0] == 200
    async with gateway.connect(auth) as connection:
        await connection.greet()
    gateway.clock.ahead = 3600
    assert (await gateway.call("GET", "/stats", headers("wrong")))[0] == 401


async def test_victim_of_guesses(gateway: RunningGateway) -> None:
    """Guesses at its id from anywhere don't keep a camera out."""
    _, auth = await gateway.register()
    for number in range(30):
        gateway.registry.failed(f"10.0.0.{number}", CAMERA_ID)
    assert (await gateway.call("GET", "/stats", headers("wrong")))[0] == 429
    assert (await gateway.call("GET", "/stats", auth))[0] == 200


async def test_tables_of_failures_are_bounded(gateway: RunningGateway) -> None:
    """A million addresses cost no memory."""
    while not gateway.registry.failed("first", "first"):
        pass
    for number in range(2046):
        gateway.registry.failed(str(number), str(number))
    assert gateway.registry.failed("first", "other")
    assert gateway.registry.failed("another", "first")
    for number in range(2048):
        gateway.registry.failed(str(number), str(number))
    assert not gateway.registry.failed("first", "first")


async def test_stale_key(gateway: RunningGateway) -> None:
    """The owner hears when a known camera seems to have lost its key."""
    _, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await gateway.call("GET", "/stats", headers("wrong"))
        assert gateway.delegate.stale == []
        await connection.leave()
    await gateway.call("GET", "/stats", headers("wrong", OTHER_ID))
    assert gateway.delegate.stale == []
    await gateway.call("GET", "/stats", headers("wrong"))
    await gateway.call("GET", "/stats", headers("wrong"))
    assert gateway.delegate.stale == [CAMERA_ID]
    camera = gateway.server.cameras[CAMERA_ID]
    # Somebody elsewhere who only names the id starts nothing.
    camera.address = "10.1.2.3"
    gateway.clock.ahead = 120
    await gateway.call("GET", "/stats", headers("wrong"))
    assert gateway.delegate.stale == [CAMERA_ID]


# What cameras ask


async def test_health(gateway: RunningGateway) -> None:
    """Anybody may ask, and learns nothing of cameras."""
    await gateway.register()
    status, body, _ = await gateway.call("GET", "/health")
    assert (status, body) == (200, {"status": "ok", "version": "1.2.3", "proto": 1})


async def test_status(gateway: RunningGateway) -> None:
    """A camera sees how the gateway sees it."""
    camera, auth = await gateway.register(name="Gate")
    status, body, _ = await gateway.call("GET", "/device/status", auth)
    assert status == 200
    assert body == {
        "id": CAMERA_ID,
        "name": "Gate",
        "state": "asleep",
        "last_seen": None,
        "next_check_in": None,
        "config_rev": None,
        "wanted_rev": 1,
        "pending": [],
        "battery_mv": None,
        "battery_pct": None,
        "rssi": None,
    }
    async with gateway.connect(auth) as connection:
        await connection.greet()
        camera.set_config({"vflip": True})
        _, body, _ = await gateway.call("GET", "/device/status", auth)
        assert body["last_seen"] == camera.last_seen_ms
    assert body["state"] == "awake"
    assert body["config_rev"] == 1
    assert body["wanted_rev"] == 2
    assert body["pending"] == ["vflip"]
    assert (body["battery_mv"], body["battery_pct"], body["rssi"]) == (3900, 80, -61)


async def test_put_config(gateway: RunningGateway) -> None:
    """Changes at the camera are merged; a desired value stays."""
    camera, auth = await gateway.register()
    camera.set_config({"framerate": 5})
    for body in (
        {"vflip": True, "framerate": 20, "unknown": 1},
        {"rev": 1, "config": {"vflip": True, "framerate": 20}},
    ):
        status, answer, _ = await gateway.call("PUT", "/device/config", auth, json=body)
        assert status == 200
        assert answer["rev"] == answer["config"]["rev"] == 3
        assert answer["config"]["vflip"] is True
        assert answer["config"]["framerate"] == 5
    assert camera.config.pending == {"framerate": 5}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"nonsense", "bad_request"),
        (b"[1]", "bad_request"),
        (b'{"config":[]}', "bad_request"),
        (b'{"framerate":99}', "bad_config"),
        (b'{"resolution":"8K"}', "bad_config"),
        (b'{"vflip":1}', "bad_config"),
    ],
)
async def test_bad_config(gateway: RunningGateway, body: bytes, error: str) -> None:
    """400, and nothing is changed."""
    camera, auth = await gateway.register()
    status, answer, _ = await gateway.call("PUT", "/device/config", auth, data=body)
    assert (status, answer["error"]) == (400, error)
    assert camera.config.rev == 1


async def test_recordings(gateway: RunningGateway) -> None:
    """The camera's own, with filters; the owner answers."""
    _, auth = await gateway.register()
    path = "/recordings?from=1000&to=2000&limit=5&cursor=abc"
    status, body, _ = await gateway.call("GET", path, auth)
    assert (status, body) == (200, {"recordings": [{"id": "x"}], "cursor": None})
    await gateway.call("GET", "/recordings", auth)
    assert gateway.delegate.queries == [
        {
            "camera": CAMERA_ID,
            "start_ms": 1000,
            "end_ms": 2000,
            "limit": 5,
            "cursor": "abc",
        },
        {
            "camera": CAMERA_ID,
            "start_ms": None,
            "end_ms": None,
            "limit": 50,
            "cursor": None,
        },
    ]


@pytest.mark.parametrize(
    "query",
    [
        "from=x",
        "from=-1",
        "to=1e9",
        "to=99999999999999999",
        "limit=0",
        "limit=1000",
        "limit=٣",
        "cursor=broken",
        f"cursor={'x' * 600}",
    ],
)
async def test_bad_query(gateway: RunningGateway, query: str) -> None:
    """400."""
    _, auth = await gateway.register()
    status, body, _ = await gateway.call("GET", f"/recordings?{query}", auth)
    assert (status, body["error"]) == (400, "bad_request")


async def test_stats(gateway: RunningGateway) -> None:
    """Own counters."""
    _, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet(lost=3)
        await connection.send_frame(1)
        await connection.send_frame(1)
        await connection.ws.send_bytes(b"x")
        await connection.send_frame(2)
        await connection.expect_ack(2)
    status, body, _ = await gateway.call("GET", "/stats", auth)
    assert status == 200
    assert body["id"] == CAMERA_ID
    assert (body["frames"], body["duplicates"], body["lost"]) == (2, 1, 3)
    assert body["drops"] == {"short_header": 1}
    assert body["bytes"] > 0
    assert body["wakes"] == body["connections"] == 1


async def test_firmware(gateway: RunningGateway, tmp_path: Path) -> None:
    """Only the camera that it was offered to gets an image, in ranges too."""
    image = bytes(range(256)) * 100
    digest = sha256(image).hexdigest()
    path = tmp_path / "image.bin"
    path.write_bytes(image)
    gateway.delegate.images[digest] = path
    camera, auth = await gateway.register()
    _, other_auth = await gateway.register(OTHER_ID)
    url = f"/firmware/{digest}"
    assert (await gateway.call("GET", url, auth))[0] == 404
    camera.offer_firmware(
        FirmwareOffer(version="2.0.0", sha256=digest, size=len(image))
    )
    async with gateway.session() as http:
        async with gateway.request(http, "GET", url, headers=auth) as response:
            assert response.status == 200
            assert await response.read() == image
            assert response.headers["Accept-Ranges"] == "bytes"
        part = {**auth, "Range": "bytes=1000-1999"}
        async with gateway.request(http, "GET", url, headers=part) as response:
            assert response.status == 206
            assert await response.read() == image[1000:2000]
            assert response.headers["Content-Range"] == f"bytes 1000-1999/{len(image)}"
    status, body, _ = await gateway.call("GET", url, other_auth)
    assert (status, body["error"]) == (404, "not_found")
    for odd in ("0" * 64, "..%2f..%2fetc%2fpasswd", digest.upper()):
        assert (await gateway.call("GET", f"/firmware/{odd}", auth))[0] == 404
    gateway.delegate.images.clear()
    assert (await gateway.call("GET", url, auth))[0] == 404


# What nobody should ask


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/../etc/passwd", 404, "not_found"),
        ("GET", "/register", 405, "method_not_allowed"),
        ("DELETE", "/health", 405, "method_not_allowed"),
        ("POST", "/ws", 405, "method_not_allowed"),
    ],
)
async def test_wrong_questions(
    gateway: RunningGateway, method: str, path: str, status: int, error: str
) -> None:
    """The same body for every error."""
    answer = await gateway.call(method, path)
    assert answer[0] == status
    assert answer[1]["error"] == error
    assert set(answer[1]) == {"error", "message"}
    if status == 405:
        assert answer[2]["Allow"]


async def test_internal_error(
    gateway: RunningGateway,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """500 in the same form, with one trace in the log and nothing of it outside."""
    _, auth = await gateway.register()
    broken = AsyncMock(side_effect=RuntimeError("secret detail"))
    monkeypatch.setattr(gateway.delegate, "recordings", broken)
    status, body, _ = await gateway.call("GET", "/recordings", auth)
    assert (status, body["error"]) == (500, "internal")
    assert "secret" not in json.dumps(body)
    assert sum(record.exc_info is not None for record in caplog.records) == 1
    caplog.clear()


async def test_recordings_on_a_storage_that_does_not_answer(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, which a camera may ask again, and not the mistake of a server."""
    _, auth = await gateway.register()
    broken = AsyncMock(side_effect=OSError("the storage does not answer"))
    monkeypatch.setattr(gateway.delegate, "recordings", broken)
    status, body, _ = await gateway.call("GET", "/recordings", auth)
    assert (status, body["error"]) == (503, "storage")


async def test_requests_of_one_camera_are_bounded(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera with its key can't pile up requests either."""
    _, auth = await gateway.register()
    release = asyncio.Event()

    async def slow(*_args: Any, **_kwargs: Any) -> Any:
        await release.wait()
        return {"recordings": [], "cursor": None}

    monkeypatch.setattr(gateway.delegate, "recordings", slow)
    tasks = [
        asyncio.create_task(gateway.call("GET", "/recordings", auth)) for _ in range(9)
    ]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result()[0] for task in done] == [429]
    release.set()
    statuses = sorted([(await task)[0] for task in tasks])
    assert statuses == [200] * 8 + [429]


async def all_closed(gateway: RunningGateway) -> None:
    """Wait until no connection of a camera is left."""
    await until(lambda: not any(map(gateway.connections, (CAMERA_ID, OTHER_ID))))


async def test_connections_of_one_camera_are_bounded(gateway: RunningGateway) -> None:
    """Nor idle connections: they count until they are closed."""
    _, auth = await gateway.register()
    _, other_auth = await gateway.register(OTHER_ID)
    await all_closed(gateway)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(gateway.session()) for _ in range(9)]
        for http in clients[:8]:
            assert (await gateway.call("GET", "/stats", auth, http))[0] == 200
        status, body, answer = await gateway.call("GET", "/stats", auth, clients[8])
        assert (status, body["error"]) == (429, "too_many_tries")
        assert int(answer["Retry-After"]) > 0
        assert answer["Connection"] == "close"
        assert gateway.server.counters["refused_camera"] == 1
        # Those that are there go on, and another camera is served
        for http in clients[:8]:
            assert (await gateway.call("GET", "/stats", auth, http))[0] == 200
        assert (await gateway.call("GET", "/stats", other_auth))[0] == 200
        # One that is closed makes room
        await clients[0].close()
        await until(lambda: gateway.connections(CAMERA_ID) == 7)
        assert (await gateway.call("GET", "/stats", auth, clients[8]))[0] == 200
    await until(lambda: not gateway.connections(CAMERA_ID))


async def test_sessions_count_among_connections(gateway: RunningGateway) -> None:
    """Seven idle connections and a WebSocket are eight; a reconnect is the ninth while it lasts."""
    _, auth = await gateway.register()
    await all_closed(gateway)
    async with AsyncExitStack() as stack:
        async with gateway.connect(auth) as connection:
            await connection.greet()
            for _ in range(7):
                http = await stack.enter_async_context(gateway.session())
                assert (await gateway.call("GET", "/stats", auth, http))[0] == 200
            assert (await gateway.call("GET", "/stats", auth))[0] == 429
        await until(lambda: gateway.connections(CAMERA_ID) == 7)
        async with gateway.connect(auth) as connection:
            await connection.greet()


async def test_lost_before_it_was_counted(gateway: RunningGateway) -> None:
    """A request that outlives its connection takes no place for good."""
    _, auth = await gateway.register()
    await all_closed(gateway)
    async with gateway.session() as http:
        assert (await gateway.call("GET", "/stats", auth, http))[0] == 200
        counted = gateway.server._api._connections[CAMERA_ID]
        (connection,) = counted
    await until(lambda: not counted)
    gateway.server._api._count(connection, CAMERA_ID)
    assert not counted


async def test_connection_of_two_cameras(gateway: RunningGateway) -> None:
    """It counts for the one whose key it showed last."""
    _, auth = await gateway.register()
    _, other_auth = await gateway.register(OTHER_ID)
    await all_closed(gateway)
    async with gateway.session(limit=1) as http:
        for used, camera_id in ((auth, CAMERA_ID), (other_auth, OTHER_ID)):
            assert (await gateway.call("GET", "/stats", used, http))[0] == 200
            counted = {key: gateway.connections(key) for key in (CAMERA_ID, OTHER_ID)}
            assert {key: count for key, count in counted.items() if count} == {
                camera_id: 1
            }
        # Also when the other has no room for it
        async with AsyncExitStack() as stack:
            for _ in range(8):
                more = await stack.enter_async_context(gateway.session())
                assert (await gateway.call("GET", "/stats", auth, more))[0] == 200
            assert (await gateway.call("GET", "/stats", auth, http))[0] == 429
            assert gateway.connections(CAMERA_ID) == 8
            await until(lambda: not gateway.connections(OTHER_ID))


async def test_claimed_again_beside_a_thief(gateway: RunningGateway) -> None:
    """Connections of an old key don't keep the new one's first from being made."""
    _, auth = await gateway.register()
    await all_closed(gateway)
    async with AsyncExitStack() as stack:
        for _ in range(8):
            http = await stack.enter_async_context(gateway.session())
            assert (await gateway.call("GET", "/stats", auth, http))[0] == 200
        await gateway.register()


async def test_a_cameras_error_costs_no_handshake(gateway: RunningGateway) -> None:
    """Its connection stays open after 400 or 404, and is closed for a wrong key."""
    _, auth = await gateway.register()
    before = gateway.server.counters["connections"]
    async with gateway.session(limit=1) as http:
        for path, status in (
            ("/stats", 200),
            ("/recordings?limit=0", 400),
            ("/nowhere", 404),
            ("/stats", 200),
        ):
            assert (await gateway.call("GET", path, auth, http))[0] == status
        assert gateway.server.counters["connections"] == before + 1
        answer = (await gateway.call("GET", "/stats", headers("wrong"), http))[2]
        assert answer["Connection"] == "close"
        answer = (await gateway.call("GET", "/nowhere", None, http))[2]
        assert answer["Connection"] == "close"


async def test_secrets_are_not_logged(
    gateway: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither keys nor tokens, in the log or in what objects say of themselves."""
    token = gateway.server.issue_token(CAMERA_ID, data={})
    _, body, _ = await register(gateway, registration(token))
    key = body["api_key"]
    camera = gateway.server.cameras[CAMERA_ID]
    async with gateway.connect(headers(key)) as connection:
        await connection.greet()
        await gateway.call("GET", "/stats", headers("wrong-key"))
        rekey = asyncio.create_task(camera.rekey())
        command = await connection.expect("command")
        await connection.send({"type": "result", "id": command["id"], "ok": True})
        await rekey
    shown = caplog.text + repr(vars(camera)) + repr(vars(gateway.registry))
    for secret in (key, token, "wrong-key", command["args"]["api_key"]):
        assert secret not in shown
