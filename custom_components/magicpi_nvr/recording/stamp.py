"""Date and time in the picture: ffmpeg draws what each picture's own time says, in the home's zone."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
import logging
import os
from pathlib import Path
import signal

from .errors import StorageFailed
from .files import replace_file
from .model import RecordingSettings

_LOGGER = logging.getLogger(__name__)

# ffmpeg runs in its folder, so that no path has to be quoted for a filter.
FONT = "time_stamp.ttf"
# A recording lasts minutes; so far ahead a change of the clock is looked for.
LONGEST_RUN_MS = 24 * 3600 * 1000
_HOUR_MS = 3600 * 1000
_FONT_SIZE = 24
_TRY_S = 20.0
_STDERR_BYTES = 2000
# Half of the clip's own resolution: times are compared as floating-point seconds.
_EPSILON_S = 0.0005


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `at_ms` of a video on, its pictures are of `wall_ms` and later; `end_ms`: where that ends."""

    at_ms: int
    wall_ms: int
    end_ms: int


def stamp_filters(stretches: Iterable[Stretch], zone: tzinfo) -> str:
    """Return the filters that draw local times over a video: one for each stretch with one offset from UTC."""
    spans = [span for stretch in stretches for span in _by_offset(stretch, zone)]
    filters = []
    for number, (span, offset_s) in enumerate(spans):
        local_s = (span.wall_ms - span.at_ms) / 1000 + offset_s + _EPSILON_S
        parts = [
            f"fontfile={FONT}",
            "fontsize=max(10\\,h/22)",
            "fontcolor=white",
            "box=1:boxcolor=black@0.6:boxborderw=4",
            "x=8:y=8",
            f"text='%{{pts\\:gmtime\\:{local_s:.4f}}}'",
        ]
        conditions = []
        if number:
            conditions.append(f"gte(t,{span.at_ms / 1000 - _EPSILON_S:.4f})")
        if number < len(spans) - 1:
            conditions.append(
                f"lt(t,{spans[number + 1][0].at_ms / 1000 - _EPSILON_S:.4f})"
            )
        if conditions:
            parts.append(f"enable='{'*'.join(conditions)}'")
        filters.append(f"drawtext={':'.join(parts)}")
    return ",".join(filters)


def _by_offset(stretch: Stretch, zone: tzinfo) -> Iterator[tuple[Stretch, float]]:
    """Cut a stretch where the zone's offset from UTC changes, and yield the offsets in seconds."""
    at, last = stretch.wall_ms, stretch.wall_ms + stretch.end_ms - stretch.at_ms
    shift = stretch.at_ms - stretch.wall_ms
    begin, offset = at, _offset_s(at, zone)
    while at < last:
        following = min(last, at + _HOUR_MS)
        if (changed := _offset_s(following, zone)) != offset:
            low, high = at, following
            while high - low > 1:
                middle = (low + high) // 2
                if _offset_s(middle, zone) == offset:
                    low = middle
                else:
                    high = middle
            yield Stretch(begin + shift, begin, high + shift), offset
            begin, offset = high, changed
        at = following
    yield Stretch(begin + shift, begin, stretch.end_ms), offset


def _offset_s(wall_ms: int, zone: tzinfo) -> float:
    offset = datetime.fromtimestamp(wall_ms / 1000, UTC).astimezone(zone).utcoffset()
    return offset.total_seconds() if offset else 0.0


def _write_font(folder: Path) -> None:
    """Write Pillow's own font where ffmpeg can read it: few systems have one. Blocking; raises OSError."""
    from PIL import ImageFont  # noqa: PLC0415 - only who draws times needs it

    data = getattr(ImageFont.load_default(_FONT_SIZE), "font_bytes", None)
    if not isinstance(data, bytes):
        raise FileNotFoundError("Pillow has no scalable font")
    path = folder / FONT
    with suppress(FileNotFoundError):
        if path.read_bytes() == data:
            return
    replace_file(path, data)


class TimeStamps:
    """What drawing needs: a font beside the index, and an ffmpeg that can use it. Tried once for each ffmpeg."""

    def __init__(self) -> None:
        """Nothing is tried yet."""
        self._trying: dict[tuple[str, Path], asyncio.Future[bool]] = {}

    async def folder(self, settings: RecordingSettings) -> Path | None:
        """Return the folder to run ffmpeg in, None where this ffmpeg cannot draw."""
        folder = settings.index.parent
        key = (settings.ffmpeg, folder)
        if (trying := self._trying.get(key)) is None:
            trying = self._trying[key] = asyncio.ensure_future(_can_draw(*key))
        # Others wait for the same.
        return folder if await asyncio.shield(trying) else None


async def _can_draw(ffmpeg: str, folder: Path) -> bool:
    stretch = Stretch(0, 0, 1)
    try:
        await asyncio.to_thread(_write_font, folder)
        async with asyncio.timeout(_TRY_S):
            await _run(
                ffmpeg,
                *("-f", "lavfi", "-i", "color=size=64x48:duration=0.1"),
                *("-vf", stamp_filters([stretch], UTC), "-f", "null", "-"),
                folder=folder,
            )
    except (OSError, TimeoutError, StorageFailed, ImportError) as err:
        _LOGGER.warning("The time is not drawn into pictures: %s", err or "no answer")
        return False
    return True


async def _run(ffmpeg: str, *arguments: str, folder: Path) -> None:
    """Run ffmpeg to its end, which it also has when the caller gives up; raises OSError, StorageFailed."""
    process = await asyncio.create_subprocess_exec(
        ffmpeg,
        *("-hide_banner", "-nostats", "-nostdin", "-loglevel", "error", "-y"),
        *arguments,
        cwd=folder,
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    words = b""
    try:
        while chunk := await process.stderr.read(4096):
            words = (words + chunk)[-_STDERR_BYTES:]
        if await process.wait():
            text = words.decode(errors="replace").strip()
            raise StorageFailed(f"ffmpeg ended with {process.returncode}: {text}")
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.shield(process.wait())


async def stamp_file(
    source: Path,
    target: Path,
    stretches: Iterable[Stretch],
    settings: RecordingSettings,
    folder: Path,
) -> None:
    """Encode a video again with its times drawn into it; raises OSError, StorageFailed."""
    await _run(
        settings.ffmpeg,
        *("-threads", "1", "-i", str(source.absolute()), "-map", "0:v:0"),
        *("-filter_threads", "1", "-fps_mode", "passthrough"),
        *("-vf", stamp_filters(stretches, settings.time_zone)),
        *("-c:v", "libx264", "-preset", settings.preset, "-crf", str(settings.crf)),
        *("-threads", "1", "-profile:v", "high", "-pix_fmt", "yuv420p", "-bf", "0"),
        *("-enc_time_base", "1:1000", "-video_track_timescale", "1000"),
        *("-movflags", "+faststart", "-f", "mp4", str(target.absolute())),
        folder=folder,
    )


def join_stretches(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Return stretches with those made one that follow each other as time did."""
    joined: list[Stretch] = []
    for stretch in stretches:
        if joined and (
            stretch.wall_ms - stretch.at_ms == joined[-1].wall_ms - joined[-1].at_ms
        ):
            joined[-1] = replace(joined[-1], end_ms=stretch.end_ms)
        else:
            joined.append(stretch)
    return joined
