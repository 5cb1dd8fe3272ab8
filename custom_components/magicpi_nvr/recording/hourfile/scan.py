"""Reading an hour file: its headers, never its samples. Blocking."""

import os
from pathlib import Path
import struct

from .boxes import BoxError, VideoConfig, ftyp, parse_event_message, parse_moov
from .fragment import FRAGMENT_TYPE, HEAD_SIZE, read_fragment
from .model import (
    EVENT_END_SCHEME,
    EVENT_SCHEME,
    Fragment,
    HourFile,
    HourFileError,
    Segment,
    SegmentEnd,
    SegmentHeader,
)
from .sps import with_coded_size

_READ_AHEAD = 1024  # bytes: the headers of most fragments
_MAX_MESSAGE = 64 * 1024  # bytes
_PASSED_OVER = {b"free", b"skip", b"styp", b"sidx", b"prft", b"emsg", b"uuid"}


def scan(path: Path) -> HourFile:
    """Read the headers of a file, never its samples; raises HourFileError and OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return scan_open(file, path)
    finally:
        os.close(file)


def scan_segment(path: Path, offset: int, end: int | None = None) -> Segment:
    """Read the headers of the one segment that lies there; without `end` the file's last, however far it is.

    Raises HourFileError and OSError.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = scan_open(file, path, offset, end)
    finally:
        os.close(file)
    if len(found.segments) != 1 or found.segments[0].offset != offset:
        raise HourFileError("the segment is not where it was")
    return found.segments[0]


def read_config(path: Path) -> VideoConfig:
    """Read how the samples of a file are decoded, with the size that they really have; raises HourFileError and OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return with_coded_size(_read_init(file, os.fstat(file).st_size)[0])
    finally:
        os.close(file)


def scan_open(
    file: int, path: Path, start: int | None = None, stop: int | None = None
) -> HourFile:
    """Read the headers of an open file from `start` to `stop`; raises HourFileError and OSError."""
    size = os.fstat(file).st_size
    config, init_size = _read_init(file, size)
    size = size if stop is None else min(size, stop)
    segments: list[Segment] = []
    fragments: list[Fragment] = []  # of the segment that is open
    offset = valid_end = init_size if start is None else start
    pread = os.pread
    while size - offset >= 8:
        head = pread(file, _READ_AHEAD, offset)
        if head[8:24] == FRAGMENT_TYPE:
            if len(head) < HEAD_SIZE or not segments or segments[-1].end is not None:
                break
            fragment = read_fragment(file, head, offset, size)
            if fragment is None:
                break
            if not fragments:
                segments[-1].dts = fragment.dts
                segments[-1].fragments = fragments
            elif fragment.dts <= fragments[-1].dts or (
                # Its frames would come before those that precede them.
                fragment.dts < fragments[-1].last_dts
            ):
                break
            fragments.append(fragment)
            offset = valid_end = segments[-1].end_offset = fragment.end
            continue
        if len(head) < 8:
            break
        length, kind = struct.unpack_from(">I4s", head)
        if kind not in _PASSED_OVER or length < 8 or offset + length > size:
            break
        if kind == b"emsg":
            try:
                body = pread(file, min(length - 8, _MAX_MESSAGE), offset + 8)
                message = parse_event_message(body, 0, len(body))
                if message.scheme == EVENT_SCHEME:
                    _drop_empty(segments)
                    header = SegmentHeader.from_json(message.data)
                    fragments = []
                    segments.append(
                        Segment(
                            header=header,
                            offset=offset,
                            end_offset=offset + length,
                            dts=message.time,
                        )
                    )
                    # Not valid_end: a segment without a fragment is a torn tail too.
                    offset += length
                    continue
                if message.scheme == EVENT_END_SCHEME:
                    end = SegmentEnd.from_json(message.data)
                    if (
                        not segments
                        or not segments[-1].fragments
                        or end.id != segments[-1].header.id
                    ):
                        break
                    segments[-1].end = end
                    segments[-1].end_offset = offset + length
            except BoxError:
                break
        offset += length
        if not segments or segments[-1].fragments:
            valid_end = offset
    _drop_empty(segments)
    return HourFile(
        path=path,
        config=config,
        init_size=init_size,
        segments=segments,
        valid_end=valid_end,
        size=size,
    )


def _drop_empty(segments: list[Segment]) -> None:
    """Forget the last segment when nothing was written into it."""
    if segments and not segments[-1].fragments:
        segments.pop()


def _read_init(file: int, size: int) -> tuple[VideoConfig, int]:
    """Return the configuration and the length of the init segment."""
    begin = ftyp(fragmented=True)
    head = os.pread(file, 64 * 1024, 0)
    if not head.startswith(begin):
        raise HourFileError("not the beginning of an hour file")
    at = len(begin)
    if len(head) < at + 8:
        raise HourFileError("no movie box")
    length, kind = struct.unpack_from(">I4s", head, at)
    if kind != b"moov" or length < 8 or at + length > min(size, len(head)):
        raise HourFileError("no movie box")
    try:
        return parse_moov(head, at + 8, at + length), at + length
    except BoxError as err:
        raise HourFileError(str(err)) from err
