"""Setup mode: claiming by the protocol's section 2, registration by section 3."""

import asyncio
from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

import pytest
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from virtual_camera import VirtualCamera

from .conftest import MakeCamera
from .stand_in import (
    Authority,
    StandInGateway,
    get_setup,
    post_claim,
    post_setup,
    seal,
    to_base64url,
)

ID = "02:00:00:0A:0B:0C"
CODE = "0123-4567-89AB-CDEF"


@pytest.fixture
async def camera(make_camera: MakeCamera) -> VirtualCamera:
    """Return a camera in setup mode."""
    camera = make_camera(ID, setup_code=CODE, lockout_s=60)
    await camera.start()
    await camera.wait_event("setup_opened")
    return camera


async def test_tells_who_it_is(camera: VirtualCamera) -> None:
    """GET /setup has all that a claim needs."""
    info = await get_setup(camera.setup_port)
    assert info["id"] == ID
    assert info["proto"] == 1
    assert info["model"]
    assert info["fw"] == "1.0.0"
    assert len(info["nonce"]) == 22
    assert info["caps"]["motion"] == ["pir"]
    assert CODE.replace("-", "") not in json.dumps(info).replace("-", "")


def test_code_is_made_for_people() -> None:
    """A new camera's code has four groups of Crockford's base32, differs, and stays out of repr."""
    first, second = VirtualCamera(), VirtualCamera()
    assert first.setup_code != second.setup_code
    groups = first.setup_code.split("-")
    assert [len(group) for group in groups] == [4, 4, 4, 4]
    assert set("".join(groups)) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    assert first.setup_code not in repr(first) + repr(first.flash)


async def test_claim_and_registration(
    camera: VirtualCamera, stand_in: StandInGateway
) -> None:
    """The right code is answered with 204; the camera gets a key and closes setup mode."""
    port = camera.setup_port
    bundle = json.dumps(stand_in.bundle()).encode()
    assert await post_claim(port, CODE, bundle) == (204, {})
    await camera.wait_event("registered")
    (registration,) = stand_in.registrations
    assert registration["id"] == ID
    assert registration["caps"]["psram"] == 4194304
    assert registration["fw"] == "1.0.0"
    await camera.wait_event("welcome")
    assert camera.setup_port == 0
    with pytest.raises(OSError, match=r"."):
        await asyncio.open_connection("127.0.0.1", port)


async def test_code_as_people_write_it(
    make_camera: MakeCamera, stand_in: StandInGateway
) -> None:
    """Lower case, I, L and O for 1, 1 and 0 are the same code to camera and gateway."""
    camera = make_camera(ID, setup_code="oIl2-4567-89ab-cdef")
    assert camera.setup_code == "0112-4567-89AB-CDEF"
    await camera.start()
    assert await stand_in.claim(camera) == 204


async def test_wrong_code(camera: VirtualCamera, stand_in: StandInGateway) -> None:
    """A wrong code is answered with 403 and makes the nonce worthless."""
    port, data = camera.setup_port, json.dumps(stand_in.bundle()).encode()
    info = await get_setup(port)
    status, answer = await post_setup(port, seal(info, "0000-0000-0000-0000", data))
    assert (status, answer["error"]) == (403, "wrong_code")
    assert answer["nonce"] != info["nonce"]
    assert answer["nonce"] == (await get_setup(port))["nonce"]
    # The right code with the old nonce comes too late.
    status, answer = await post_setup(port, seal(info, CODE, data))
    assert (status, answer["error"]) == (410, "stale_nonce")
    assert (await post_claim(port, CODE, data))[0] == 204


async def test_altered_box_and_other_id(
    camera: VirtualCamera, stand_in: StandInGateway
) -> None:
    """A box that was altered, or made for another camera, does not open."""
    port, data = camera.setup_port, json.dumps(stand_in.bundle()).encode()
    claim = seal(await get_setup(port), CODE, data)
    swapped = "A" if claim["box"][9] != "A" else "B"
    claim["box"] = claim["box"][:9] + swapped + claim["box"][10:]
    assert (await post_setup(port, claim))[0] == 403
    info = await get_setup(port) | {"id": "02:00:00:00:00:01"}
    assert (await post_setup(port, seal(info, CODE, data)))[0] == 403


async def test_replayed_box(camera: VirtualCamera, stand_in: StandInGateway) -> None:
    """A box that was used is worth nothing; a claimed camera says so."""
    stand_in.register_status = [429] * 50
    claim = seal(
        await get_setup(camera.setup_port), CODE, json.dumps(stand_in.bundle()).encode()
    )
    assert (await post_setup(camera.setup_port, claim))[0] == 204
    status, answer = await post_setup(camera.setup_port, claim)
    assert (status, answer["error"]) == (409, "already_claimed")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        {},
        {"nonce": 5, "iv": "AAAAAAAAAAAAAAAA", "box": "A" * 40},
        {"nonce": "A" * 22, "iv": "AAAA", "box": "A" * 40},
        {"nonce": "A" * 22, "iv": "AAAAAAAAAAAAAAAA", "box": "A"},
        {"nonce": "!" * 22, "iv": "AAAAAAAAAAAAAAAA", "box": "A" * 40},
        {"nonce": "A" * 22, "iv": "AAAAAAAAAAAAAAAA", "box": "A" * 20_000},
        {"nonce": "A" * 22, "iv": "AAAAAAAAAAAAAAAA", "box": "\u00e4" * 40},
        b"\xff\xfe",
    ],
)
async def test_malformed(camera: VirtualCamera, body: Any) -> None:
    """What is no claim is answered with 400 and does not count as a try."""
    nonce = (await get_setup(camera.setup_port))["nonce"]
    for _ in range(6):
        status, answer = await post_setup(camera.setup_port, body)
        assert (status, answer["error"]) == (400, "malformed")
    assert (await get_setup(camera.setup_port))["nonce"] == nonce


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"gateway": {"hosts": [], "port": 1, "name": "x"}},
        {"gateway": {"hosts": ["127.0.0.1"], "port": 0, "name": "x"}},
        {"gateway": None},
        {"ca": "no PEM"},
        {"token": "short"},
    ],
)
async def test_bundle_that_is_none(
    camera: VirtualCamera, stand_in: StandInGateway, change: dict[str, Any]
) -> None:
    """A box with the right code but no proper bundle is malformed; setup mode stays open."""
    data = json.dumps(stand_in.bundle() | change).encode()
    status, _ = await post_claim(camera.setup_port, CODE, data)
    assert status == 400
    assert await stand_in.claim(camera) == 204


async def test_too_many_wrong_codes(
    make_camera: MakeCamera, stand_in: StandInGateway
) -> None:
    """After five wrong codes in a row even the right one has to wait."""
    camera = make_camera(ID, setup_code=CODE, lockout_s=0.5)
    await camera.start()
    await camera.wait_event("setup_opened")
    data = json.dumps(stand_in.bundle()).encode()
    for _ in range(5):
        status, _ = await post_claim(camera.setup_port, "0" * 16, data)
        assert status == 403
    status, answer = await post_claim(camera.setup_port, CODE, data)
    assert (status, answer["error"]) == (429, "too_many_tries")
    async with asyncio.timeout(10):
        while (await post_claim(camera.setup_port, CODE, data))[0] == 429:
            await asyncio.sleep(0.05)
    await camera.wait_event("registered")


async def test_bad_token_opens_setup_mode_again(
    camera: VirtualCamera, stand_in: StandInGateway
) -> None:
    """A token that is refused leaves an unclaimed camera behind."""
    bundle = stand_in.bundle(token=to_base64url(bytes(32)))
    status, _ = await post_claim(camera.setup_port, CODE, json.dumps(bundle).encode())
    assert status == 204
    failed = await camera.wait_event("register_failed")
    assert failed.data == {"status": 401, "error": "bad_token"}
    assert await stand_in.claim(camera) == 204
    await camera.wait_event("welcome")


async def test_registration_is_tried_again(
    camera: VirtualCamera, stand_in: StandInGateway
) -> None:
    """A gateway that is busy, broken or not there yet is asked again."""
    stand_in.register_status = [429, 503]
    assert await stand_in.claim(camera) == 204
    await camera.wait_event("welcome")
    assert len(stand_in.registrations) == 3


async def test_wrong_authority(
    camera: VirtualCamera, stand_in: StandInGateway, tmp_path: Path
) -> None:
    """A gateway whose certificate the claimed CA did not sign gets no token."""
    other = Authority(tmp_path)
    assert await stand_in.claim(camera, ca=other.ca_pem) == 204
    failed = await camera.wait_event("register_failed")
    assert failed.data["status"] == 0
    assert stand_in.registrations == []


async def test_wrong_name(camera: VirtualCamera, stand_in: StandInGateway) -> None:
    """The certificate has to bear the name in the bundle, whatever the address is."""
    bundle = stand_in.bundle()
    bundle["gateway"]["name"] = "other.magicpi.internal"
    await post_claim(camera.setup_port, CODE, json.dumps(bundle).encode())
    await camera.wait_event("register_failed")
    assert stand_in.registrations == []


async def test_expired_certificate(make_camera: MakeCamera, tmp_path: Path) -> None:
    """A camera has no clock, so it cannot mind a certificate's dates."""
    stand_in = StandInGateway(Authority(tmp_path, expired=True))
    await stand_in.start()
    try:
        camera = make_camera()
        await camera.start()
        await stand_in.claim(camera)
        await camera.wait_event("welcome")
    finally:
        await stand_in.stop()


async def test_second_host(camera: VirtualCamera, stand_in: StandInGateway) -> None:
    """Addresses are tried in order and the one that worked is the first the next time."""
    await stand_in.claim(camera, hosts=["127.0.0.9", "127.0.0.1"])
    await camera.wait_event("welcome")
    assert camera.known_hosts()[0] == ("127.0.0.1", stand_in.port)


@pytest.fixture
async def zeroconf() -> AsyncIterator[AsyncZeroconf]:
    """Return mDNS on loopback."""
    zeroconf = AsyncZeroconf(interfaces=["127.0.0.1"])
    yield zeroconf
    await zeroconf.async_close()


async def test_mdns_only_in_setup_mode(
    make_camera: MakeCamera, stand_in: StandInGateway, zeroconf: AsyncZeroconf
) -> None:
    """The record is there until the camera is registered, not only until it is claimed."""
    at_registration: list[bool] = []
    kind = "_magicpi-cam._tcp.local."
    camera = make_camera(
        ID, setup_code=CODE, zeroconf=zeroconf, advertise_addresses=("127.0.0.1",)
    )
    name = f"MagicPi camera 0A0B0C.{kind}"

    def advertised() -> bool:
        return zeroconf.zeroconf.registry.async_get_info_name(name.lower()) is not None

    camera.subscribe(
        lambda event: (
            at_registration.append(advertised()) if event.name == "registered" else None
        )
    )
    await camera.start()
    await camera.wait_event("setup_opened")
    other = AsyncZeroconf(interfaces=["127.0.0.1"])
    try:
        info = AsyncServiceInfo(kind, name)
        assert await info.async_request(other.zeroconf, 5000)
    finally:
        await other.async_close()
    assert info.port == camera.setup_port
    assert info.decoded_properties == {
        "id": ID,
        "model": "MagicPi Virtual Camera",
        "fw": "1.0.0",
        "proto": "1",
    }
    await stand_in.claim(camera)
    await camera.wait_event("welcome")
    assert at_registration == [True]
    assert not advertised()


async def test_gateway_that_moved_is_found_by_mdns(
    make_camera: MakeCamera, stand_in: StandInGateway, zeroconf: AsyncZeroconf
) -> None:
    """When no known address works, the gateway with the pinned CA is looked up."""
    kind = "_magicpi-nvr._tcp.local."
    others = AsyncServiceInfo(
        kind,
        f"Somebody else's.{kind}",
        parsed_addresses=["127.0.0.1"],
        port=1,
        properties={"id": "b", "proto": "1", "ca": "0" * 16},
        server="other.local.",
    )
    ours = AsyncServiceInfo(
        kind,
        f"Ours.{kind}",
        parsed_addresses=["127.0.0.1"],
        port=stand_in.port,
        properties={"id": "a", "proto": "1", "ca": stand_in.authority.fingerprint},
        server="ours.local.",
    )
    for info in (others, ours):
        await (await zeroconf.async_register_service(info))
    camera = make_camera(ID, setup_code=CODE, zeroconf=zeroconf)
    await camera.start()
    await stand_in.claim(camera)
    await camera.wait_event("welcome")
    # It wakes to find that the gateway is at another port.
    await camera.wait_state("asleep")
    camera.flash.update({"last_port": 1})
    assert camera.flash.bundle
    camera.flash.bundle["gateway"]["port"] = 1
    mark = camera.mark()
    camera.press_button()
    await camera.wait_event("gateway_found", after=mark)
    await camera.wait_event("welcome", after=mark)
    assert camera.known_hosts()[0] == ("127.0.0.1", stand_in.port)
