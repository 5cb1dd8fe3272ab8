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

import pytest

from custom_components.magicpi_nvr.gateway.camera.camera import FirmwareOffer
from custom_components.magicpi_nvr.gateway.protocol import Caps
from custom_components.magicpi_nvr.gateway.trust import registry
from custom_components.magicpi_nvr.gateway.trust.registry import RegistrationExpired

from .support import (
    CAMERA_ID,
    CAPS,
    OTHER_ID,
    House,
    headers,
    registration,
    run_house,
    until,
)


async def register(house: House, body: Any) -> tuple[int, Any, Any]:
    """Try to register."""
    return await house.call("POST", "/register", json=body)


# Registration


async def test_register(house: House) -> None:
    """201 with the key and the first configuration; the owner hears of it."""
    token = house.gateway.issue_token(CAMERA_ID, data={"name": "Gate", "flow": 7})
    waiting = asyncio.create_task(house.gateway.wait_registered(CAMERA_ID))
    status, body, _ = await register(house, registration(token, future=1))
    assert status == 201
    assert len(body["api_key"]) == 43
    assert body["config"]["rev"] == 1
    assert body["config"]["resolution"] == "SVGA"
    camera = await waiting
    assert (camera.id, camera.name, camera.model) == (CAMERA_ID, "Gate", "ai-thinker")
    assert camera.caps == Caps.from_dict(CAPS)
    assert house.owner.registered == [(camera, {"name": "Gate", "flow": 7})]
    # Also who asks later gets it.
    assert await house.gateway.wait_registered(CAMERA_ID) is camera
    saved = json.dumps(house.storage.flush())
    assert body["api_key"] not in saved
    assert token not in saved


async def test_key_is_safe_before_it_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera gets its key once a crash can no longer make the gateway forget it."""
    written = asyncio.Event()
    asked = asyncio.Event()

    async def save_now(data_func: Callable[[], dict[str, Any]]) -> None:
        house.storage.save(data_func)
        asked.set()
        await written.wait()
        house.storage.flush()

    monkeypatch.setattr(house.storage, "save_now", save_now)
    token = house.gateway.issue_token(CAMERA_ID, data={})
    answer = asyncio.create_task(register(house, registration(token)))
    await asked.wait()
    await asyncio.sleep(0.1)
    assert not answer.done()
    written.set()
    assert (await answer)[0] == 201
    assert house.storage.data
    assert CAMERA_ID in house.storage.data["cameras"]


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
async def test_malformed_registration(house: House, body: Any) -> None:
    """400, and the token stays good."""
    token = house.gateway.issue_token(CAMERA_ID, data={})
    status, answer, _ = await register(house, body)
    assert (status, answer["error"]) == (400, "bad_request")
    assert (await register(house, registration(token)))[0] == 201


@pytest.mark.parametrize(
    "camera_id", ["00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF", "01:00:5E:00:00:FB"]
)
async def test_id_that_no_device_has(house: House, camera_id: str) -> None:
    """A chip without a MAC is refused with a sentence."""
    token = house.gateway.issue_token(camera_id, data={})
    status, answer, _ = await register(house, registration(token, camera_id))
    assert (status, answer["error"]) == (400, "bad_request")
    assert "zero nor a group address" in answer["message"]
    assert not house.gateway.cameras


async def test_token_is_used_once(house: House) -> None:
    """401 for a used token, and for a strange one of an unknown id."""
    token = house.gateway.issue_token(CAMERA_ID, data={})
    assert (await register(house, registration("strange")))[0] == 401
    assert (await register(house, registration(token, OTHER_ID)))[0] == 401
    assert (await register(house, registration(token)))[0] == 201
    status, body, _ = await register(house, registration(token))
    assert (status, body["error"]) == (401, "bad_token")
    assert (await register(house, registration("strange")))[0] == 409


async def test_token_expires(house: House) -> None:
    """Ten minutes; whoever waits is told."""
    token = house.gateway.issue_token(CAMERA_ID, data={})
    waiting = asyncio.create_task(house.gateway.wait_registered(CAMERA_ID))
    house.clock.ahead = 599
    await asyncio.sleep(0.6)
    assert not waiting.done()
    house.clock.ahead = 601
    assert (await register(house, registration(token)))[0] == 401
    with pytest.raises(RegistrationExpired):
        await waiting


async def test_token_is_replaced_and_revoked(house: House) -> None:
    """Only the newest token is good, and none after it was taken back."""
    older = house.gateway.issue_token(CAMERA_ID, data={})
    newer = house.gateway.issue_token(CAMERA_ID, data={})
    assert (await register(house, registration(older)))[0] == 401
    waiting = asyncio.create_task(house.gateway.wait_registered(CAMERA_ID))
    await asyncio.sleep(0)
    house.gateway.revoke_token(CAMERA_ID)
    with pytest.raises(RegistrationExpired):
        await waiting
    assert (await register(house, registration(newer)))[0] == 401
    with pytest.raises(RegistrationExpired):
        await house.gateway.wait_registered(CAMERA_ID)


async def test_claimed_with_another_token(house: House) -> None:
    """409: a strange token for a camera that is registered."""
    await house.register()
    house.gateway.issue_token(CAMERA_ID, data={})
    status, body, _ = await register(house, registration("strange"))
    assert (status, body["error"]) == (409, "claimed")


async def test_too_long_registration(house: House) -> None:
    """413 over 8 KiB, whether the length is told or not."""
    token = house.gateway.issue_token(CAMERA_ID, data={})
    body = json.dumps(registration(token)).encode()
    padded = body + b" " * (8192 - len(body))

    async def chunks() -> Any:
        for start in range(0, 9000, 1000):
            yield (body + b" " * 9000)[start : start + 1000]

    for data in (padded + b" ", chunks()):
        status, answer, _ = await house.call("POST", "/register", data=data)
        assert (status, answer["error"]) == (413, "too_large")
    assert (await house.call("POST", "/register", data=padded))[0] == 201


async def test_too_many_cameras(tmp_path: Path) -> None:
    """A clear word at the limit; the token stays good for when there is room."""
    async with run_house(tmp_path, max_cameras=1) as house:
        await house.register(OTHER_ID)
        assert not house.gateway.has_room(CAMERA_ID)
        assert house.gateway.has_room(OTHER_ID)
        token = house.gateway.issue_token(CAMERA_ID, data={})
        status, body, _ = await register(house, registration(token))
        assert (status, body["error"]) == (403, "too_many_cameras")
        await house.gateway.forget(OTHER_ID)
        assert (await register(house, registration(token)))[0] == 201


async def test_two_hundred_cameras(tmp_path: Path) -> None:
    """The limit is a setting, and so many are no trouble after a restart either."""
    async with run_house(tmp_path, max_cameras=200) as house:
        async with house.session() as http:
            for number in range(200):
                camera_id = f"24:6F:28:00:00:{number:02X}"
                token = house.gateway.issue_token(camera_id, data={})
                status, _, _ = await house.call(
                    "POST",
                    "/register",
                    http=http,
                    json=registration(token, camera_id),
                )
                assert status == 201
        storage = house.storage
    async with run_house(tmp_path, storage, max_cameras=200) as house:
        assert len(house.gateway.cameras) == 200
        assert not house.gateway.has_room(CAMERA_ID)


async def test_registration_tries_are_limited(house: House) -> None:
    """429 with a time to wait; the right token gets in all the same."""
    token = house.gateway.issue_token(CAMERA_ID, data={})
    statuses = [(await register(house, registration("guess")))[0] for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    _, body, answer = await register(house, registration("guess"))
    assert body["error"] == "too_many_tries"
    assert int(answer["Retry-After"]) > 0
    assert (await register(house, registration(token)))[0] == 201


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
async def test_key_is_asked_for(house: House, method: str, path: str) -> None:
    """Wrong key, unknown id, none at all: one and the same answer."""
    _, auth = await house.register()
    key = auth["Authorization"]
    answers = [
        await house.call(method, path, wrong)
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
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right or wrong, known id or not: hashes of one length, compared in constant time."""
    _, auth = await house.register()
    token = house.gateway.issue_token(OTHER_ID, data={})
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
        assert (await house.call("GET", "/stats", presented))[0] == status
        assert compared == [(64, 64)] * 2
        compared.clear()
    unknown = "24:6F:28:AA:BB:EE"
    for shown, camera_id, status in (
        ("wrong", unknown, 401),
        ("wrong", OTHER_ID, 401),
        (token, OTHER_ID, 201),
    ):
        assert (await register(house, registration(shown, camera_id)))[0] == status
        assert compared == [(64, 64)]
        compared.clear()


async def test_every_counter_is_answered(house: House) -> None:
    """`/stats` and `/device/status` with everything counted, waiting and refused."""
    camera, auth = await house.register()
    counters = camera.counters
    for number, item in enumerate(fields(counters), 1):
        value = getattr(counters, item.name)
        if isinstance(value, Counter):
            value.update({"crc": number, "zeroed": 1})
        else:
            setattr(counters, item.name, number)
    camera.frame_given_up()
    camera.set_config({"framerate": 5})
    status, stats, _ = await house.call("GET", "/stats", auth)
    assert status == 200
    assert stats == {"id": CAMERA_ID, **counters.as_dict()}
    assert stats["given_up"] > 1
    assert stats["lost"] > 1
    assert all(value for value in stats.values())
    status, answer, _ = await house.call("GET", "/device/status", auth)
    assert status == 200
    assert answer["pending"] == ["framerate"]
    house.registry.save()
    saved = house.storage.flush()
    assert saved is not None
    assert saved["cameras"][CAMERA_ID]["counters"] == counters.as_dict()


async def test_wrong_keys_are_limited(house: House) -> None:
    """By address and by id; who has the key gets in from the very same address."""
    _, auth = await house.register()
    statuses = [
        (await house.call("GET", "/stats", headers("wrong", OTHER_ID)))[0]
        for _ in range(15)
    ]
    assert statuses == [401] * 10 + [429] * 5
    status, _, answer = await house.call("GET", "/stats", headers("wrong"))
    assert status == 429
    assert int(answer["Retry-After"]) > 0
    assert (await house.call("GET", "/stats", auth))[0] == 200
    async with house.connect(auth) as wire:
        await wire.greet()
    house.clock.ahead = 3600
    assert (await house.call("GET", "/stats", headers("wrong")))[0] == 401


async def test_victim_of_guesses(house: House) -> None:
    """Guesses at its id from anywhere don't keep a camera out."""
    _, auth = await house.register()
    for number in range(30):
        house.registry.failed(f"10.0.0.{number}", CAMERA_ID)
    assert (await house.call("GET", "/stats", headers("wrong")))[0] == 429
    assert (await house.call("GET", "/stats", auth))[0] == 200


async def test_tables_of_failures_are_bounded(house: House) -> None:
    """A million addresses cost no memory."""
    for number in range(5000):
        house.registry.failed(str(number), str(number))
    assert len(house.registry._by_address._buckets) == 2048
    assert len(house.registry._by_id._buckets) == 2048


async def test_stale_key(house: House) -> None:
    """The owner hears when a known camera seems to have lost its key."""
    _, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        await house.call("GET", "/stats", headers("wrong"))
        assert house.owner.stale == []
        await wire.leave()
    await house.call("GET", "/stats", headers("wrong", OTHER_ID))
    assert house.owner.stale == []
    await house.call("GET", "/stats", headers("wrong"))
    await house.call("GET", "/stats", headers("wrong"))
    assert house.owner.stale == [CAMERA_ID]
    camera = house.gateway.cameras[CAMERA_ID]
    # Somebody elsewhere who only names the id starts nothing.
    camera.address = "10.1.2.3"
    house.clock.ahead = 120
    await house.call("GET", "/stats", headers("wrong"))
    assert house.owner.stale == [CAMERA_ID]


# What cameras ask


async def test_health(house: House) -> None:
    """Anybody may ask, and learns nothing of cameras."""
    await house.register()
    status, body, _ = await house.call("GET", "/health")
    assert (status, body) == (200, {"status": "ok", "version": "1.2.3", "proto": 1})


async def test_status(house: House) -> None:
    """A camera sees how the gateway sees it."""
    camera, auth = await house.register(name="Gate")
    status, body, _ = await house.call("GET", "/device/status", auth)
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
    async with house.connect(auth) as wire:
        await wire.greet()
        camera.set_config({"vflip": True})
        _, body, _ = await house.call("GET", "/device/status", auth)
        assert body["last_seen"] == camera.last_seen_ms
    assert body["state"] == "awake"
    assert body["config_rev"] == 1
    assert body["wanted_rev"] == 2
    assert body["pending"] == ["vflip"]
    assert (body["battery_mv"], body["battery_pct"], body["rssi"]) == (3900, 80, -61)


async def test_put_config(house: House) -> None:
    """Changes at the camera are merged; a wish of the person stays."""
    camera, auth = await house.register()
    camera.set_config({"framerate": 5})
    for body in (
        {"vflip": True, "framerate": 20, "unknown": 1},
        {"rev": 1, "config": {"vflip": True, "framerate": 20}},
    ):
        status, answer, _ = await house.call("PUT", "/device/config", auth, json=body)
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
async def test_bad_config(house: House, body: bytes, error: str) -> None:
    """400, and nothing is changed."""
    camera, auth = await house.register()
    status, answer, _ = await house.call("PUT", "/device/config", auth, data=body)
    assert (status, answer["error"]) == (400, error)
    assert camera.config.rev == 1


async def test_recordings(house: House) -> None:
    """The camera's own, with filters; the owner answers."""
    _, auth = await house.register()
    path = "/recordings?from=1000&to=2000&limit=5&cursor=abc"
    status, body, _ = await house.call("GET", path, auth)
    assert (status, body) == (200, {"recordings": [{"id": "x"}], "cursor": None})
    await house.call("GET", "/recordings", auth)
    assert house.owner.queries == [
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
async def test_bad_query(house: House, query: str) -> None:
    """400."""
    _, auth = await house.register()
    status, body, _ = await house.call("GET", f"/recordings?{query}", auth)
    assert (status, body["error"]) == (400, "bad_request")


async def test_stats(house: House) -> None:
    """Own counters."""
    _, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet(lost=3)
        await wire.send_frame(1)
        await wire.send_frame(1)
        await wire.ws.send_bytes(b"x")
        await wire.send_frame(2)
        await wire.expect_ack(2)
    status, body, _ = await house.call("GET", "/stats", auth)
    assert status == 200
    assert body["id"] == CAMERA_ID
    assert (body["frames"], body["duplicates"], body["lost"]) == (2, 1, 3)
    assert body["drops"] == {"short_header": 1}
    assert body["bytes"] > 0
    assert body["wakes"] == body["connections"] == 1


async def test_firmware(house: House, tmp_path: Path) -> None:
    """Only the camera that it was offered to gets an image, in ranges too."""
    image = bytes(range(256)) * 100
    digest = sha256(image).hexdigest()
    path = tmp_path / "image.bin"
    path.write_bytes(image)
    house.owner.images[digest] = path
    camera, auth = await house.register()
    _, other_auth = await house.register(OTHER_ID)
    url = f"/firmware/{digest}"
    assert (await house.call("GET", url, auth))[0] == 404
    camera.offer_firmware(
        FirmwareOffer(version="2.0.0", sha256=digest, size=len(image))
    )
    async with house.session() as http:
        async with house.request(http, "GET", url, headers=auth) as response:
            assert response.status == 200
            assert await response.read() == image
            assert response.headers["Accept-Ranges"] == "bytes"
        part = {**auth, "Range": "bytes=1000-1999"}
        async with house.request(http, "GET", url, headers=part) as response:
            assert response.status == 206
            assert await response.read() == image[1000:2000]
            assert response.headers["Content-Range"] == f"bytes 1000-1999/{len(image)}"
    status, body, _ = await house.call("GET", url, other_auth)
    assert (status, body["error"]) == (404, "not_found")
    for odd in ("0" * 64, "..%2f..%2fetc%2fpasswd", digest.upper()):
        assert (await house.call("GET", f"/firmware/{odd}", auth))[0] == 404
    house.owner.images.clear()
    assert (await house.call("GET", url, auth))[0] == 404


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
    house: House, method: str, path: str, status: int, error: str
) -> None:
    """The same body for every error."""
    answer = await house.call(method, path)
    assert answer[0] == status
    assert answer[1]["error"] == error
    assert set(answer[1]) == {"error", "message"}
    if status == 405:
        assert answer[2]["Allow"]


async def test_internal_error(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """500 in the same form, with one trace in the log and nothing of it outside."""
    _, auth = await house.register()

    async def broken(*_args: Any, **_kwargs: Any) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(house.owner, "recordings", broken)
    status, body, _ = await house.call("GET", "/recordings", auth)
    assert (status, body["error"]) == (500, "internal")
    assert "secret" not in json.dumps(body)
    assert sum(record.exc_info is not None for record in caplog.records) == 1
    caplog.clear()


async def test_requests_of_one_camera_are_bounded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera with its key can't pile up requests either."""
    _, auth = await house.register()
    release = asyncio.Event()

    async def slow(*_args: Any, **_kwargs: Any) -> Any:
        await release.wait()
        return {"recordings": [], "cursor": None}

    monkeypatch.setattr(house.owner, "recordings", slow)
    tasks = [
        asyncio.create_task(house.call("GET", "/recordings", auth)) for _ in range(9)
    ]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result()[0] for task in done] == [429]
    release.set()
    statuses = sorted([(await task)[0] for task in tasks])
    assert statuses == [200] * 8 + [429]


async def all_closed(house: House) -> None:
    """Wait until no connection of a camera is left."""
    await until(lambda: not any(house.gateway._api._connections.values()))


async def test_connections_of_one_camera_are_bounded(house: House) -> None:
    """Nor idle connections: they count until they are closed."""
    _, auth = await house.register()
    _, other_auth = await house.register(OTHER_ID)
    await all_closed(house)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(house.session()) for _ in range(9)]
        for http in clients[:8]:
            assert (await house.call("GET", "/stats", auth, http))[0] == 200
        status, body, answer = await house.call("GET", "/stats", auth, clients[8])
        assert (status, body["error"]) == (429, "too_many_tries")
        assert int(answer["Retry-After"]) > 0
        assert answer["Connection"] == "close"
        assert house.gateway.counters["refused_camera"] == 1
        # Those that are there go on, and another camera is served
        for http in clients[:8]:
            assert (await house.call("GET", "/stats", auth, http))[0] == 200
        assert (await house.call("GET", "/stats", other_auth))[0] == 200
        # One that is closed makes room
        await clients[0].close()
        await until(lambda: len(house.gateway._api._connections[CAMERA_ID]) == 7)
        assert (await house.call("GET", "/stats", auth, clients[8]))[0] == 200
    await until(lambda: not house.gateway._api._connections[CAMERA_ID])


async def test_sessions_count_among_connections(house: House) -> None:
    """Seven idle connections and a WebSocket are eight; a reconnect is the ninth while it lasts."""
    _, auth = await house.register()
    await all_closed(house)
    async with AsyncExitStack() as stack:
        async with house.connect(auth) as wire:
            await wire.greet()
            for _ in range(7):
                http = await stack.enter_async_context(house.session())
                assert (await house.call("GET", "/stats", auth, http))[0] == 200
            assert (await house.call("GET", "/stats", auth))[0] == 429
        await until(lambda: len(house.gateway._api._connections[CAMERA_ID]) == 7)
        async with house.connect(auth) as wire:
            await wire.greet()


async def test_lost_before_it_was_counted(house: House) -> None:
    """A request that outlives its connection takes no place for good."""
    _, auth = await house.register()
    await all_closed(house)
    async with house.session() as http:
        assert (await house.call("GET", "/stats", auth, http))[0] == 200
        counted = house.gateway._api._connections[CAMERA_ID]
        (connection,) = counted
    await until(lambda: not counted)
    house.gateway._api._count(connection, CAMERA_ID)
    assert not counted


async def test_connection_of_two_cameras(house: House) -> None:
    """It counts for the one whose key it showed last."""
    _, auth = await house.register()
    _, other_auth = await house.register(OTHER_ID)
    await all_closed(house)
    async with house.session(limit=1) as http:
        for used, camera_id in ((auth, CAMERA_ID), (other_auth, OTHER_ID)):
            assert (await house.call("GET", "/stats", used, http))[0] == 200
            counted = house.gateway._api._connections
            assert {key: len(group) for key, group in counted.items() if group} == {
                camera_id: 1
            }
        # Also when the other has no room for it
        async with AsyncExitStack() as stack:
            for _ in range(8):
                more = await stack.enter_async_context(house.session())
                assert (await house.call("GET", "/stats", auth, more))[0] == 200
            assert (await house.call("GET", "/stats", auth, http))[0] == 429
            assert len(house.gateway._api._connections[CAMERA_ID]) == 8
            await until(lambda: not house.gateway._api._connections[OTHER_ID])


async def test_claimed_anew_beside_a_thief(house: House) -> None:
    """Connections of an old key don't keep the new one's first from being made."""
    _, auth = await house.register()
    await all_closed(house)
    async with AsyncExitStack() as stack:
        for _ in range(8):
            http = await stack.enter_async_context(house.session())
            assert (await house.call("GET", "/stats", auth, http))[0] == 200
        await house.register()


async def test_a_cameras_error_costs_no_handshake(house: House) -> None:
    """Its connection stays open after 400 or 404, and is closed for a wrong key."""
    _, auth = await house.register()
    before = house.gateway.counters["connections"]
    async with house.session(limit=1) as http:
        for path, status in (
            ("/stats", 200),
            ("/recordings?limit=0", 400),
            ("/nowhere", 404),
            ("/stats", 200),
        ):
            assert (await house.call("GET", path, auth, http))[0] == status
        assert house.gateway.counters["connections"] == before + 1
        answer = (await house.call("GET", "/stats", headers("wrong"), http))[2]
        assert answer["Connection"] == "close"
        answer = (await house.call("GET", "/nowhere", None, http))[2]
        assert answer["Connection"] == "close"


async def test_secrets_are_not_logged(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither keys nor tokens, in the log or in what objects say of themselves."""
    token = house.gateway.issue_token(CAMERA_ID, data={})
    _, body, _ = await register(house, registration(token))
    key = body["api_key"]
    camera = house.gateway.cameras[CAMERA_ID]
    async with house.connect(headers(key)) as wire:
        await wire.greet()
        await house.call("GET", "/stats", headers("wrong-key"))
        rekey = asyncio.create_task(camera.rekey())
        command = await wire.expect("command")
        await wire.send({"type": "result", "id": command["id"], "ok": True})
        await rekey
    shown = caplog.text + repr(vars(camera)) + repr(vars(house.registry))
    for secret in (key, token, "wrong-key", command["args"]["api_key"]):
        assert secret not in shown
