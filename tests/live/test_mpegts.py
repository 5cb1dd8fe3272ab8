"""The transport stream, read by those who do that for a living."""

import asyncio
from io import BytesIO
import json
import subprocess
from typing import Any

import av
import pytest

from custom_components.magicpi_nvr.live.mpegts import (
    PACKET_SIZE,
    BadSample,
    Configuration,
    Multiplexer,
    unit,
)
from tests.harness.live import encode


async def test_readers_get_every_picture_at_its_time() -> None:
    """PyAV decodes all of it without a complaint, with the times that went in."""
    avcc, samples = await encode(40)
    configuration = Configuration.parse(avcc)
    multiplexer = Multiplexer()
    data = b"".join(
        multiplexer.write(
            unit(configuration, sample.data, ms=1000 + sample.at_ms, key=sample.sync)
        )
        for sample in samples
    )
    assert len(data) % PACKET_SIZE == 0
    with av.open(BytesIO(data), format="mpegts") as container:
        video = container.streams.video[0]
        packets = [packet for packet in container.demux(video) if packet.size]
        assert not any(packet.is_corrupt for packet in packets)
        assert [packet.pts for packet in packets] == [
            90 * (1000 + sample.at_ms) for sample in samples
        ]
        assert [packet.is_keyframe for packet in packets] == [
            sample.sync for sample in samples
        ]
    with av.open(BytesIO(data), format="mpegts") as container:
        pictures = list(container.decode(video=0))
    assert len(pictures) == 40
    for number, shown in enumerate(pictures):
        gray = int(shown.to_ndarray(format="gray")[120, 160])
        assert abs(gray - (16 + number * 8 % 224)) < 6
    found = await asyncio.to_thread(probe, data)
    assert len(found["packets"]) == 40
    assert found["streams"][0]["codec_name"] == "h264"


def probe(data: bytes) -> dict[str, Any]:
    """Return what ffprobe finds; it may complain of nothing (blocking)."""
    shown = subprocess.run(
        [
            *("ffprobe", "-v", "warning", "-show_packets", "-show_streams"),
            *("-of", "json", "-"),
        ],
        input=data,
        capture_output=True,
        check=True,
    )
    assert shown.stderr == b""
    found: dict[str, Any] = json.loads(shown.stdout)
    return found


async def test_counters_go_on_for_who_joined_late() -> None:
    """Each viewer has counters of its own, without a gap, whatever was sent before."""
    avcc, samples = await encode(12)
    configuration = Configuration.parse(avcc)
    units = [
        unit(configuration, sample.data, ms=sample.at_ms, key=sample.sync)
        for sample in samples
    ]
    multiplexer = Multiplexer()
    data = b"".join(map(multiplexer.write, units[:5] + units[10:] + units[10:]))
    counters: dict[int, int] = {}
    for at in range(0, len(data), PACKET_SIZE):
        packet = data[at : at + PACKET_SIZE]
        assert packet[0] == 0x47
        pid = int.from_bytes(packet[1:3]) & 0x1FFF
        if pid in counters:
            assert packet[3] & 0x0F == (counters[pid] + 1) & 0x0F
        counters[pid] = packet[3] & 0x0F
    assert set(counters) == {0, 0x100, 0x1000}


async def test_sizes_around_a_packet() -> None:
    """Samples of each size up to some packets come out as they went in."""
    avcc, _ = await encode(1)
    configuration = Configuration.parse(avcc)
    for size in range(1, 600):
        nal = b"\x41" + bytes(index % 251 + 1 for index in range(size - 1))
        sample = size.to_bytes(4) + nal
        data = Multiplexer().write(unit(configuration, sample, ms=5, key=False))
        payload = b""
        for at in range(0, len(data), PACKET_SIZE):
            packet = data[at : at + PACKET_SIZE]
            assert len(packet) == PACKET_SIZE
            skip = 5 + packet[4] if packet[3] & 0x20 else 4
            payload += packet[skip:]
        assert payload.endswith(b"\0\0\0\1" + nal)
        assert int.from_bytes(payload[4:6]) == len(payload) - 6


def test_what_is_no_video_is_refused() -> None:
    """Broken configurations and samples raise one error."""
    for avcc in (b"", b"\x01\x64\x00\x28\xff\xe1\x00\x20abc", b"\1\2\3\4\xff\xe0\0"):
        with pytest.raises(BadSample):
            Configuration.parse(avcc)
    good = Configuration(4, b"")
    with pytest.raises(BadSample):
        unit(good, b"\0\0\0\x09abc", ms=0, key=False)
