"""What a web server answers for a virtual file: status, bytes and headers by RFC 9110 and RFC 6266. Knows no web framework."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
import re
from typing import Protocol
from urllib.parse import quote

_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.ASCII | re.IGNORECASE)
_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_MAX_DIGITS = 18


class Representation(Protocol):
    """What is known of a file before its first byte is read."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def etag(self) -> str:
        """Strong, with its quotes."""

    @property
    def last_modified_ms(self) -> int:
        """UTC epoch milliseconds."""

    @property
    def filename(self) -> str:
        """For who saves it."""

    @property
    def content_type(self) -> str:
        """Media type."""


@dataclass(frozen=True, slots=True)
class RangeAnswer:
    """Send bytes [start, stop) with this status and these headers; none for 304 and 416, nor where `has_body` is False."""

    status: int
    start: int
    stop: int
    headers: dict[str, str]
    has_body: bool


def answer(
    file: Representation,
    headers: Mapping[str, str],
    *,
    method: str = "GET",
    attachment: bool = False,
) -> RangeAnswer:
    """Answer a GET or HEAD; `headers` are the request's and find names in any case, or have them in lower case.

    A range in another unit, of no sense, or of several parts is ignored, as RFC 9110 allows: the answer is the whole file.
    """
    known = {name.lower(): value for name, value in headers.items()}
    common = {
        "Accept-Ranges": "bytes",
        "ETag": file.etag,
        "Last-Modified": formatdate(file.last_modified_ms // 1000, usegmt=True),
        "Cache-Control": "private, no-cache",
    }
    if (wanted := known.get("if-none-match")) is not None and _matches(
        wanted, file.etag
    ):
        return RangeAnswer(304, 0, 0, common, has_body=False)
    whole = RangeAnswer(
        200,
        0,
        file.size,
        common
        | {
            "Content-Type": file.content_type,
            "Content-Length": str(file.size),
            "Content-Disposition": content_disposition(
                file.filename, attachment=attachment
            ),
        },
        has_body=method != "HEAD",
    )
    # Ranges are defined for GET alone. A date is no strong validator here: a clip may lose a part without becoming younger.
    if (
        method != "GET"
        or (text := known.get("range")) is None
        or (match := _RANGE.fullmatch(text.strip())) is None
        or (
            (condition := known.get("if-range")) is not None
            and condition.strip() != file.etag
        )
    ):
        return whole
    first, last = match[1][:_MAX_DIGITS], match[2][:_MAX_DIGITS]
    if not first and not last:
        return whole
    if first:
        start = int(first)
        stop = min(int(last) + 1, file.size) if last else file.size
        if last and int(last) < start:
            return whole
    else:
        start, stop = max(file.size - int(last), 0), file.size
    if start >= stop:
        return RangeAnswer(
            416,
            0,
            0,
            common | {"Content-Range": f"bytes */{file.size}", "Content-Length": "0"},
            has_body=False,
        )
    return RangeAnswer(
        206,
        start,
        stop,
        whole.headers
        | {
            "Content-Length": str(stop - start),
            "Content-Range": f"bytes {start}-{stop - 1}/{file.size}",
        },
        has_body=True,
    )


def content_disposition(filename: str, *, attachment: bool) -> str:
    """Return the header that names a file, in ASCII for old clients and in full for the rest."""
    kind = "attachment" if attachment else "inline"
    plain = "".join(
        char if char.isascii() and char.isprintable() and char not in '"\\%' else "_"
        for char in filename
    )
    header = f'{kind}; filename="{plain}"'
    if plain != filename:
        header += f"; filename*=UTF-8''{quote(filename, safe='')}"
    return header


def _matches(condition: str, etag: str) -> bool:
    """Compare weakly, as If-None-Match wants it."""
    return condition.strip() == "*" or any(
        match[2] == etag for match in _TAG.finditer(condition)
    )
