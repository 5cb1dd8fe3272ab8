"""What vision found, as recordings keep it: made of its results, and put together where an event came in parts."""

from dataclasses import replace

from ..recording import NO_FINDINGS, NOTHING_SEEN, Detection, Findings
from ..vision.model import Detection as Seen
from ..vision.watch import Result


def findings_of(result: Result) -> Findings:
    """Return what an event is worth, to be kept with its recording."""
    return Findings(
        verdict=None if result.verdict is None else str(result.verdict),
        zones=result.zones,
        strength=result.strength,
        detections=tuple(map(detection_of, result.detections)),
    )


def detection_of(seen: Seen) -> Detection:
    """Return something that was recognized, to be kept with its recording."""
    return Detection(
        label=str(seen.label),
        score=round(seen.score, 2),
        box=(
            round(seen.box[0], 4),
            round(seen.box[1], 4),
            round(seen.box[2], 4),
            round(seen.box[3], 4),
        ),
        zones=seen.zones,
        still=seen.still,
        counts=seen.counts,
    )


def without_nothing(findings: Findings) -> Findings:
    """Return findings of an event of which nobody can say that it shows nothing."""
    if findings.verdict != NOTHING_SEEN:
        return findings
    return replace(findings, verdict=None)


def merged(before: Findings, now: Findings) -> Findings:
    """Return findings of an event of which more came later."""
    if NO_FINDINGS in (before, now):
        return now if before == NO_FINDINGS else before
    verdicts = {before.verdict, now.verdict}
    best = sorted(
        dict.fromkeys((*before.detections, *now.detections)),
        key=lambda item: -item.score,
    )
    return Findings(
        verdict=(
            "seen"
            if "seen" in verdicts
            else NOTHING_SEEN
            if verdicts == {NOTHING_SEEN}
            else None
        ),
        zones=tuple(dict.fromkeys((*before.zones, *now.zones))),
        strength=max(before.strength, now.strength),
        detections=tuple(best[:24]),
    )
