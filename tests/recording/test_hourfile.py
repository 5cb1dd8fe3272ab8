"""The hour file by itself: what is written is read, what is torn is cut, what is ours is known."""

import errno
import os
from pathlib import Path
import random
import subprocess

from hypothesis import given, settings as hypothesis_settings, strategies as st
import pytest

from custom_components.magicpi_nvr.recording.hourfile import (
    Claims,
    ConfigDiffers,
    HourFileError,
    HourFileWriter,
    Sample,
    SegmentHeader,
    repair,
    scan,
)
from custom_components.magicpi_nvr.recording.hourfile.boxes import (
    VideoConfig,
    init_segment,
)
from custom_components.magicpi_nvr.recording.library.layout import event_id
from tests.harness.pictures import BOOT, CAMERA

CONFIG = VideoConfig(b"\1d\0(\xff\xe1\0\4gd\0(\1\0\4h\xef\x0f\xcb", 160, 120)

CLAIMS = Claims()


def header(event: int, number: int = 0) -> SegmentHeader:
    """Return the header of a segment."""
    return SegmentHeader(
        id=event_id(CAMERA, BOOT, event),
        camera=CAMERA,
        start_ms=1_000_000 * event,
        reason="pir",
        boot=BOOT,
        event=event,
        number=number,
        t=event * 1000,
        hour_ms=3_600_000,
    )


def write(
    path: Path,
    *,
    events: int = 2,
    fragments: int = 3,
    close: bool = True,
    first: int = 1,
) -> HourFileWriter:
    """Write segments with fragments of five samples; the last stays open if asked to."""
    writer = HourFileWriter(path, CONFIG, CLAIMS)
    writer.open()
    for event in range(first, first + events):
        writer.begin_segment(header(event))
        for i in range(fragments):
            writer.append(
                [
                    Sample(bytes([event, i, j]) * 20, 9000, i == j == 0)
                    for j in range(5)
                ],
                first_seq=i * 5 + 1,
                last_seq=i * 5 + 5,
                offset=i * 45_000,
            )
        if close or event < first + events - 1:
            writer.end_segment(lost=event)
    writer.close()
    return writer


def test_reads_what_was_written(tmp_path: Path) -> None:
    """Every segment, fragment and frame is where the writer put it."""
    path = tmp_path / "08.mp4"
    writer = write(path)
    found = scan(path)
    assert found.config == CONFIG
    assert found.is_closed
    assert found.segments[-1] == writer.segment
    assert [segment.header for segment in found.segments] == [header(1), header(2)]
    assert [(segment.dts, segment.next_dts) for segment in found.segments] == [
        (0, 135_000),
        (135_000, 270_000),
    ]
    assert [segment.end.lost for segment in found.segments if segment.end] == [1, 2]
    data = path.read_bytes()
    for segment in found.segments:
        frames = list(segment.frames())
        assert len(frames) == segment.frame_count == 15
        assert [frame.dts - segment.dts for frame in frames] == [
            i * 9000 for i in range(15)
        ]
        for i, frame in enumerate(frames):
            wanted = bytes([segment.header.event, i // 5, i % 5]) * 20
            assert data[frame.offset : frame.offset + frame.size] == wanted
        assert (segment.first_seq, segment.last_seq) == (1, 15)
        assert segment.end
        assert segment.end.end_ms == segment.header.start_ms + 1500


def test_appends_after_a_pause_and_names_gaps(tmp_path: Path) -> None:
    """A fragment that begins later than its predecessor foresaw makes the frame before it longer."""
    path = tmp_path / "08.mp4"
    write(path, events=1)
    writer = HourFileWriter(path, CONFIG, CLAIMS)
    writer.open()
    writer.begin_segment(header(9))
    for offset in (0, 900_000):
        writer.append(
            [Sample(b"abcd", 9000, True)], first_seq=1, last_seq=1, offset=offset
        )
    writer.end_segment(lost=0)
    writer.close()
    found = scan(path)
    assert [segment.header.event for segment in found.segments] == [1, 9]
    assert [frame.duration for frame in found.segments[1].frames()] == [900_000, 9000]
    assert found.fragment_count == 5


@pytest.mark.parametrize("close", [True, False])
def test_cut_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, close: bool
) -> None:
    """After a cut at any byte, repair leaves whole fragments and a closed file that can be appended to."""
    path = tmp_path / "08.mp4"
    monkeypatch.setattr(os, "fdatasync", lambda _: None)
    write(path, close=close)
    whole = path.read_bytes()
    ends = sorted(
        fragment.end
        for segment in scan(path).segments
        for fragment in segment.fragments
    )
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        found = repair(path)
        kept = sum(end <= cut for end in ends)
        if found is None:
            assert kept == 0
            assert not path.exists()
            continue
        again = scan(path)
        assert again.is_closed
        assert again.fragment_count == kept
        assert again.segments == found.segments
        assert path.read_bytes()[: ends[kept - 1]] == whole[: ends[kept - 1]]
    path.write_bytes(whole[: ends[4] - 10])
    write(path, first=5)
    assert [segment.header.event for segment in scan(path).segments] == [1, 2, 5, 6]


def test_last_blocks_never_reached_the_disk(tmp_path: Path) -> None:
    """The length is there, the samples are not: the open segment is cut before the first that is not what was written."""
    path = tmp_path / "08.mp4"
    write(path, close=False)
    fragment = scan(path).segments[-1].fragments[1]
    with path.open("r+b") as file:
        file.seek(fragment.data_offset)
        file.write(bytes(50))
    found = repair(path)
    assert found
    assert [len(segment.fragments) for segment in found.segments] == [3, 1]
    assert scan(path).is_closed


def test_rubbish_after_the_end(tmp_path: Path) -> None:
    """Zeros or noise behind a closed file are cut off."""
    path = tmp_path / "08.mp4"
    write(path)
    whole = path.read_bytes()
    for tail in (bytes(4096), random.Random(1).randbytes(4096), b"\0\0\0\x08wide"):
        path.write_bytes(whole + tail)
        assert not scan(path).is_closed
        repair(path)
        assert path.read_bytes() == whole


def test_stillborn_goes_and_foreign_stays(tmp_path: Path) -> None:
    """A file that was never whole is removed; one that is not ours is left as it is."""
    path = tmp_path / "08.mp4"
    for born in (b"", bytes(10_000), init_segment(CONFIG)[:100], init_segment(CONFIG)):
        path.write_bytes(born)
        assert repair(path) is None
        assert not path.exists()
    subprocess.run(
        (
            *("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=64x64"),
            *("-c:v", "libx264", str(path)),
        ),
        check=True,
    )
    foreign = path.read_bytes()
    with pytest.raises(HourFileError):
        repair(path)
    with pytest.raises(HourFileError):
        HourFileWriter(path, CONFIG, CLAIMS).open()
    assert path.read_bytes() == foreign


def test_write_that_fails_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk in the middle of a fragment: the file is as before, and the next fragment follows."""
    path = tmp_path / "08.mp4"
    writer = HourFileWriter(path, CONFIG, CLAIMS)
    writer.open()
    writer.begin_segment(header(1))
    sample = Sample(b"x" * 5000, 9000, True)
    writer.append([sample], first_seq=1, last_seq=1, offset=0)
    before = path.read_bytes()

    real = os.pwrite

    def full(file: int, data: memoryview, offset: int) -> int:
        if len(data) < 3000:
            raise OSError(errno.ENOSPC, "no space")
        return real(file, data[:3000], offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="no space"):
            writer.append([sample], first_seq=2, last_seq=2, offset=9000)
    assert path.read_bytes() == before
    writer.append([sample], first_seq=3, last_seq=3, offset=18_000)
    writer.end_segment(lost=1)
    writer.close()
    (segment,) = scan(path).segments
    assert [(item.first_seq, item.dts) for item in segment.fragments] == [
        (1, 0),
        (3, 18_000),
    ]


@pytest.mark.parametrize("synced", [True, False])
@pytest.mark.parametrize("may_cut", [True, False])
def test_sync_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: bool, may_cut: bool
) -> None:
    """What it should have made last is cut, at the latest before the file is written again; no later sync hides it."""
    path = tmp_path / "08.mp4"
    writer = HourFileWriter(path, CONFIG, CLAIMS)
    writer.open()
    writer.begin_segment(header(1))
    sample = Sample(b"x" * 500, 9000, True)
    writer.append([sample], first_seq=1, last_seq=1, offset=0)
    if synced:
        writer.sync()
        writer.append([sample], first_seq=2, last_seq=2, offset=9000)
    assert writer.synced < writer.end

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "no good")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(OSError, match="no good"):
            writer.sync()
    with pytest.raises(OSError, match="sync has failed"):
        writer.end_segment(lost=0)
    with pytest.raises(OSError, match="sync has failed"):
        writer.sync()
    with monkeypatch.context() as patch:
        if not may_cut:
            patch.setattr(os, "truncate", fail)
            patch.setattr(Path, "unlink", fail)
        writer.discard_unsynced()
    assert writer.segment is not None
    assert len(writer.segment.fragments) == synced
    writer.close()
    left = len(scan(path).segments[0].fragments) if path.exists() else 0
    assert left == synced + (not may_cut)
    write(path, events=1, fragments=1, first=2)
    assert [
        (segment.header.event, [item.first_seq for item in segment.fragments])
        for segment in scan(path).segments
    ] == [(1, [1])] * synced + [(2, [1])]


def test_one_writer_and_one_configuration(tmp_path: Path) -> None:
    """A second writer and another configuration are refused; both leave the file free."""
    path = tmp_path / "08.mp4"
    write(path)
    one = HourFileWriter(path, CONFIG, CLAIMS)
    one.open()
    with pytest.raises(BlockingIOError):
        HourFileWriter(path, CONFIG, CLAIMS).open()
    one.close()
    with pytest.raises(ConfigDiffers):
        HourFileWriter(path, VideoConfig(CONFIG.avcc + b"x", 160, 120), CLAIMS).open()
    assert CLAIMS.claim(path)
    CLAIMS.release(path)


def test_scan_reads_headers_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of a megabyte of samples costs one small read per fragment."""
    path = tmp_path / "08.mp4"
    writer = HourFileWriter(path, CONFIG, CLAIMS)
    writer.open()
    writer.begin_segment(header(1))
    for i in range(10):
        writer.append(
            [Sample(bytes(100_000), 9000, True)],
            first_seq=i + 1,
            last_seq=i + 1,
            offset=i * 9000,
        )
    writer.end_segment(lost=0)
    writer.close()
    reads: list[int] = []
    real = os.pread

    def count(file: int, size: int, offset: int) -> bytes:
        data = real(file, size, offset)
        reads.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", count)
    assert scan(path).fragment_count == 10
    assert len(reads) <= 10 + 6
    assert sum(reads) < 10 * 1024 + 3 * 64 * 1024


@given(data=st.data())
@hypothesis_settings(deadline=None, max_examples=300)
def test_damage_never_raises_more_than_promised(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever bytes change, scan and repair answer, and what is left is closed."""
    path = tmp_path_factory.mktemp("damage") / "08.mp4"
    write(path, close=data.draw(st.booleans()))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        content[at : at + len(piece)] = piece
    path.write_bytes(content)
    try:
        found = repair(path)
    except HourFileError:
        assert path.read_bytes() == content
        return
    if found is not None:
        assert scan(path).is_closed
        for segment in found.segments:
            assert sum(1 for _ in segment.frames()) == segment.frame_count
