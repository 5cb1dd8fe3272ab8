"""Check one JPEG of a camera: walk its markers, repair what is harmless, refuse what is not.

No picture is decoded: decoders accept zeroed scans and missing ends, so their success
proves nothing. Damage inside a scan is the business of the frame's CRC.
"""

from enum import StrEnum
import re
from typing import Final, Literal, NamedTuple

MAX_JPEG_BYTES: Final = 512 * 1024
MIN_SIDE: Final = 16
MAX_SIDE: Final = 2560
MAX_SEGMENTS: Final = 256  # a progressive picture of the libraries has about 30
MAX_JUNK: Final = 4096

_SOI: Final = b"\xff\xd8\xff"
_EOI: Final = b"\xff\xd9"
_MARKER_SOS: Final = 0xDA
_MARKER_EOI: Final = 0xD9
# Baseline, extended sequential and progressive, all Huffman coded.
_MARKERS_SOF: Final = frozenset((0xC0, 0xC1, 0xC2))
# Arithmetic, lossless and hierarchical coding: no decoder in use takes them.
_MARKERS_SOF_REFUSED: Final = frozenset(
    (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
)
# SOF, SOS, DHT, DQT, DNL, DRI, APPn, COM: all carry their length.
_MARKERS_SEGMENT: Final = frozenset(
    (*_MARKERS_SOF, _MARKER_SOS, 0xC4, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE)
)
# Within a scan 0xFF is followed by a stuffed zero, a restart marker or another 0xFF.
_NEXT_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_NO_FILL: Final = re.compile(rb"[^\xff]")
# The standard table of luminance AC coefficients: with it every block of a scan brings
# set bits, so a long run of zeros is memory that was never written.
_STANDARD_AC_TABLE: Final = bytes.fromhex("100002010303020403050504040000017d")
_ZERO_RUN: Final = bytes(256)
# Nor does a scan have more than a few fill bytes: these are data lines that stay high.
_ONES_RUN: Final = b"\xff" * 256
# A block of 8 x 8 has at least a bit for its mean and one for its end.
_PIXELS_PER_BYTE: Final = 8 * 8 * 8 // 2
_MARKER_DHT: Final = 0xC4
_MARKER_DQT: Final = 0xDB
_MARKER_EXIF: Final = 0xE1
_SEQUENTIAL: Final = (0xC0, 0xC1)
_EXIF_HEADER: Final = b"Exif\0\0"
_EXIF_ORIENTATION: Final = 0x0112
_EXIF_SHORT: Final = 3
_MAX_EXIF_ENTRIES: Final = 64
# Degrees clockwise to turn a picture by, for the tag's values from 1; a mirrored picture is
# turned and stays mirrored.
_ORIENTATIONS: Final = (0, 0, 180, 180, 90, 90, 270, 270)
_TAGS: Final = {0: 1, 90: 6, 180: 3, 270: 8}
# An APP1 segment up to the value of its only tag.
_EXIF_SEGMENT: Final = bytes.fromhex(
    "ffe1 0022 457869660000 4d4d 002a 00000008 0001 0112 0003 00000001"
)
# A camera's header stays the same for as long as its settings do: from SOI through the SOS
# of three components it is read once.
_SOS_OF_THREE: Final = b"\xff\xda\x00\x0c"
_SOS_BYTES: Final = 14
_MAX_HEADER: Final = 2048
_MAX_HEADERS: Final = 64
_headers: dict[bytes, _Header] = {}
# In a scan 0xFF stands about every 500 bytes; hostile data may consist of nothing else.
_MAX_HOPS: Final = 1024


class _Header(NamedTuple):
    """What the segments before the first scan say, and where its data begins."""

    width: int
    height: int
    tag: int
    standard_tables: bool
    scan: int
    least: int  # bytes of the scan, 0 = there may be more than one

    def check_scan(self, data: bytes, end: int) -> None:
        """Raise JpegError for a scan up to `end` that no camera makes."""
        if end - self.scan < self.least:
            raise JpegError(JpegFault.TRUNCATED)
        if (
            self.standard_tables and data.find(_ZERO_RUN, self.scan, end) >= 0
        ) or data.find(_ONES_RUN, self.scan, end) >= 0:
            raise JpegError(JpegFault.ZEROED)


class JpegFault(StrEnum):
    """Why a picture is refused."""

    EMPTY = "empty"
    TOO_BIG = "too_big"
    NO_START = "no_start"
    TRUNCATED = "truncated"
    BAD_SEGMENT = "bad_segment"
    BAD_MARKER = "bad_marker"
    TWO_PICTURES = "two_pictures"
    NO_FRAME = "no_frame"
    CODING = "coding"
    COLORS = "colors"
    DIMENSIONS = "dimensions"
    ZEROED = "zeroed"


class JpegError(Exception):
    """A picture that is refused; `reason` is a JpegFault."""

    def __init__(self, reason: JpegFault) -> None:
        """Keep the reason."""
        super().__init__(reason.value)
        self.reason = reason


class JpegCheck(NamedTuple):
    """A good JPEG, its size in pixels, what was repaired, and its EXIF orientation tag."""

    data: bytes
    width: int
    height: int
    repairs: tuple[str, ...]
    tag: int = 1

    @property
    def orientation(self) -> int:
        """How a viewer turns the picture, in degrees clockwise: 0, 90, 180 or 270."""
        return _ORIENTATIONS[self.tag - 1]


def _parse_sof(data: bytes, start: int, length: int) -> tuple[int, int]:
    """Return width and height of the frame header whose length field is at `start`."""
    if length < 8 or data[start + 2] != 8:
        raise JpegError(JpegFault.CODING)
    components = data[start + 7]
    if components not in (1, 3):
        raise JpegError(JpegFault.COLORS)
    if length != 8 + 3 * components:
        raise JpegError(JpegFault.BAD_SEGMENT)
    height = int.from_bytes(data[start + 3 : start + 5])
    width = int.from_bytes(data[start + 5 : start + 7])
    # H.264 in 4:2:0 has no odd sides, and no camera module makes them.
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE) or (
        (width | height) & 1
    ):
        raise JpegError(JpegFault.DIMENSIONS)
    return width, height


def _find_orientation(
    data: bytes, start: int, end: int
) -> tuple[int, int, Literal["little", "big"]] | None:
    """Return value, index and byte order of the orientation tag in an APP1 segment's payload."""
    tiff = start + len(_EXIF_HEADER)
    if not data.startswith(_EXIF_HEADER, start, end):
        return None
    order: Literal["little", "big"] = (
        "little" if data[tiff : tiff + 2] == b"II" else "big"
    )

    def number(index: int, size: int) -> int:
        return int.from_bytes(data[index : min(index + size, end)], order)

    entries = tiff + number(tiff + 4, 4)
    for index in range(min(number(entries, 2), _MAX_EXIF_ENTRIES)):
        entry = entries + 2 + 12 * index
        if entry + 12 > end:
            break
        if number(entry, 2) == _EXIF_ORIENTATION:
            value = number(entry + 8, 2)
            if number(entry + 2, 2) == _EXIF_SHORT and 1 <= value <= len(_ORIENTATIONS):
                return value, entry + 8, order
            break
    return None


def turned(data: bytes, degrees: int) -> bytes:
    """Return a good picture whose orientation tag says `degrees` clockwise; no pixel is touched."""
    value = _TAGS[degrees]
    position = 2
    while data[position] == 0xFF and data[position + 1] != _MARKER_SOS:
        if data[position + 1] == 0xFF:  # a fill byte
            position += 1
            continue
        end = position + 2 + (data[position + 2] << 8 | data[position + 3])
        if data[position + 1] == _MARKER_EXIF and (
            found := _find_orientation(data, position + 4, end)
        ):
            _, index, order = found
            return data[:index] + value.to_bytes(2, order) + data[index + 2 :]
        position = end
    return b"".join((data[:2], _EXIF_SEGMENT, value.to_bytes(2), bytes(6), data[2:]))


def _next_marker(data: bytes, position: int) -> int:
    """Return the index of the first marker from `position` in a scan, -1 where there is none."""
    index = data.index
    try:
        # Hopping from one 0xFF to the next is three times as fast as the expression.
        for _ in range(_MAX_HOPS):
            if follower := data[position := index(b"\xff", position) + 1]:
                # The second of two 0xFF may begin a marker itself.
                if follower != 0xFF and not 0xD0 <= follower <= 0xD7:
                    return position - 1
    except ValueError, IndexError:
        return -1
    found = _NEXT_MARKER.search(data, position)
    return found.start() if found else -1


def _walk(data: bytes, start: int) -> tuple[_Header, int | None]:
    """Walk the markers from the SOI at `start`.

    Returns the header, and the index behind the first EOI, None where there is none.
    """
    size = len(data)
    position = start + 2
    width = height = 0
    tag = coding = 0
    seen: set[int] = set()
    header: _Header | None = None
    for _ in range(MAX_SEGMENTS):
        if position + 2 > size:
            raise JpegError(JpegFault.TRUNCATED)
        if data[position] != 0xFF:
            raise JpegError(JpegFault.BAD_MARKER)
        marker = data[position + 1]
        if marker == 0xFF:  # fill bytes before a marker
            if (filled := _NO_FILL.search(data, position)) is None:
                raise JpegError(JpegFault.TRUNCATED)
            position = filled.start() - 1
            marker = data[position + 1]
        position += 2
        if marker == _MARKER_EOI:
            if header is None:
                raise JpegError(JpegFault.TRUNCATED)
            return header, position
        if marker == 0xD8:
            raise JpegError(JpegFault.TWO_PICTURES)
        if marker in _MARKERS_SOF_REFUSED:
            raise JpegError(JpegFault.CODING)
        if marker not in _MARKERS_SEGMENT:
            raise JpegError(JpegFault.BAD_MARKER)
        if position + 2 > size:
            raise JpegError(JpegFault.TRUNCATED)
        length = data[position] << 8 | data[position + 1]
        if length < 2:
            raise JpegError(JpegFault.BAD_SEGMENT)
        if position + length > size:
            raise JpegError(JpegFault.TRUNCATED)
        seen.add(marker)
        if marker in _MARKERS_SOF:
            if coding:
                raise JpegError(JpegFault.TWO_PICTURES)
            coding = marker
            width, height = _parse_sof(data, position, length)
        elif marker == _MARKER_EXIF:
            if not tag and (
                found := _find_orientation(data, position + 2, position + length)
            ):
                tag = found[0]
        elif marker == _MARKER_SOS:
            if not coding or _MARKER_DQT not in seen:
                raise JpegError(JpegFault.NO_FRAME)
            if length < 8 or length != 6 + 2 * data[position + 2]:
                raise JpegError(JpegFault.BAD_SEGMENT)
            position += length
            if header is None:
                # Without tables a decoder takes the standard ones, as of Motion JPEG.
                standard = (
                    data.find(_STANDARD_AC_TABLE, start, position) >= 0
                    if _MARKER_DHT in seen
                    else coding in _SEQUENTIAL
                )
                least = (
                    width * height // _PIXELS_PER_BYTE if coding in _SEQUENTIAL else 0
                )
                header = _Header(width, height, tag or 1, standard, position, least)
            if (behind := _next_marker(data, position)) < 0:
                if size <= position:
                    raise JpegError(JpegFault.TRUNCATED)
                return header, None
            position = behind
            continue
        position += length
    raise JpegError(JpegFault.BAD_SEGMENT)


def check_jpeg(data: bytes, *, max_bytes: int = MAX_JPEG_BYTES) -> JpegCheck:
    """Return the picture from SOI to its first EOI; raises JpegError.

    Repairs: `junk_before` (bytes before SOI), `junk_after` (bytes behind the first EOI, the
    stale tail of a larger picture among them), `no_end` (EOI added where a scan has begun).
    Accepted: 8 bit baseline, extended and progressive, gray or three components.
    """
    if (size := len(data)) > max_bytes:
        raise JpegError(JpegFault.TOO_BIG)
    scan = data.find(_SOS_OF_THREE, 0, _MAX_HEADER) + _SOS_BYTES
    if known := _headers.get(data[:scan]):
        if _next_marker(data, scan) == size - 2 and data.endswith(_EOI):
            known.check_scan(data, size - 2)
            return JpegCheck(data, known.width, known.height, (), known.tag)
    return _check_unknown(data, max_bytes)


def _check_unknown(data: bytes, max_bytes: int) -> JpegCheck:
    """Check a picture whose header is new, or that is not perfect."""
    if not data:
        raise JpegError(JpegFault.EMPTY)
    repairs: list[str] = []
    start = 0
    if not data.startswith(_SOI):
        if (start := data.find(_SOI, 0, MAX_JUNK + len(_SOI))) < 0:
            raise JpegError(JpegFault.NO_START)
        repairs.append("junk_before")
    header, end = _walk(data, start)
    scan = header.scan
    header.check_scan(data, len(data) if end is None else end - len(_EOI))
    if end is None:
        data = data[start:] + _EOI
        if len(data) > max_bytes:
            raise JpegError(JpegFault.TOO_BIG)
        repairs.append("no_end")
    else:
        if end < len(data):
            repairs.append("junk_after")
        if repairs:
            data = data[start:end]
    if not repairs and scan <= _MAX_HEADER:
        if len(_headers) >= _MAX_HEADERS:
            _headers.clear()
        _headers[data[:scan]] = header
    return JpegCheck(data, header.width, header.height, tuple(repairs), header.tag)
