"""Makes recordings: real H.264, written by the hour file's own writer."""

from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path
import subprocess

import av

from custom_components.magicpi_nvr.recording.hourfile import (
    Claims,
    HourFileWriter,
    Sample,
    SegmentHeader,
)
from custom_components.magicpi_nvr.recording.hourfile.boxes import (
    TICKS_PER_MS,
    VideoConfig,
)
from custom_components.magicpi_nvr.recording.library import Library
from custom_components.magicpi_nvr.recording.library.index import stored_segment
from custom_components.magicpi_nvr.recording.library.layout import HourPath, event_id
from custom_components.magicpi_nvr.recording.model import Event, StoredSegment

FRONT = "AA:BB:CC:00:00:01"
BACK = "AA:BB:CC:00:00:02"
NOON = 1_795_348_800_000  # 2026-11-22 12:00:00 UTC
GUESS = 33 * TICKS_PER_MS
GROUP = 10  # pictures from one key frame to the next


@dataclass(frozen=True)
class Pictures:
    """An encoded video to take events from."""

    config: VideoConfig
    samples: tuple[tuple[bytes, bool], ...]

    @classmethod
    def encode(
        cls,
        folder: Path,
        size: str,
        seconds: int = 20,
        *,
        options: tuple[str, ...] = (),
    ) -> Pictures:
        """Draw and encode a test picture that counts, ten times a second."""
        path = folder / f"{size}.mp4"
        subprocess.run(
            [
                "ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc=size={size}:rate=10", "-t", str(seconds), "-c:v", "libx264",
                "-preset", "superfast", "-bf", "0", "-g", str(GROUP), "-sc_threshold", "0", "-pix_fmt", "yuv420p", "-threads", "1", *options, str(path),
            ],
            check=True,
        )  # fmt: skip
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            samples = tuple(
                (bytes(packet), packet.is_keyframe)
                for packet in container.demux(stream)
                if packet.size
            )
            extradata = stream.codec_context.extradata
            width, height = stream.codec_context.width, stream.codec_context.height
        return cls(VideoConfig(bytes(extradata), width, height), samples)


@dataclass
class Recordings:
    """Writes events below a root as a recorder does; knows each picture that it has written."""

    root: Path
    pictures: Pictures
    time_zone: tzinfo = UTC
    library: Library | None = None
    frames: dict[str, list[tuple[int, bytes]]] = field(
        default_factory=dict
    )  # event -> (wall ticks, sample)
    _numbers: dict[tuple[str, int], int] = field(default_factory=dict)

    async def record(
        self,
        start_ms: int,
        *,
        camera: str = FRONT,
        boot: int = 1,
        event: int | None = None,
        frames: int = 20,
        intervals: list[int] | None = None,
        pictures: Pictures | None = None,
        run: int = 0,
        part: int | None = None,
        close: bool = True,
        picture: bytes | None = None,
        hour_of_ms: int | None = None,
        lost: int = 0,
    ) -> Event:
        """Write one run in fragments of half a second; `intervals` are ms from picture to picture."""
        pictures = pictures or self.pictures
        if event is None:
            event = self._numbers.get((camera, boot), 0) + 1
        self._numbers[camera, boot] = max(event, self._numbers.get((camera, boot), 0))
        name = event_id(camera, boot, event)
        hour = HourPath.at(
            camera, start_ms if hour_of_ms is None else hour_of_ms, self.time_zone
        )
        if part is not None:
            hour = hour.with_part(part)
        intervals = intervals or [100] * frames
        first = GROUP * (event % 3)
        samples = [
            pictures.samples[(first + i) % len(pictures.samples)]
            for i in range(len(intervals))
        ]
        assert samples[0][1], "an event begins with a key frame"
        seq = 1 + len(self.frames.get(name, []))
        writer = HourFileWriter(
            self.root / hour.relative,
            pictures.config,
            self.library.claims if self.library else Claims(),
        )
        writer.open()
        try:
            writer.begin_segment(
                SegmentHeader(
                    id=name,
                    camera=camera,
                    start_ms=start_ms,
                    reason="pir",
                    boot=boot,
                    event=event,
                    number=run,
                    t=5000,
                )
            )
            offset = 0
            for i in range(0, len(samples), 5):
                fragment = [
                    Sample(data, interval * TICKS_PER_MS, sync)
                    for (data, sync), interval in zip(
                        samples[i : i + 5], intervals[i : i + 5], strict=True
                    )
                ]
                after = offset + sum(sample.duration for sample in fragment)
                times = [start_ms * TICKS_PER_MS + offset]
                for sample in fragment[:-1]:
                    times.append(times[-1] + sample.duration)
                if i + 5 < len(samples):
                    # When a fragment is written its last duration is a guess.
                    fragment[-1] = fragment[-1]._replace(duration=GUESS)
                writer.append(
                    fragment,
                    first_seq=seq + i,
                    last_seq=seq + i + len(fragment) - 1,
                    offset=offset,
                )
                self.frames.setdefault(name, []).extend(
                    (time, sample.data)
                    for time, sample in zip(times, fragment, strict=True)
                )
                offset = after
            if close:
                writer.end_segment(lost=lost)
            assert writer.segment is not None
            row = stored_segment(hour.relative, writer.segment)
        finally:
            writer.close()
        thumbnail = None
        if picture is not None:
            thumbnail = hour.thumbnail(name)
            (self.root / thumbnail).write_bytes(picture)
        made = _event(row, "ready" if close else "recording", thumbnail)
        if self.library is not None:
            await self.library.record(made, row)
        return made


def _event(run: StoredSegment, state: str, thumbnail: str | None) -> Event:
    return Event(
        id=run.event,
        camera=run.camera,
        start_ms=run.start_ms,
        end_ms=run.end_ms,
        reason=run.reason,
        state=state,
        frames=run.frames,
        lost=run.lost,
        size=run.size,
        path=run.path,
        thumbnail=thumbnail,
    )
