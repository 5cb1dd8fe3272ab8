"""HomeKit: Home Assistant's own bridge sends our camera's video, and a HomeKit controller reads it."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator
from pathlib import Path
import secrets
import socket
import struct
from types import SimpleNamespace
from typing import Any, Final
from uuid import uuid4

from aiohomekit.characteristic_cache import CharacteristicCacheMemory
from aiohomekit.controller.ip.discovery import IpDiscovery
from aiohomekit.controller.ip.pairing import IpPairing
from aiohomekit.model.categories import Categories
from aiohomekit.model.characteristics import CharacteristicsTypes
from aiohomekit.model.feature_flags import FeatureFlags
from aiohomekit.protocol.tlv import TLV
import av
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from home_assistant import free_port
from homeassistant.components.homekit.const import (
    CONF_ADVERTISE_IP,
    CONF_ENTITY_CONFIG,
    CONF_FILTER,
    CONF_HOMEKIT_MODE,
    CONF_SUPPORT_AUDIO,
    HOMEKIT_MODE_ACCESSORY,
)
from homeassistant.const import CONF_IP_ADDRESS, CONF_NAME, CONF_PORT
from homeassistant.core import HomeAssistant
from tests.harness.home_assistant import Installation

pytestmark = pytest.mark.timeout(180)
HOST: Final = "127.0.0.1"
VIDEO_PAYLOAD: Final = 99


def tlv(*fields: tuple[int, bytes]) -> bytes:
    """Return fields as HomeKit packs them."""
    return bytes(TLV.encode_list(list(fields)))


class Receiver:
    """A phone's end of the video: what comes to its port is sorted and decrypted.

    HomeKit's ffmpeg binds the port that it sends to, as if the phone was another machine.
    So this one listens beside it, and hands the packets to a decoder at another port.
    """

    def __init__(self, folder: Path) -> None:
        """Have a key, and ports."""
        self.port = free_port()
        self.key = secrets.token_bytes(30)
        self.packets = 0
        self._raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
        self._raw.setblocking(False)
        self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._decoder = (HOST, free_port() & ~1)
        self._description = folder / "video.sdp"
        self._description.write_text(
            f"v=0\no=- 0 0 IN IP4 {HOST}\ns=HomeKit\nc=IN IP4 {HOST}\nt=0 0\n"
            f"m=video {self._decoder[1]} RTP/SAVP {VIDEO_PAYLOAD}\n"
            f"a=rtpmap:{VIDEO_PAYLOAD} H264/90000\n"
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80"
            f" inline:{b64encode(self.key).decode()}\n"
        )
        asyncio.get_running_loop().add_reader(self._raw, self._receive)

    def _receive(self) -> None:
        packet = self._raw.recv(65536)
        datagram = packet[(packet[0] & 15) * 4 :]
        data = datagram[8:]
        if (
            int.from_bytes(datagram[2:4]) == self.port
            and len(data) > 12
            and data[1] & 0x7F == VIDEO_PAYLOAD
        ):
            self.packets += 1
            self._out.sendto(data, self._decoder)

    def pictures(self, count: int) -> list[tuple[int, int]]:
        """Return the sizes of the first pictures (blocking)."""
        with av.open(
            str(self._description),
            format="sdp",
            timeout=60,
            options={"protocol_whitelist": "file,udp,rtp,srtp"},
        ) as container:
            return [
                (picture.width, picture.height)
                for picture, _ in zip(
                    container.decode(video=0), range(count), strict=False
                )
            ]

    def close(self) -> None:
        """Hear no more."""
        asyncio.get_running_loop().remove_reader(self._raw)
        self._raw.close()
        self._out.close()


@pytest.fixture
async def bridge(
    live_installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[MockConfigEntry]:
    """Home Assistant's HomeKit integration with the camera as its accessory."""
    hass = live_installation.hass
    monkeypatch.setattr(
        "homeassistant.components.homekit.get_persist_fullpath_for_entry_id",
        lambda _hass, entry_id: str(tmp_path / f"{entry_id}.state"),
    )
    camera = live_installation.entity_id("camera", "camera")
    entry = MockConfigEntry(
        domain="homekit",
        data={
            CONF_NAME: "Front door",
            CONF_PORT: free_port(),
            CONF_IP_ADDRESS: HOST,
            CONF_ADVERTISE_IP: HOST,
        },
        options={
            CONF_HOMEKIT_MODE: HOMEKIT_MODE_ACCESSORY,
            CONF_FILTER: {"include_entities": [camera]},
            CONF_ENTITY_CONFIG: {camera: {CONF_SUPPORT_AUDIO: False}},
        },
    )
    entry.add_to_hass(hass)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    yield entry
    await hass.config_entries.async_unload(entry.entry_id)


async def paired(entry: MockConfigEntry) -> IpPairing:
    """Pair as a phone does that scanned the code."""
    driver = entry.runtime_data.homekit.driver
    controller: Any = SimpleNamespace(
        pairings={}, _char_cache=CharacteristicCacheMemory()
    )
    description: Any = SimpleNamespace(
        id=driver.state.mac,
        name="Front door",
        address=HOST,
        addresses=[HOST],
        port=entry.data[CONF_PORT],
        feature_flags=FeatureFlags(0),
        category=Categories.IP_CAMERA,
    )
    finish = await IpDiscovery(controller, description).async_start_pairing("test")
    return await finish(driver.state.pincode.decode())


def endpoints(session: bytes, receiver: Receiver) -> bytes:
    """Return where the video is to go, and its key."""
    crypto = tlv((1, b"\0"), (2, receiver.key[:16]), (3, receiver.key[16:]))
    port = struct.pack("<H", receiver.port)
    address = tlv((1, b"\0"), (2, HOST.encode()), (3, port), (4, port))
    return tlv((1, session), (3, address), (4, crypto), (5, crypto))


def selection(session: bytes, command: int) -> bytes:
    """Return what is to be sent: 1 starts, 0 ends."""
    control = tlv((1, session), (2, bytes([command])))
    if not command:
        return tlv((1, control))
    rtp = (
        (2, struct.pack("<I", 1)),
        (3, struct.pack("<H", 300)),
        (4, struct.pack("<f", 0.5)),
    )
    video = tlv(
        (1, b"\0"),
        (2, tlv((1, b"\1"), (2, b"\0"), (3, b"\0"))),
        (
            3,
            tlv((1, struct.pack("<H", 320)), (2, struct.pack("<H", 240)), (3, b"\x0f")),
        ),
        (4, tlv((1, bytes([VIDEO_PAYLOAD])), *rtp, (5, struct.pack("<H", 1378)))),
    )
    audio = tlv(
        (1, b"\3"),
        (2, tlv((1, b"\1"), (2, b"\0"), (3, b"\1"), (4, b"\x14"))),
        (3, tlv((1, b"\x6e"), *rtp, (6, b"\x0d"))),
        (4, b"\0"),
    )
    return tlv((1, control), (2, video), (3, audio))


async def test_homekit(
    live_installation: Installation,
    hass: HomeAssistant,
    bridge: MockConfigEntry,
    tmp_path: Path,
) -> None:
    """A HomeKit controller pairs, asks for the video, and decrypts pictures out of SRTP packets; then nothing runs on."""
    try:
        receiver = Receiver(tmp_path)
    except PermissionError:
        pytest.skip("listening beside another program needs root")
    sources = live_installation.nvr.live.sources
    pairing = await paired(bridge)
    try:
        accessories = await pairing.list_accessories_and_characteristics()
        found = {
            characteristic["type"]: (accessory["aid"], characteristic["iid"])
            for accessory in accessories
            for service in reversed(accessory["services"])
            for characteristic in service["characteristics"]
        }
        setup = found[CharacteristicsTypes.SETUP_ENDPOINTS]
        select = found[CharacteristicsTypes.SELECTED_RTP_STREAM_CONFIGURATION]
        session = uuid4().bytes
        await pairing.put_characteristics(
            [(*setup, b64encode(endpoints(session, receiver)).decode())]
        )
        answer = (await pairing.get_characteristics([setup]))[setup]["value"]
        # Its status: 0 is ready
        assert dict(TLV.decode_bytes(b64decode(answer)))[2] == b"\0"
        pictures = hass.async_add_executor_job(receiver.pictures, 30)
        assert not await pairing.put_characteristics(
            [(*select, b64encode(selection(session, 1)).decode())]
        )
        assert len(sizes := await pictures) == 30
        assert set(sizes) == {(320, 240)}
        assert receiver.packets >= 30
        assert sources.viewers == 1
        await pairing.put_characteristics(
            [(*select, b64encode(selection(session, 0)).decode())]
        )
        await live_installation.wait_until(lambda: sources.viewers == 0)
    finally:
        await pairing.close()
        receiver.close()
