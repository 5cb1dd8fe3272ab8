"""Virtual MP4 files: what they hold, and what other programs make of them."""

import asyncio
import hashlib
from io import BytesIO
from pathlib import Path
import subprocess
import threading
from typing import Any

import av
from hypothesis import HealthCheck, given, settings, strategies as st
import pytest

from custom_components.magicpi_nvr.recording.errors import (
    ClipGone,
    EventNotFound,
    InvalidValue,
    NothingRecorded,
    StorageFailed,
)
from custom_components.magicpi_nvr.recording.library import Library, playback
from custom_components.magicpi_nvr.recording.library.playback import CHUNK, VirtualFile
from custom_components.magicpi_nvr.recording.model import ClipSpec
from tests.harness.library import BACK, FRONT, GROUP, NOON, Pictures, Recordings


async def whole(clip: VirtualFile) -> bytes:
    """Read all of a clip."""
    data = b"".join([chunk async for chunk in clip.read()])
    assert len(data) == clip.size
    return data


async def probe(clip: VirtualFile, tmp_path: Path) -> bytes:
    """Let ffprobe read all packets and decode all frames of a clip; it must have nothing to say."""
    data = await whole(clip)
    path = tmp_path / "probed.mp4"
    path.write_bytes(data)
    process = await asyncio.create_subprocess_exec(
        "ffprobe", "-v", "warning", "-count_frames", "-show_entries", "stream=nb_read_frames,duration:format=duration", "-of", "csv=p=0", str(path),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert err == b""
    stream, container = out.decode().split()
    seconds, frames = stream.split(",")
    assert int(frames) == clip.frames
    for value in (seconds, container):
        assert float(value) * 1000 == pytest.approx(clip.duration_ms, abs=1)
    return data


def packets(data: bytes) -> list[tuple[int, bytes]]:
    """Return time in ticks and bytes of each packet, as another demuxer sees them."""
    with av.open(BytesIO(data)) as container:
        stream = container.streams.video[0]
        return [
            (int(packet.pts * stream.time_base * 90_000), bytes(packet))
            for packet in container.demux(stream)
            if packet.size
        ]


def relative(frames: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Return the frames with times from the first."""
    return [(ticks - frames[0][0], data) for ticks, data in frames]


async def test_event(library: Library, recordings: Recordings, tmp_path: Path) -> None:
    """An event's clip holds its frames, byte for byte and at their times."""
    await recordings.record(NOON)
    event = await recordings.record(NOON + 60_000, intervals=[37, 100, 250, 3, 100] * 6)
    clip = await library.clip(ClipSpec.event(event.id))
    data = await probe(clip, tmp_path)
    assert packets(data) == relative(recordings.frames[event.id])
    assert clip.duration_ms == event.duration_ms
    assert clip.filename == "AA-BB-CC-00-00-01_2026-11-22_12-01-00.mp4"
    assert clip.last_modified_ms == event.end_ms
    assert data[4:8] == b"ftyp"
    assert data.index(b"moov") < data.index(b"mdat")


async def test_last_frame_lasts_as_long_as_usual(
    library: Library, recordings: Recordings, tmp_path: Path
) -> None:
    """What the writer guessed for the last frame does not count."""
    event = await recordings.record(NOON, intervals=[100] * 9 + [4000])
    clip = await library.clip(ClipSpec.event(event.id))
    await probe(clip, tmp_path)
    assert clip.duration_ms == 1000


async def test_single_frame(
    library: Library, recordings: Recordings, tmp_path: Path
) -> None:
    """One frame is a clip too."""
    event = await recordings.record(NOON, intervals=[120])
    clip = await library.clip(ClipSpec.event(event.id))
    await probe(clip, tmp_path)
    assert (clip.frames, clip.duration_ms) == (1, 120)


async def test_time_passes_between_the_runs_of_an_event(
    library: Library, recordings: Recordings, tmp_path: Path
) -> None:
    """After an interruption the rest comes when it came."""
    first = await recordings.record(NOON, event=7)
    second = await recordings.record(NOON + 10_000, event=7, segment=1)
    assert first.id == second.id
    clip = await library.clip(ClipSpec.event(first.id))
    data = await probe(clip, tmp_path)
    assert packets(data) == relative(recordings.frames[first.id])
    assert clip.duration_ms == 12_000


async def test_resolution_changes_within_an_event(
    library: Library, recordings: Recordings, large_video: Pictures, tmp_path: Path
) -> None:
    """Parts with other sample descriptions play as one: every frame decodes to what it is in the hour file."""
    event = await recordings.record(NOON, event=1)
    await recordings.record(
        NOON + 3000, event=1, segment=1, part=2, pictures=large_video
    )
    await recordings.record(NOON + 6000, event=1, segment=2)
    clip = await library.clip(ClipSpec.event(event.id))
    data = await probe(clip, tmp_path)
    assert decoded(data) == [
        *decoded(
            await whole(await library.clip(ClipSpec.range(FRONT, NOON, NOON + 2500)))
        ),
        *decoded(
            await whole(await library.clip(ClipSpec.hour(FRONT, "2026-11-22", "12-2")))
        ),
        *decoded(
            await whole(
                await library.clip(ClipSpec.range(FRONT, NOON + 5500, NOON + 9000))
            )
        ),
    ]
    assert {size for size, _ in decoded(data)} == {(160, 120), (320, 240)}
    assert [ticks for ticks, _ in packets(data)] == [
        ticks for ticks, _ in relative(recordings.frames[event.id])
    ]


def decoded(data: bytes) -> list[tuple[tuple[int, int], str]]:
    """Return size and hash of each decoded frame."""
    with av.open(BytesIO(data)) as container:
        return [
            (
                (frame.width, frame.height),
                hashlib.sha256(
                    frame.to_ndarray(format="yuv420p").tobytes()
                ).hexdigest(),
            )
            for frame in container.decode(video=0)
        ]


async def test_frames_equal_the_hour_file(
    library: Library, recordings: Recordings, tmp_path: Path
) -> None:
    """A clip of the hour decodes to the same frames as the hour file itself."""
    for minute in range(3):
        await recordings.record(NOON + minute * 60_000)
    clip = await library.clip(ClipSpec.hour(FRONT, "2026-11-22", "12"))
    data = await probe(clip, tmp_path)
    hour = recordings.root / "AA-BB-CC-00-00-01/2026-11-22/12.mp4"
    assert decoded(data) == decoded(hour.read_bytes())
    assert clip.duration_ms == 3 * 2000
    assert clip.filename == "AA-BB-CC-00-00-01_2026-11-22_12h.mp4"


async def test_day_and_range_of_one_camera(
    library: Library, recordings: Recordings, tmp_path: Path
) -> None:
    """Hours follow each other without the time between; other cameras and days stay out."""
    mine = [await recordings.record(NOON + hour * 3_600_000) for hour in (0, 1, 3)]
    await recordings.record(NOON, camera=BACK)
    await recordings.record(NOON + 24 * 3_600_000)
    expected = [data for event in mine for _, data in recordings.frames[event.id]]
    day = await library.clip(ClipSpec.day(FRONT, "2026-11-22", name="Front / door"))
    assert [data for _, data in packets(await probe(day, tmp_path))] == expected
    assert day.filename == "Front-door_2026-11-22.mp4"
    between = await library.clip(
        ClipSpec.range(FRONT, NOON + 3000, NOON + 2 * 3_600_000)
    )
    assert [data for _, data in packets(await probe(between, tmp_path))] == expected[
        20:40
    ]
    assert between.filename == "AA-BB-CC-00-00-01_2026-11-22_12-00-03_to_14-00-00.mp4"


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        (0, 4000, 0, 40),
        (1500, 2500, GROUP, 25),  # from the key frame before
        (1000, 1001, GROUP, GROUP + 1),
        (1099, 3050, GROUP, 31),
        (3999, 9000, 30, 40),
        (-5000, 1, 0, 1),
    ],
)
async def test_range_within_an_event(
    library: Library,
    recordings: Recordings,
    tmp_path: Path,
    start: int,
    end: int,
    first: int,
    last: int,
) -> None:
    """A range holds what is shown in it, from the key frame that its first picture needs."""
    event = await recordings.record(NOON, frames=40)
    clip = await library.clip(ClipSpec.range(FRONT, NOON + start, NOON + end))
    assert packets(await probe(clip, tmp_path)) == relative(
        recordings.frames[event.id][first:last]
    )


async def test_event_that_is_being_recorded(
    library: Library, recordings: Recordings, tmp_path: Path
) -> None:
    """What is there so far can be watched, and is another file than what is there later."""
    event = await recordings.record(NOON, close=False)
    assert (await library.event(event.id)).state == "recording"
    early = await library.clip(ClipSpec.event(event.id))
    await probe(early, tmp_path)
    await recordings.record(NOON + 2000, event=1, segment=1)
    late = await library.clip(ClipSpec.event(event.id))
    data = await probe(late, tmp_path)
    assert packets(data) == relative(recordings.frames[event.id])
    assert early.etag != late.etag


async def test_time_lapse(
    library: Library, recordings: Recordings, tmp_path: Path
) -> None:
    """Only key frames, at a fraction of their times."""
    event = await recordings.record(NOON, frames=120)
    clip = await library.clip(ClipSpec.event(event.id, timelapse=5))
    frames = packets(await probe(clip, tmp_path))
    assert frames == [
        (ticks // 5, data)
        for ticks, data in relative(recordings.frames[event.id])[::GROUP]
    ]
    assert clip.duration_ms == 12_000 // 5
    assert clip.filename.endswith("_5x.mp4")
    fast = await library.clip(ClipSpec.day(FRONT, "2026-11-22", timelapse=1000))
    await probe(fast, tmp_path)
    assert fast.frames == 1
    with pytest.raises(InvalidValue):
        await library.clip(ClipSpec.event(event.id, timelapse=0.5))


async def test_independent_parser_agrees(
    library: Library, recordings: Recordings, large_video: Pictures
) -> None:
    """A parser that is not ours finds one box after the other, and tables that agree with each other."""
    from pymp4.parser import Box

    await recordings.record(NOON, frames=30)
    await recordings.record(NOON + 60_000, part=2, pictures=large_video)
    data = await whole(await library.clip(ClipSpec.day(FRONT, "2026-11-22")))
    stream = BytesIO(data)
    found = {}
    while stream.tell() < len(data):
        box = Box.parse_stream(stream)
        found[box.type] = box
    assert list(found) == [b"ftyp", b"moov", b"mdat"]

    def down(box, *kinds):
        for kind in kinds:
            box = next(child for child in box.children if child.type == kind)
        return box

    table = down(found[b"moov"], b"trak", b"mdia", b"minf", b"stbl")
    entries = {child.type: child for child in table.children}
    assert len(entries[b"stsd"].entries) == 2
    sizes = list(entries[b"stsz"].entry_sizes)
    assert len(sizes) == 50
    assert sum(entry.sample_count for entry in entries[b"stts"].entries) == 50
    assert sum(sizes) == len(found[b"mdat"].data)
    first = entries[b"stco"].entries[0].chunk_offset
    assert data[first - 4 : first] == b"mdat"


async def test_etag_outlives_a_rewrite_and_a_restart(
    library: Library, recordings: Recordings, library_folder
) -> None:
    """The same bytes have the same tag, wherever they lie."""
    gone = await recordings.record(NOON)
    event = await recordings.record(NOON + 60_000)
    before = await library.clip(ClipSpec.event(event.id))
    data = await whole(before)
    await library.delete(gone.id)
    after = await library.clip(ClipSpec.event(event.id))
    assert (after.etag, await whole(after)) == (before.etag, data)
    other = library_folder.library()
    await other.open()
    assert (await other.clip(ClipSpec.event(event.id))).etag == before.etag
    await other.close()


async def test_file_goes_while_it_is_read(
    library: Library, recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader learns it, and the next request too."""
    monkeypatch.setattr(playback, "CHUNK", 4096)
    events = [
        await recordings.record(NOON + i * 3_600_000, frames=200) for i in range(2)
    ]
    clip = await library.clip(ClipSpec.day(FRONT, "2026-11-22"))
    reading = clip.read()
    await anext(reading)
    (recordings.root / events[1].path).unlink()
    with pytest.raises(ClipGone):
        async for _ in reading:
            pass
    with pytest.raises(ClipGone):
        await library.clip(ClipSpec.event(events[1].id))
    with pytest.raises(EventNotFound):
        await library.clip(ClipSpec.event(events[1].id))


async def test_file_is_rewritten_while_it_is_read(
    library: Library, recordings: Recordings
) -> None:
    """Never other bytes than those that were announced."""
    first = await recordings.record(NOON)
    second = await recordings.record(NOON + 60_000)
    await recordings.record(NOON + 120_000, frames=100)
    clip = await library.clip(ClipSpec.event(second.id))
    data = await whole(clip)
    await library.delete(first.id)
    with pytest.raises(ClipGone):
        await whole(clip)
    assert await whole(await library.clip(ClipSpec.event(second.id))) == data


async def test_nothing_there(library: Library, recordings: Recordings) -> None:
    """Each kind of nothing has its answer."""
    await recordings.record(NOON)
    with pytest.raises(EventNotFound):
        await library.clip(ClipSpec.event("aabbcc000001-00000001-99"))
    with pytest.raises(NothingRecorded):
        await library.clip(ClipSpec.range(FRONT, NOON + 5000, NOON + 6000))
    with pytest.raises(NothingRecorded):
        await library.clip(ClipSpec.hour(FRONT, "2026-11-22", "13"))
    for spec in (
        ClipSpec.hour(FRONT, "../../etc", "13"),
        ClipSpec.hour(FRONT, "2026-11-22", "24"),
        ClipSpec.day("nobody", "2026-11-22"),
        ClipSpec.day(FRONT, "2026-02-30"),
        ClipSpec.range(FRONT, NOON, NOON),
    ):
        with pytest.raises(InvalidValue):
            await library.clip(spec)


async def test_export(library: Library, recordings: Recordings, tmp_path: Path) -> None:
    """A file holds the same bytes, and nothing is left of one that failed."""
    event = await recordings.record(NOON, frames=200)
    target = tmp_path / "out.mp4"
    clip = await library.clip(ClipSpec.event(event.id))
    assert await library.export(ClipSpec.event(event.id), target) == clip.size
    assert target.read_bytes() == await whole(clip)
    (recordings.root / event.path).write_bytes(b"")
    with pytest.raises(ClipGone):
        await clip.write_to(target)
    assert len(target.read_bytes()) == clip.size
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


async def test_export_to_nowhere(
    library: Library, recordings: Recordings, tmp_path: Path
) -> None:
    """The caller learns that the file could not be written."""
    event = await recordings.record(NOON)
    with pytest.raises(StorageFailed):
        await library.export(ClipSpec.event(event.id), tmp_path / "nowhere" / "out.mp4")


async def test_cancelled_export(
    library: Library,
    recordings: Recordings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who gives up leaves nothing behind."""
    event = await recordings.record(NOON, frames=200)
    clip = await library.clip(ClipSpec.event(event.id))
    monkeypatch.setattr(playback, "CHUNK", 1024)
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    piece = clip._piece
    may_go_on = threading.Event()

    def slow(*args) -> bytes:
        loop.call_soon_threadsafe(begun.set)
        may_go_on.wait(10)
        return piece(*args)

    monkeypatch.setattr(clip, "_piece", slow)
    task = asyncio.create_task(clip.write_to(tmp_path / "out.mp4"))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_go_on.set()
    await library.close()
    assert [path.name for path in tmp_path.iterdir() if "out.mp4" in path.name] == []


async def test_who_asks_first_may_leave(
    library: Library, recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip that several wait for is composed for those that stay."""
    event = await recordings.record(NOON)
    begun, may_go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    compose = library._clips._compose

    def slow(*args) -> VirtualFile:
        loop.call_soon_threadsafe(begun.set)
        may_go_on.wait(10)
        return compose(*args)

    monkeypatch.setattr(library._clips, "_compose", slow)
    first = asyncio.create_task(library.clip(ClipSpec.event(event.id)))
    await begun.wait()
    second = asyncio.create_task(library.clip(ClipSpec.event(event.id)))
    await library.events()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    may_go_on.set()
    assert (await second).frames == event.frames


async def test_many_requests_compose_once(
    library: Library, recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A player that asks ten times at once costs one composition."""
    event = await recordings.record(NOON)
    composed = []
    compose = library._clips._compose

    def count(*args):
        composed.append(args)
        return compose(*args)

    monkeypatch.setattr(library._clips, "_compose", count)
    clips = await asyncio.gather(
        *(library.clip(ClipSpec.event(event.id)) for _ in range(10))
    )
    assert len({id(clip) for clip in clips}) == 1
    assert len(composed) == 1


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
async def test_any_range_gives_the_same_bytes(
    clip_and_bytes: tuple[VirtualFile, bytes], data: st.DataObject
) -> None:
    """Any two positions, the bytes between."""
    clip, expected = clip_and_bytes
    start = data.draw(st.integers(0, clip.size))
    stop = data.draw(st.integers(0, clip.size + 10))
    chunks = [chunk async for chunk in clip.read(start, stop)]
    assert all(0 < len(chunk) <= CHUNK for chunk in chunks)
    assert b"".join(chunks) == expected[start:stop]


@pytest.fixture
async def clip_and_bytes(
    library: Library, recordings: Recordings, large_video: Pictures
) -> tuple[VirtualFile, bytes]:
    """Return a clip of two parts and several events, and all of its bytes."""
    for i in range(12):
        await recordings.record(NOON + i * 60_000, frames=60)
        await recordings.record(
            NOON + i * 60_000 + 30_000, part=2, pictures=large_video
        )
    clip = await library.clip(ClipSpec.day(FRONT, "2026-11-22"))
    return clip, await whole(clip)


async def test_disk_hangs_while_it_is_read(
    library: Library,
    recordings: Recordings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Players, exports, thumbnails and files are answered in time, and work when the disk does."""
    monkeypatch.setattr(
        "custom_components.magicpi_nvr.recording.library.playback.DEADLINE_S", 0.5
    )
    monkeypatch.setattr(
        "custom_components.magicpi_nvr.recording.library.backend.DEADLINE_S", 0.5
    )
    event = await recordings.record(NOON, frames=200, picture=b"JPEG")
    assert event.thumbnail
    answers = threading.Event()
    spec, target = ClipSpec.event(event.id), tmp_path / "out.mp4"
    clip = await library.clip(spec)
    piece, read = VirtualFile._piece, Path.read_bytes

    def slow(self: VirtualFile, *args: Any) -> bytes:
        answers.wait()
        return piece(self, *args)

    def slow_read(self: Path) -> bytes:
        answers.wait()
        return read(self)

    monkeypatch.setattr(VirtualFile, "_piece", slow)
    monkeypatch.setattr(Path, "read_bytes", slow_read)
    async with asyncio.timeout(20):
        for ask in (
            lambda: whole(clip),
            lambda: library.export(spec, target),
            lambda: library.picture(event.id),
        ):
            with pytest.raises(StorageFailed, match="does not answer"):
                await ask()
    answers.set()
    assert await library.export(spec, target) == clip.size
    assert await library.picture(event.id)
    file = await library.file(target)
    assert file is not None
    assert (file.size, file.filename) == (clip.size, "out.mp4")
    assert await whole(file) == target.read_bytes() == await whole(clip)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []
    assert await library.file(tmp_path / "nothing.mp4") is None
    (recordings.root / event.thumbnail).unlink()
    assert await library.picture(event.id) is None
