"""The encoder by itself: times, order, and every way in which a child can fail."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from custom_components.magicpi_nvr.recording.capture.encoder import (
    Config,
    Encoded,
    Encoder,
    EncoderFailed,
)
from tests.harness.pictures import RECORDING, picture


def make(ffmpeg: str | Path) -> Encoder:
    """Return an encoder for small pictures."""
    return Encoder(str(ffmpeg), crf=23, preset="ultrafast", width=160, height=120)


async def run(encoder: Encoder, times: list[int]) -> list[Config | Encoded]:
    """Feed frames with these times and return all that comes out; raises EncoderFailed."""
    found: list[Config | Encoded] = []

    async def feed() -> None:
        for i, at_ms in enumerate(times):
            await encoder.write([(at_ms, picture(i))])
        encoder.close_input()

    async def collect() -> None:
        found.extend([packet async for packet in encoder.packets()])

    try:
        await encoder.start()
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            tasks.create_task(feed())
            tasks.create_task(collect())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        await encoder.stop()
    return found


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Return a maker of things that are not ffmpeg."""

    def write(body: str) -> Path:
        path = tmp_path / "ffmpeg.sh"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return write


async def test_times() -> None:
    """Each frame comes out with the time it went in with, however irregular; key frames at least every two seconds."""
    times = [0, 1, 2, 9, 10, 40, 240, 241, 1000, 4000, 4001, 70_000, 70_001, 600_000]
    times += [600_000 + i * 37 for i in range(1, 200)]
    config, *samples = await run(make("ffmpeg"), times)
    assert isinstance(config, Config)
    assert [item.at_ms for item in samples if isinstance(item, Encoded)] == times
    keys = [item.at_ms for item in samples if isinstance(item, Encoded) and item.sync]
    for at_ms in range(602_000, 607_000, 500):
        assert any(at_ms - 2100 < key <= at_ms for key in keys)


async def test_same_settings_same_configuration() -> None:
    """Runs of one size share an init segment, whatever their frame rates."""
    configs = [
        (await run(make("ffmpeg"), [i * step for i in range(5)]))[0]
        for step in (1, 40, 100, 3000)
    ]
    assert configs == configs[:1] * 4


async def test_answers_without_waiting() -> None:
    """A frame comes out when the next one goes in, the last one when the input ends."""
    encoder = make("ffmpeg")
    await encoder.start()
    try:
        packets = encoder.packets()
        await encoder.write([(0, picture(0))])
        for i in range(1, 4):
            await encoder.write([(i * 100, picture(i))])
            async with asyncio.timeout(20):
                while not isinstance(packet := await anext(packets), Encoded):
                    pass
            assert packet.at_ms == (i - 1) * 100
        encoder.close_input()
        async with asyncio.timeout(20):
            rest = [packet async for packet in packets]
        assert [item.at_ms for item in rest if isinstance(item, Encoded)] == [300]
    finally:
        await encoder.stop()


async def test_missing() -> None:
    """No ffmpeg: said at once."""
    with pytest.raises(EncoderFailed, match="does not start: No such file"):
        await make("/nowhere/ffmpeg").start()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo no codec >&2; exit 3", "ended with 3: no codec"),
        ("exec cat /dev/zero", "another format"),
        ("printf 'FLV'; exec cat /dev/zero", "another format"),
        ("cat > /dev/null; printf 'FLV1234567890\\011\\0\\0'", "ended with 0"),
        ("kill -9 $$", "ended with -9"),
    ],
)
async def test_failures(script: Callable[[str], Path], body: str, words: str) -> None:
    """Whatever else answers in its place is noticed, and its last words are passed on."""
    with pytest.raises(EncoderFailed, match=words):
        await run(make(script(body)), [i * 100 for i in range(50)])


@pytest.mark.parametrize(
    "body", ["exec sleep 1000", "sleep 1000 & wait", "cat > /dev/null; exec sleep 1000"]
)
async def test_hangs(
    script: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """A child that takes or gives nothing is killed with all that it started."""
    monkeypatch.setattr(f"{RECORDING}.capture.encoder.STALL_S", 0.5)
    with pytest.raises(EncoderFailed, match="no progress"):
        await run(make(script(body)), [i * 100 for i in range(500)])


async def test_patient_with_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera that pauses is no encoder that hangs."""
    monkeypatch.setattr(f"{RECORDING}.capture.encoder.STALL_S", 0.3)
    encoder = make("ffmpeg")
    await encoder.start()
    try:
        await encoder.write([(0, picture(0)), (100, picture(1))])
        await asyncio.sleep(1)
        await encoder.write([(1100, picture(2))])
        encoder.close_input()
        found = [packet async for packet in encoder.packets()]
        assert len(found) == 4
    finally:
        await encoder.stop()


async def test_talks_without_end(script: Callable[[str], Path]) -> None:
    """Megabytes on stderr are read, not kept, and stop nothing."""
    path = script(
        "head -c 4000000 /dev/zero | tr '\\0' x >&2; i=0;"
        'while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done; exec ffmpeg "$@"'
    )
    assert len(await run(make(path), [0, 100, 200])) == 4


async def test_leaves_nothing(script: Callable[[str], Path]) -> None:
    """stop() in the middle ends the child and its tasks."""
    before = asyncio.all_tasks()
    encoder = make("ffmpeg")
    await encoder.start()
    await encoder.write([(0, picture(0))])
    await encoder.stop()
    await encoder.stop()
    assert asyncio.all_tasks() == before
