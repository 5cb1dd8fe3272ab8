"""Taking events out of an hour file: it is written anew beside itself and then put in its place. Blocking."""

from collections.abc import Collection
from contextlib import suppress
import os
from pathlib import Path
import struct
from typing import BinaryIO

from . import hourfile
from .boxes import EventMessage, event_message, find, init_segment
from .sidecar import sync_folder

_COPY = 1024 * 1024


def kept_size(path: Path, events: Collection[str]) -> int:
    """Return how long the file would be without these events; 0 = nothing would be left. Raises HourFileError, OSError."""
    hour = hourfile.scan(path)
    kept = sum(run.size for run in hour.runs if run.header.id not in events)
    return hour.init_size + kept if kept else 0


def rewrite_without(path: Path, events: Collection[str]) -> list[hourfile.Run]:
    """Replace the file by one without these events, whose decode times continue; return its runs.

    Old or new, the file is whole at every moment. The caller has claimed it. Raises HourFileError, OSError.
    """
    hourfile.cut_taken_back(path)
    hour = hourfile.scan(path)
    temporary = path.with_name(f".{path.name}.tmp")
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with temporary.open("wb") as target:
            target.write(init_segment(hour.config))
            dts = sequence = 0
            for run in hour.runs:
                if run.header.id in events:
                    continue
                _copy_run(source, target, run, dts - run.dts, sequence)
                dts += run.next_dts - run.dts
                sequence += len(run.fragments)
            target.flush()
            os.fsync(target.fileno())
        written = hourfile.scan(temporary).runs
        _check(written, [run for run in hour.runs if run.header.id not in events])
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(source)
    sync_folder(path.parent)
    return written


def _check(written: list[hourfile.Run], wanted: list[hourfile.Run]) -> None:
    """Raise HourFileError unless the same runs can be read."""
    if [(run.header, run.end, run.frame_count) for run in written] != [
        (run.header, run.end, run.frame_count) for run in wanted
    ]:
        raise hourfile.HourFileError("the rewritten file does not read back")


def _copy_run(
    source: int, target: BinaryIO, run: hourfile.Run, shift: int, sequence: int
) -> None:
    """Append a run with its decode times shifted by ticks; `sequence` fragments are there already."""
    header = run.header
    target.write(
        event_message(
            EventMessage(
                hourfile.EVENT_SCHEME, run.dts + shift, header.to_json(), header.number
            )
        )
    )
    for number, fragment in enumerate(run.fragments, sequence + 1):
        head = bytearray(_read(source, fragment.offset, fragment.data_offset))
        mfhd = find(head, b"moof", b"mfhd")
        struct.pack_into(">I", head, mfhd.body + 4, number)
        tfdt = find(head, b"moof", b"traf", b"tfdt")
        struct.pack_into(">Q", head, tfdt.body + 4, fragment.dts + shift)
        target.write(head)
        target.writelines(
            _read(source, start, min(start + _COPY, fragment.end))
            for start in range(fragment.data_offset, fragment.end, _COPY)
        )
    if run.end is not None:
        target.write(
            event_message(
                EventMessage(
                    hourfile.EVENT_END_SCHEME, run.next_dts + shift, run.end.to_json()
                )
            )
        )


def _read(source: int, start: int, end: int) -> bytes:
    """Return bytes of a file; raises HourFileError when they are not there."""
    data = os.pread(source, end - start, start)
    if len(data) != end - start:
        raise hourfile.HourFileError("the file became shorter")
    return data
