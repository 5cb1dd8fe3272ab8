"""Composing a clip from the fragments' own tables: order, times, cuts and time-lapse. Blocking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise, zip_longest
from statistics import median_low
from types import MappingProxyType

from .. import hourfile
from ..errors import ClipGone, NothingRecorded
from ..hourfile.boxes import SYNC_SAMPLE, TICKS_PER_MS, TIMESCALE, parameter_sets
from ..model import StoredSegment
from ..stamp import Stretch, join_stretches
from .composition import Composition, Literal
from .source import SegmentSource, Sources

_SHORTEST_FRAME = TIMESCALE // 30  # of a time-lapse; screens show no more
_USUAL_FRAME = TIMESCALE // 10
_LONGEST_FRAME = 0xFFFFFFFF
NO_TITLES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What to take of the segments: all, or the pictures of a time range; `speed` makes a time-lapse of it.

    `as_one`: between any of them time passes as it did, whatever event they are of.
    """

    start_ms: int | None = None
    end_ms: int | None = None
    speed: float | None = None
    as_one: bool = False


def compose(
    sources: Sources,
    segments: Sequence[StoredSegment],
    cut: Cut,
    titles: Mapping[str, str] = NO_TITLES,
) -> Composition:
    """Compose segments in their order; `titles`: of chapters, by event. Blocking; raises ClipGone when a source is not what the index says, NothingRecorded."""
    try:
        found = [sources.of(segment) for segment in segments]
        configs = list(dict.fromkeys(source.config for source in found))
        result = Composition(configs, titles=titles)
        if len(configs) > 1:
            _prepare_parameter_sets(result)
        pairs = zip(segments, found, strict=True)
        for _, group in groupby(
            pairs, key=lambda pair: None if cut.as_one else pair[0].event
        ):
            _add_event(result, [source for _, source in group], cut)
    except (hourfile.HourFileError, OSError) as error:
        raise ClipGone(str(error)) from error
    result.stretches = join_stretches(result.stretches)
    if not result.sizes:
        raise NothingRecorded("nothing was recorded in this time")
    return result


@dataclass(slots=True)
class _Part:
    """Neighboring samples of a fragment; `ticks`: wall time of the first."""

    offset: int
    ticks: int
    sizes: Sequence[int]
    durations: list[int]
    sync: list[int]  # positions


@dataclass(slots=True)
class _Piece:
    """What a segment gives to the clip."""

    event: str
    source: int
    config: int
    parts: list[_Part]
    end: int  # wall time in ticks


def _add_event(result: Composition, sources: Sequence[SegmentSource], cut: Cut) -> None:
    """Append the segments of one event. Between them time passes as it did; the next event follows at once."""
    pieces = [
        piece for source in sources if (piece := _piece(result, source, cut)).parts
    ]
    if not pieces:
        return
    if cut.speed is not None:
        _add_time_lapse(result, pieces, cut.speed)
        return
    for this, following in pairwise(pieces):
        part = this.parts[-1]
        shown = following.parts[0].ticks - part.ticks - sum(part.durations[:-1])
        if 0 < shown <= _LONGEST_FRAME:
            part.durations[-1] = shown
    for piece in pieces:
        if not result.begins or result.begins[-1][1] != piece.event:
            result.begins.append((result.ticks, piece.event))
        for part in piece.parts:
            begin = result.ticks
            _add_part(result, piece, part)
            result.stretches.append(
                Stretch(
                    begin // TICKS_PER_MS,
                    part.ticks // TICKS_PER_MS,
                    result.ticks // TICKS_PER_MS,
                )
            )


def _piece(result: Composition, source: SegmentSource, cut: Cut) -> _Piece:
    """Read the tables of a segment and take what the cut asks for."""
    segment = source.tables()
    shift = segment.header.start_ms * TICKS_PER_MS - segment.dts
    parts = []
    for fragment, following in zip_longest(segment.fragments, segment.fragments[1:]):
        table = fragment.table
        durations = list(table[::3])
        if following is not None:
            durations[-1] = following.dts - fragment.dts - sum(durations[:-1])
        flags = table[2::3]
        parts.append(
            _Part(
                fragment.data_offset,
                shift + fragment.dts,
                table[1::3],
                durations,
                [i for i, flag in enumerate(flags) if flag == SYNC_SAMPLE]
                if SYNC_SAMPLE in flags
                else [],
            )
        )
    # The writer could only guess how long the last picture stays.
    usual = [duration for part in parts for duration in part.durations][:-1]
    parts[-1].durations[-1] = (
        median_low(usual) if usual else parts[-1].durations[-1] or _USUAL_FRAME
    )
    end = parts[-1].ticks + sum(parts[-1].durations)
    if cut.start_ms is not None and cut.end_ms is not None:
        parts = _trim(parts, cut.start_ms * TICKS_PER_MS, cut.end_ms * TICKS_PER_MS)
    result.sources.append(source)
    return _Piece(
        segment.header.id,
        len(result.sources),
        result.configs.index(source.config) + 1,
        parts,
        end,
    )


def _trim(parts: Sequence[_Part], start: int, end: int) -> list[_Part]:
    """Keep the pictures that are shown between two times, and before them those back to the key frame they need."""
    kept: list[_Part] = []
    for part in parts:
        ticks = part.ticks
        first = last = 0
        started = bool(kept) and kept[-1].ticks + sum(kept[-1].durations) > start
        for position, duration in enumerate(part.durations):
            if ticks >= end:
                break
            if not started and position in part.sync:
                # A later key frame before the start makes what was kept needless.
                kept.clear()
                first = position
            ticks += duration
            started = started or ticks > start
            last = position + 1
        if last > first:
            kept.append(_sliced(part, first, last))
    if kept and kept[-1].ticks + sum(kept[-1].durations) <= start:
        return []
    return kept


def _sliced(part: _Part, first: int, last: int) -> _Part:
    return _Part(
        part.offset + sum(part.sizes[:first]),
        part.ticks + sum(part.durations[:first]),
        part.sizes[first:last],
        part.durations[first:last],
        [position - first for position in part.sync if first <= position < last],
    )


def _add_part(result: Composition, piece: _Piece, part: _Part) -> None:
    """Append neighboring samples as one chunk."""
    number = len(result.sizes) + 1
    length = sum(part.sizes)
    result.durations.extend(part.durations)
    result.ticks += sum(part.durations)
    result.sync.extend(number + position for position in part.sync)
    result.chunk_samples.append(len(part.sizes))
    result.chunk_config.append(piece.config)
    if not result.parameter_sets or not part.sync:
        result.sizes.extend(part.sizes)
        result.chunk_length.append(length)
        result.extend(piece.source, part.offset, length)
        return
    at = result.parameter_sets[piece.config - 1]
    before = result.length
    sizes = list(part.sizes)
    offset = part.offset
    for first, last in pairwise((*sorted({0, *part.sync}), len(sizes))):
        if first in part.sync:
            result.extend(0, at.offset, at.length)
        stretch = sum(sizes[first:last])
        result.extend(piece.source, offset, stretch)
        offset += stretch
    for position in part.sync:
        sizes[position] += at.length
    result.sizes.extend(sizes)
    result.chunk_length.append(result.length - before)


def _add_time_lapse(
    result: Composition, pieces: Sequence[_Piece], speed: float
) -> None:
    """Append the key frames of an event, so far apart in time as the speed makes them."""
    begin = pieces[0].parts[0].ticks
    shots: list[tuple[int, _Piece, _Part]] = []
    for piece in pieces:
        for part in piece.parts:
            for position in part.sync:
                shot = _sliced(part, position, position + 1)
                ticks = int((shot.ticks - begin) / speed)
                if not shots or ticks - shots[-1][0] >= _SHORTEST_FRAME:
                    shots.append((ticks, piece, shot))
    end = int((pieces[-1].end - begin) / speed)
    for (ticks, piece, shot), (following, _, _) in zip(
        shots, [*shots[1:], (end, None, None)], strict=True
    ):
        shot.durations[0] = min(max(following - ticks, _SHORTEST_FRAME), _LONGEST_FRAME)
        _add_part(result, piece, shot)


def _prepare_parameter_sets(result: Composition) -> None:
    """Keep the parameter sets of each configuration, for the samples.

    Many players hand a decoder only the first sample description; with the parameter sets in front of every key frame that is enough.
    """
    for config in result.configs:
        data = b"".join(parameter_sets(config))
        result.parameter_sets.append(Literal(len(result.literal), len(data)))
        result.literal += data
