"""Spools: what was appended is read back, a torn or damaged end is not."""

import errno
import os
from pathlib import Path
from typing import Any

from hypothesis import given, settings as hypothesis_settings, strategies as st
import pytest

from custom_components.magicpi_nvr.recording.capture.spool import (
    Spool,
    SpooledFrame,
    SpoolError,
    SpoolHeader,
)
from custom_components.magicpi_nvr.recording.library.layout import (
    spool_files,
    spool_path,
)

EVENT = "aabbccddee01-1234abcd-1"
HEADER = SpoolHeader(
    id=EVENT,
    camera="AA:BB:CC:DD:EE:01",
    boot=0x1234ABCD,
    event=1,
    reason="pir",
    start_ms=1_000_000,
    t=500,
    date="2026-11-22",
    hour=8,
    hour_ms=999_000,
)


def fill(root: Path, count: int = 5) -> tuple[Spool, list[SpooledFrame], list[bytes]]:
    """Return a spool with some frames."""
    spool = Spool(spool_path(root, EVENT), HEADER)
    pictures = [bytes([i]) * (100 + i) for i in range(count)]
    frames = []
    for i, jpeg in enumerate(pictures):
        frames += spool.append(
            [
                (
                    SpooledFrame(
                        0, i + 1, i * 100 - 50, i * 100 + 500, 1, 800, 600, len(jpeg)
                    ),
                    jpeg,
                )
            ]
        )
    return spool, frames, pictures


def test_read_back(tmp_path: Path) -> None:
    """Header, frames and pictures are those that were given, also by another process."""
    spool, frames, pictures = fill(tmp_path)
    (path,) = spool_files(tmp_path)
    again, found = Spool.open(path)
    assert again.header == HEADER
    assert found == frames
    for reader in (spool, again):
        assert [reader.read(frame) for frame in frames] == pictures
    again.append([(frames[0], pictures[0])])
    assert len(Spool.open(path)[1]) == 6
    spool.remove()
    assert not list(tmp_path.iterdir())


def test_torn_anywhere(tmp_path: Path) -> None:
    """A cut at any byte leaves the frames before it; one in the header leaves nothing."""
    spool, frames, _ = fill(tmp_path)
    whole = spool.path.read_bytes()
    for cut in range(len(whole)):
        spool.path.write_bytes(whole[:cut])
        if cut < frames[0].offset:
            with pytest.raises(SpoolError):
                Spool.open(spool.path)
            continue
        _, found = Spool.open(spool.path)
        ends = [frame.offset for frame in frames[1:]] + [len(whole)]
        assert found == frames[: sum(end <= cut for end in ends)]


@given(data=st.data())
@hypothesis_settings(deadline=None, max_examples=100)
def test_damage(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A changed byte is noticed: frames from there on are not there, and no wrong picture is read."""
    spool, frames, pictures = fill(tmp_path_factory.mktemp("spool"))
    content = bytearray(spool.path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    spool.path.write_bytes(content)
    try:
        again, found = Spool.open(spool.path)
    except SpoolError:
        assert at < frames[0].offset
        return
    assert found == frames[: sum(frame.offset <= at for frame in frames) - 1]
    assert [again.read(frame) for frame in found] == pictures[: len(found)]


def test_write_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves the spool as it was."""
    spool, frames, _ = fill(tmp_path)
    real = os.pwrite

    def full(file: int, data: memoryview, offset: int) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, "no space")
        return real(file, data[:50], offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="no space"):
            spool.append([(frames[0], bytes(100))])
    assert Spool.open(spool.path)[1] == frames
    spool.append([(frames[0], bytes(100))])
    assert len(Spool.open(spool.path)[1]) == 6


def test_folder_goes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another event's spool that ends right now takes the folder away, and is no failure of this one."""
    path = spool_path(tmp_path, EVENT)
    real, taken = os.open, 0

    def take(file: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        nonlocal taken
        if file == path and flags & os.O_CREAT and taken < 2:
            taken += 1
            path.parent.rmdir()
            path.parent.parent.rmdir()
        return real(file, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", take)
    _, frames, _ = fill(tmp_path)
    assert (taken, len(frames)) == (2, 5)


@pytest.mark.parametrize("before", [0, 3])
def test_another_disk_is_mounted_meanwhile(tmp_path: Path, before: int) -> None:
    """What was written to it is no frame that is safe, and it is left as it was."""
    spool, _, _ = fill(tmp_path, before)
    size = spool.size
    frame = SpooledFrame(0, 9, 900, 900, 1, 800, 600, 4)

    def refuse() -> None:
        raise OSError(errno.ENXIO, "another storage is in its place")

    with pytest.raises(OSError, match="another storage"):
        spool.append([(frame, b"jpeg")], refuse)
    assert spool.size == size
    assert [path.stat().st_size for path in spool_files(tmp_path)] == [size] * bool(
        before
    )
    assert before or not list(tmp_path.iterdir())
    spool.append([(frame, b"jpeg")])
    (path,) = spool_files(tmp_path)
    assert [found.seq for found in Spool.open(path)[1]][before:] == [9]
