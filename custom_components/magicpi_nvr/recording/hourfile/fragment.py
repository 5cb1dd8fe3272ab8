"""The one shape that every fragment of an hour file has: packing and reading it."""

from collections.abc import Sequence
import os
import struct
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5
from zlib import crc32

from .boxes import OTHER_SAMPLE, SYNC_SAMPLE, TRACK_ID
from .model import Fragment, Sample

FRAGMENT_TYPE = uuid5(NAMESPACE_URL, "urn:magicpi:fragment:1").bytes

# One shape, so that one unpack reads and one pack writes it: uuid, moof of mfhd and traf (tfhd with
# default-base-is-moof, tfdt version 1, trun with offset, and with duration, size and flags per sample),
# then the header of mdat.
_HEAD = struct.Struct(">I4s16sIIIII I4sI4sII I4s I4sIII4sIQ I4sIII")
HEAD_SIZE = _HEAD.size
_UUID_SIZE = 44
_MOOF_SIZE = 88  # without the sample table
_TRAF_SIZE = _MOOF_SIZE - 24
_TRUN_SIZE = 20  # without the sample table
_TFHD_FLAGS = 0x020000
_TRUN_FLAGS = 0x000701
_SAMPLE_SIZE = 12
_MDAT_HEADER = 8
_MAX_SAMPLES = 10_000
# Thousands of years, and sums of it fit in 63 bits.
_MAX_DTS = 1 << 53


class _Head(NamedTuple):
    """All that precedes the sample table, box by box in the order of the file."""

    uuid_size: int
    uuid: bytes
    fragment_type: bytes
    boot: int
    event: int
    first_seq: int
    last_seq: int
    crc: int  # CRC-32 of the samples
    moof_size: int
    moof: bytes
    mfhd_size: int
    mfhd: bytes
    mfhd_version: int
    sequence: int
    traf_size: int
    traf: bytes
    tfhd_size: int
    tfhd: bytes
    tfhd_flags: int
    track: int
    tfdt_size: int
    tfdt: bytes
    tfdt_version: int
    dts: int
    trun_size: int
    trun: bytes
    trun_flags: int
    samples: int
    data_offset: int  # of the first sample, from the start of moof


def pack_fragment(
    samples: Sequence[Sample],
    *,
    boot: int,
    event: int,
    first_seq: int,
    last_seq: int,
    sequence: int,
    dts: int,
) -> bytes:
    """Return a fragment's boxes; `sequence` counts fragments in the file, `dts` in ticks."""
    crc = 0
    table: list[int] = []
    for data, duration, sync in samples:
        crc = crc32(data, crc)
        table += (duration, len(data), SYNC_SAMPLE if sync else OTHER_SAMPLE)
    data_size = sum(table[1::3])
    head = _head(
        boot=boot,
        event=event,
        first_seq=first_seq,
        last_seq=last_seq,
        crc=crc,
        sequence=sequence,
        dts=dts,
        count=len(samples),
    )
    return b"".join(
        (
            _HEAD.pack(*head),
            struct.pack(f">{len(table)}I", *table),
            struct.pack(">I4s", _MDAT_HEADER + data_size, b"mdat"),
            *(sample.data for sample in samples),
        )
    )


def read_fragment(file: int, data: bytes, offset: int, size: int) -> Fragment | None:
    """Return the fragment whose first bytes are given, None unless it is whole and has our shape.

    `size` is the end of what may be read of the file.
    """
    head = _Head._make(_HEAD.unpack_from(data))
    if (
        not 0 < head.samples <= _MAX_SAMPLES
        or head.dts > _MAX_DTS
        or head
        != _head(
            boot=head.boot,
            event=head.event,
            first_seq=head.first_seq,
            last_seq=head.last_seq,
            crc=head.crc,
            sequence=head.sequence,
            dts=head.dts,
            count=head.samples,
        )
    ):
        return None
    header = _UUID_SIZE + head.moof_size + _MDAT_HEADER
    if len(data) < header:
        data = os.pread(file, header, offset)
        if len(data) < header:
            return None
    fragment = _fragment(head, data, offset)
    length, kind = struct.unpack_from(">I4s", data, header - _MDAT_HEADER)
    if (
        kind != b"mdat"
        or length != _MDAT_HEADER + fragment.end - fragment.data_offset
        or fragment.end > size
    ):
        return None
    return fragment


def parse_written(data: bytes, offset: int) -> Fragment:
    """Return what read_fragment() would make of a fragment that was packed here."""
    return _fragment(_Head._make(_HEAD.unpack_from(data)), data, offset)


def _fragment(head: _Head, data: bytes, offset: int) -> Fragment:
    table = struct.unpack_from(f">{3 * head.samples}I", data, HEAD_SIZE)
    samples = offset + _UUID_SIZE + head.data_offset
    return Fragment(
        offset=offset,
        end=samples + sum(table[1::3]),
        data_offset=samples,
        dts=head.dts,
        boot=head.boot,
        event=head.event,
        first_seq=head.first_seq,
        last_seq=head.last_seq,
        crc=head.crc,
        table=table,
    )


def _head(
    *,
    boot: int,
    event: int,
    first_seq: int,
    last_seq: int,
    crc: int,
    sequence: int,
    dts: int,
    count: int,
) -> _Head:
    moof_size = _MOOF_SIZE + _SAMPLE_SIZE * count
    # By position: scan() makes one of these per fragment, and by keyword it takes twice as long.
    return _Head(
        _UUID_SIZE, b"uuid", FRAGMENT_TYPE, boot, event, first_seq, last_seq, crc,
        moof_size, b"moof", 16, b"mfhd", 0, sequence,
        _TRAF_SIZE + _SAMPLE_SIZE * count, b"traf",
        16, b"tfhd", _TFHD_FLAGS, TRACK_ID, 20, b"tfdt", 1 << 24, dts,
        _TRUN_SIZE + _SAMPLE_SIZE * count, b"trun", _TRUN_FLAGS, count, moof_size + _MDAT_HEADER,
    )  # fmt: skip
