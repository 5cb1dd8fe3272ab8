"""Boxes: an init segment that tools read, and parsers that only ever raise BoxError."""

from contextlib import suppress
import json
from pathlib import Path
import subprocess

from hypothesis import given, settings as hypothesis_settings, strategies as st
import pytest

from custom_components.magicpi_nvr.recording.hourfile.boxes import (
    BoxError,
    EventMessage,
    VideoConfig,
    box,
    boxes,
    event_message,
    find,
    init_segment,
    parse_event_message,
    parse_moov,
)

CONFIG = VideoConfig(b"\1d\0(\xff\xe1\0\4gd\0(\1\0\4h\xef\x0f\xcb", 1600, 1200)


def test_init_segment(tmp_path: Path) -> None:
    """What is written is read back, by us and by ffprobe."""
    data = init_segment(CONFIG)
    movie = find(data, b"moov")
    assert parse_moov(data, movie.body, movie.end) == CONFIG
    path = tmp_path / "init.mp4"
    path.write_bytes(data)
    probe = subprocess.run(
        ("ffprobe", "-v", "quiet", "-of", "json", "-show_streams", str(path)),
        capture_output=True,
        check=True,
    )
    (stream,) = json.loads(probe.stdout)["streams"]
    assert (stream["codec_name"], stream["coded_width"], stream["time_base"]) == (
        "h264",
        1600,
        "1/90000",
    )


@given(st.text("abc:0", min_size=1), st.integers(0, 2**63), st.binary(max_size=50))
def test_event_messages(scheme: str, time: int, data: bytes) -> None:
    """A message is read back, whatever it carries."""
    message = EventMessage(scheme, time, data, 7)
    packed = event_message(message)
    (found,) = boxes(packed)
    assert found.kind == b"emsg"
    assert parse_event_message(packed, found.body, found.end) == message


def test_boxes_that_do_not_fit() -> None:
    """Sizes that point outside of their box are refused."""
    for data in (
        b"\0\0\0\7moov",
        b"\0\0\0\x09moov",
        b"\0\0\0\1moov\0\0\0\0\0\0\0\x0f",
        b"\0\0\0\1moov",
        b"\0\0\0",
    ):
        with pytest.raises(BoxError):
            list(boxes(data))
    with pytest.raises(BoxError):
        find(box(b"moov"), b"moov", b"trak")
    large_video = b"\0\0\0\1free" + (18).to_bytes(8) + b"ab"
    assert [(item.body, item.end) for item in boxes(large_video)] == [(16, 18)]


@given(st.data())
@hypothesis_settings(deadline=None, max_examples=500)
def test_damage(data: st.DataObject) -> None:
    """No byte makes a parser raise anything else."""
    content = bytearray(init_segment(CONFIG))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(
            st.integers(0, 255)
        )
    with suppress(BoxError):
        movie = find(content, b"moov")
        parse_moov(content, movie.body, movie.end)
    with suppress(BoxError):
        parse_event_message(content, 0, len(content))
