"""Answers to requests for a virtual file."""

from dataclasses import dataclass

from hypothesis import given, strategies as st
import pytest

from custom_components.magicpi_nvr.recording.library.http_range import (
    answer,
    content_disposition,
)


@dataclass
class File:
    """A thousand bytes."""

    size: int = 1000
    etag: str = '"abc"'
    last_modified_ms: int = 1_795_348_800_123
    filename: str = "Front-door_2026-11-22.mp4"
    content_type: str = "video/mp4"


def test_whole() -> None:
    """Without a range all of it, with all that a player wants to know."""
    got = answer(File(), {})
    assert (got.status, got.start, got.stop, got.has_body) == (200, 0, 1000, True)
    assert got.headers == {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": 'inline; filename="Front-door_2026-11-22.mp4"',
        "Content-Length": "1000",
        "Content-Type": "video/mp4",
        "ETag": '"abc"',
        "Last-Modified": "Sun, 22 Nov 2026 12:00:00 GMT",
    }


def test_head() -> None:
    """HEAD has the headers of GET and no body; a range means nothing to it."""
    got = answer(File(), {"Range": "bytes=0-1"}, method="HEAD")
    assert (got.status, got.has_body) == (200, False)
    assert got.headers == answer(File(), {}).headers


@pytest.mark.parametrize(
    ("text", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 1000),
        ("bytes=999-", 999, 1000),
        ("bytes=10-19", 10, 20),
        ("bytes=990-2000", 990, 1000),
        ("bytes=0-99999999999999999999999999", 0, 1000),
        ("bytes=-1", 999, 1000),
        ("bytes=-1000", 0, 1000),
        ("bytes=-5000", 0, 1000),
        (" BYTES= 5-6 ", 5, 7),
    ],
)
def test_one_range(text: str, start: int, stop: int) -> None:
    """One range is answered with 206."""
    got = answer(File(), {"range": text})
    assert (got.status, got.start, got.stop, got.has_body) == (206, start, stop, True)
    assert got.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1000"
    assert got.headers["Content-Length"] == str(stop - start)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-4",
        "bytes=0-1,5-6",
        "items=0-1",
        "bytes=--1",
        "bytes=1-2-3",
        "bytes=٣-٤",
    ],
)
def test_range_that_is_ignored(text: str) -> None:
    """What is no single byte range is answered with the whole."""
    got = answer(File(), {"Range": text})
    assert (got.status, got.start, got.stop) == (200, 0, 1000)
    assert "Content-Range" not in got.headers


@pytest.mark.parametrize(
    "text",
    ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=99999999999999999999-"],
)
def test_range_that_cannot_be(text: str) -> None:
    """Nothing of it is there: 416 says how long the file is."""
    got = answer(File(), {"Range": text})
    assert (got.status, got.start, got.stop, got.has_body) == (416, 0, 0, False)
    assert got.headers["Content-Range"] == "bytes */1000"


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ('"abc"', 206),
        (' "abc" ', 206),
        ('"other"', 200),
        ('W/"abc"', 200),
        ("Sun, 22 Nov 2026 12:00:00 GMT", 200),
    ],
)
def test_if_range(condition: str, status: int) -> None:
    """Only the strong tag of these very bytes lets a download go on."""
    assert answer(File(), {"Range": "bytes=5-", "If-Range": condition}).status == status


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ('"abc"', 304),
        ('W/"abc"', 304),
        ('"x", "abc"', 304),
        ("*", 304),
        ('"x"', 200),
        ("abc", 200),
        ("", 200),
    ],
)
def test_if_none_match(condition: str, status: int) -> None:
    """Who has it need not load it."""
    got = answer(
        File(),
        {"If-None-Match": condition, "Range": "bytes=2000-"}
        if status == 304
        else {"If-None-Match": condition},
    )
    assert got.status == status
    if status == 304:
        assert not got.has_body
        assert got.headers["ETag"] == '"abc"'


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.mp4", 'attachment; filename="a.mp4"'),
        ("Tür.mp4", "attachment; filename=\"T_r.mp4\"; filename*=UTF-8''T%C3%BCr.mp4"),
        (
            'a"b\\c.mp4',
            "attachment; filename=\"a_b_c.mp4\"; filename*=UTF-8''a%22b%5Cc.mp4",
        ),
        (
            "a\r\nX: y.mp4",
            "attachment; filename=\"a__X: y.mp4\"; filename*=UTF-8''a%0D%0AX%3A%20y.mp4",
        ),
    ],
)
def test_content_disposition(name: str, header: str) -> None:
    """Any name is safe in a header."""
    assert content_disposition(name, attachment=True) == header


@given(
    text=st.text(),
    condition=st.none() | st.text(),
    match=st.none() | st.text(),
    size=st.integers(0, 10),
)
def test_any_header(
    text: str, condition: str | None, match: str | None, size: int
) -> None:
    """Whatever is asked, the answer lies in the file and is described truly."""
    headers = {"Range": text, "If-Range": condition, "If-None-Match": match}
    got = answer(
        File(size=size),
        {name: value for name, value in headers.items() if value is not None},
    )
    assert 0 <= got.start <= got.stop <= size
    assert got.status in (200, 206, 304, 416)
    if got.has_body:
        assert got.headers["Content-Length"] == str(got.stop - got.start)


@given(first=st.integers(0, 20), length=st.integers(1, 20), size=st.integers(1, 15))
def test_any_range(first: int, length: int, size: int) -> None:
    """A range is cut to the file, or there is nothing in it."""
    got = answer(File(size=size), {"Range": f"bytes={first}-{first + length - 1}"})
    expected = range(size)[first : first + length]
    assert got.status == (206 if expected else 416)
    assert range(got.start, got.stop) == expected or not expected
