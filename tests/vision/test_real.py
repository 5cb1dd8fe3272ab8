"""The real model on real and generated pictures: persons where they are, none where they are not."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from custom_components.magicpi_nvr.vision.model import Label, Verdict
from custom_components.magicpi_nvr.vision.watch import WatchSettings
from custom_components.magicpi_nvr.vision.worker import ModelFiles, Worker
from custom_components.magicpi_nvr.vision.zones import Zones
from real_pictures import noisy, painted_out, pictures
from tests.harness.vision_scenes import film, painted_over
from virtual_camera.pictures import make_picture

from .events import ANYTHING, PERSONS, run_event

pytestmark = pytest.mark.slow

# Somebody stands still there for all of the night's eight seconds
STANDS = (350, 160, 480, 300)


@pytest.mark.parametrize("street", ["street-day", "street-night"])
@pytest.mark.parametrize("first", [0, 40])
async def test_persons_and_vehicles_of_the_streets(
    make_worker: Callable[..., Worker], model: ModelFiles, street: str, first: int
) -> None:
    """Each event of four seconds has a person with the first picture, and the parked cars."""
    worker = make_worker(model)
    outcome = await run_event(worker, pictures(street)[first : first + 40], fps=10)
    assert {"person", "vehicle"} <= outcome.labels
    assert outcome.sure_at[Label.PERSON] <= 400
    assert outcome.result.verdict is Verdict.SEEN
    assert outcome.sleeps_at is None


@pytest.mark.parametrize("street", ["street-day", "street-night"])
async def test_no_person_where_they_are_painted_out(
    make_worker: Callable[..., Worker], model: ModelFiles, street: str
) -> None:
    """The same streets without people have cars and nobody, and the camera may sleep once the cars are known."""
    empty = painted_out(pictures(street)[::4])
    if street == "street-night":
        empty = painted_over(empty, painted_out(pictures("street-day")[::8]), STANDS)
    shots = noisy(empty, 18)
    worker = make_worker(model)
    first = await run_event(worker, shots, PERSONS)
    assert first.labels <= {"vehicle"}
    assert first.result.verdict is Verdict.NOTHING_SEEN
    second = await run_event(worker, shots, past=first.past)
    assert second.labels == set()
    assert any(item.still for item in second.result.detections)
    assert second.result.verdict is Verdict.NOTHING_SEEN
    assert second.sleeps_at is not None


@pytest.mark.parametrize(
    ("scene", "moves", "person"),
    [
        ("empty", False, False),
        ("light", False, False),
        ("cloud", False, False),
        ("rain", False, False),
        ("branch", True, False),
        ("cat", True, False),
        ("person_30", True, True),
        ("person_60", True, True),
        ("person_late", True, True),
    ],
)
async def test_verdicts(
    make_worker: Callable[..., Worker],
    model: ModelFiles,
    scene: str,
    moves: bool,
    person: bool,
) -> None:
    """What each scene is worth where motion counts, and where only a person does."""
    worker = make_worker(model)
    shots = film(scene)
    past = (await run_event(worker, film("empty", 12))).past
    motion = await run_event(worker, shots, past=past)
    assert (motion.result.verdict is Verdict.SEEN) is moves
    persons = await run_event(worker, shots, PERSONS, past=past)
    assert (persons.result.verdict is Verdict.SEEN) is person
    assert ("person" in persons.labels) is person
    # Who appears after three seconds keeps the camera awake as well
    assert (persons.sleeps_at is None) is person
    assert persons.sleeps_at is None or persons.sleeps_at < 5500


async def test_a_branch_in_a_zone_to_ignore_is_nothing(
    make_worker: Callable[..., Worker], model: ModelFiles
) -> None:
    """The branch's motion does not count in a zone to ignore."""
    tree = [[0.6, 0], [1, 0], [1, 0.6], [0.6, 0.6]]
    zones = Zones.from_list([{"name": "Tree", "kind": "ignore", "points": tree}])
    worker = make_worker(model)
    past = (await run_event(worker, film("empty", 12))).past
    outcome = await run_event(
        worker, film("branch"), WatchSettings(zones=zones), past=past
    )
    assert outcome.result.verdict is Verdict.NOTHING_SEEN
    assert outcome.sleeps_at is not None


async def test_the_virtual_cameras_place_without_its_visitor(
    make_worker: Callable[..., Worker], model: ModelFiles
) -> None:
    """No person is seen where the visitor is out of the picture."""
    worker = make_worker(model)
    for seed in range(4):
        shots = [make_picture(96 + 97 * number, seed=seed) for number in range(8)]
        outcome = await run_event(worker, shots, ANYTHING, name=f"event {seed}")
        assert outcome.labels == set()


async def test_cells_and_zones_of_a_street(
    make_worker: Callable[..., Worker], model: ModelFiles
) -> None:
    """A person in the lower right zone is in it, and one beside it in none."""
    points = [[0.7, 0.3], [1, 0.3], [1, 0.7], [0.7, 0.7]]
    zones = Zones.from_list([{"name": "Path", "kind": "watch", "points": points}])
    worker = make_worker(model)
    outcome = await run_event(
        worker, pictures("street-day")[:40], WatchSettings(zones=zones), fps=10
    )
    persons = [item for item in outcome.result.detections if item.label == "person"]
    assert any(item.zones == ("Path",) and item.counts for item in persons)
    assert any(item.zones == () and not item.counts for item in persons)
    assert outcome.result.zones == ("Path",)


async def test_eight_cameras_at_once(
    make_worker: Callable[..., Worker], model: ModelFiles
) -> None:
    """One child serves eight events, stays within its memory, and each has its person."""
    worker = make_worker(model)
    shots: Sequence[bytes] = pictures("street-day")[:30:3]
    outcomes = await asyncio.gather(
        *(run_event(worker, shots, name=f"camera {number}") for number in range(8))
    )
    assert all("person" in outcome.labels for outcome in outcomes)
    status = Path(f"/proc/{worker.pid}/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0])
    assert peak < 150 * 1024
    assert worker.stats.starts == 1
