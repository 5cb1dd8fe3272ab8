"""One event: which pictures are looked at, what counts, when the camera may sleep."""

from typing import Any

import pytest

from custom_components.magicpi_nvr.vision.grid import cells_of
from custom_components.magicpi_nvr.vision.model import (
    FLAG_STILL,
    FLAG_WARMING_UP,
    Label,
    Motion,
    Verdict,
)
from custom_components.magicpi_nvr.vision.watch import (
    EventWatch,
    Look,
    Still,
    WatchSettings,
)
from custom_components.magicpi_nvr.vision.zones import Zones

HERE = (0.5, 0.5, 0.05, 0.1)
CAR = (0.1, 0.1, 0.2, 0.2)
PERSONS = WatchSettings(labels=frozenset({Label.PERSON}))
BLIND = WatchSettings(detects=False)


class Scene:
    """A watch that is shown pictures; `found` is what the detector answers."""

    def __init__(self, settings: WatchSettings, **options: Any) -> None:
        """Begin an event."""
        self.watch = EventWatch(settings, **options)
        self.t = 0
        self.shown: list[Look] = []
        self.pictures = 0

    def show(
        self,
        seconds: float,
        *,
        moved: Any = None,
        unlike: Any = None,
        found: Any = (),
        answers: bool = True,
    ) -> None:
        """Show ten pictures a second."""
        cells = cells_of(moved) if moved else 0
        other = cells_of(unlike) if unlike else 0
        levels = bytes(100 if cells >> at & 1 else 0 for at in range(192))
        for _ in range(round(seconds * 10)):
            self.t += 100
            if not self.watch.wants(self.t, 0):
                continue
            self.pictures += 1
            looks = []
            if first := self.watch.first_look(self.t, b"%d" % self.t):
                looks.append(first)
            motion = Motion(
                usable=True,
                compared=self.pictures > 2,
                moved=cells if self.pictures > 2 else 0,
                unlike=other,
                levels=levels,
            )
            looks += self.watch.measured(self.t, b"%d" % self.t, motion)
            for look in looks:
                self.shown.append(look)
                if answers:
                    self.watch.looked(look, list(found))


def test_three_pictures_a_second_at_most() -> None:
    """Then two, once the event is ten seconds old; warming ones and stills never."""
    scene = Scene(BLIND)
    scene.show(10)
    assert 28 <= scene.pictures <= 30
    scene.show(10)
    assert 46 <= scene.pictures <= 52
    late = [t for t in range(-9000, -8000, 100) if scene.watch.wants(t, 0)]
    assert len(late) == 3
    assert not scene.watch.wants(30_000, FLAG_WARMING_UP)
    assert not scene.watch.wants(30_000, FLAG_STILL)
    assert scene.watch.wants(30_000, 0)


def test_a_quiet_event_is_looked_at_twice_and_may_sleep() -> None:
    """Two looks, then more than three seconds of pictures with nothing."""
    scene = Scene(PERSONS)
    scene.show(3.5)
    assert not scene.watch.may_sleep()
    scene.show(1.5)
    assert scene.watch.may_sleep()
    assert scene.watch.verdict() is Verdict.NOTHING_SEEN
    scene.show(30)
    assert len(scene.shown) == 2


def test_an_answer_that_is_missing_keeps_the_camera_awake() -> None:
    """No sleep while the detector has not answered."""
    scene = Scene(PERSONS)
    scene.show(5, answers=False)
    assert not scene.watch.may_sleep()
    for look in scene.shown:
        scene.watch.looked(look, [])
    assert scene.watch.may_sleep()


def test_at_most_twelve_looks_however_long() -> None:
    """A branch in the wind for two minutes."""
    scene = Scene(PERSONS)
    scene.show(120, moved=CAR)
    assert len(scene.shown) == 12
    assert scene.watch.verdict() is Verdict.NOTHING_SEEN


def test_once_it_is_sure_it_looks_less() -> None:
    """A person who was seen surely costs one look in eight seconds."""
    scene = Scene(PERSONS)
    scene.show(30, moved=HERE, found=[(Label.PERSON, 0.7, HERE)])
    assert 4 <= len(scene.shown) <= 6
    assert scene.watch.verdict() is Verdict.SEEN


def test_what_is_small_is_looked_at_on_its_own() -> None:
    """A crop around what moves, in the picture's own shape, and now and then the whole."""
    scene = Scene(PERSONS)
    scene.show(20, moved=(0.9, 0.9, 0.01, 0.01))
    crops = [look.crop for look in scene.shown]
    assert crops[:2] == [None, None]
    assert None in crops[2:]
    small = [crop for crop in crops if crop]
    for x, y, w, h in small:
        assert (w, h) == pytest.approx((0.26, 0.26))
        assert x <= 0.9 <= x + w <= 1.0001
        assert y <= 0.9 <= y + h <= 1.0001


def test_two_weak_answers_are_sure_and_one_is_not() -> None:
    """A score just above its threshold counts when another look agrees."""
    scene = Scene(PERSONS)
    scene.show(0.2, found=[(Label.PERSON, 0.47, HERE)])
    assert scene.watch.sure() == {}
    assert len(scene.shown) == 1
    scene.show(0.4, found=[(Label.PERSON, 0.46, HERE)])
    assert scene.watch.sure()[Label.PERSON].score == pytest.approx(0.47)


def test_nearly_a_person_keeps_the_camera_awake() -> None:
    """Below the threshold is no detection, and no reason to sleep where something moves."""
    scene = Scene(PERSONS, has_quiet=True)
    scene.show(5, moved=HERE, found=[(Label.PERSON, 0.35, HERE)])
    assert scene.watch.detections() == ()
    assert not scene.watch.may_sleep()
    # Where nothing moves and all looks as ever, it is a lamp post
    post = Scene(PERSONS, has_quiet=True)
    post.show(5, found=[(Label.PERSON, 0.35, HERE)])
    assert post.watch.may_sleep()


def test_motion_without_labels_is_seen() -> None:
    """Whatever moves counts; in one picture only it is nothing."""
    scene = Scene(BLIND)
    scene.show(1.1)
    scene.show(0.3, moved=HERE)
    scene.show(2)
    assert scene.watch.verdict() is Verdict.NOTHING_SEEN
    scene.show(1, moved=HERE)
    assert scene.watch.verdict() is Verdict.SEEN
    assert not scene.watch.may_sleep()


def test_without_answers_motion_counts_although_labels_are_asked_for() -> None:
    """A detector that does not run hides nobody."""
    scene = Scene(PERSONS)
    scene.watch.settings = WatchSettings(labels=PERSONS.labels, detects=False)
    scene.show(4, moved=HERE)
    assert scene.watch.verdict() is Verdict.SEEN
    assert scene.watch.result().strength >= 1


def test_motion_beside_all_zones_is_nothing() -> None:
    """Only zones to watch count; what is seen elsewhere is listed without a zone."""
    zones = Zones.from_list(
        [
            {
                "name": "Path",
                "kind": "watch",
                "points": [[0.4, 0.4], [0.7, 0.4], [0.7, 0.8], [0.4, 0.8]],
            }
        ]
    )
    scene = Scene(WatchSettings(zones=zones))
    scene.show(5, moved=CAR, found=[(Label.PERSON, 0.8, CAR)])
    assert scene.watch.verdict() is Verdict.NOTHING_SEEN
    assert scene.watch.may_sleep()
    (outside,) = scene.watch.detections()
    assert (outside.zones, outside.counts) == ((), False)
    scene.show(4, moved=HERE, found=[(Label.PERSON, 0.8, HERE)])
    assert scene.watch.verdict() is Verdict.SEEN
    assert scene.watch.result().zones == ("Path",)


def test_a_parked_car_counts_once() -> None:
    """What stood there in the event before is still; when it drives off it is seen."""
    scene = Scene(WatchSettings())
    car = [(Label.VEHICLE, 0.6, CAR)]
    scene.show(5, found=car)
    assert scene.watch.verdict() is Verdict.SEEN
    still = scene.watch.standing()
    assert still == (Still(Label.VEHICLE, CAR),)
    again = Scene(WatchSettings(), still=still)
    again.show(5, found=car)
    assert again.watch.verdict() is Verdict.NOTHING_SEEN
    assert [item.still for item in again.watch.detections()] == [True]
    assert again.watch.best is None
    assert again.watch.standing() == still
    away = Scene(WatchSettings(), still=still)
    away.show(5, moved=CAR, found=[(Label.VEHICLE, 0.6, (0.3, 0.1, 0.2, 0.2))])
    assert Label.VEHICLE in away.watch.sure()


def test_a_car_that_left_is_forgotten() -> None:
    """After eight events without it, it would count again."""
    still: tuple[Still, ...] = (Still(Label.VEHICLE, CAR),)
    for _ in range(8):
        assert still
        scene = Scene(WatchSettings(), still=still)
        scene.show(1)
        still = scene.watch.standing()
    assert still == ()


def test_a_person_at_the_door_is_not_taken_for_a_statue() -> None:
    """Somebody in the place of somebody before counts when anything moves there."""
    still = (Still(Label.PERSON, HERE),)
    scene = Scene(PERSONS, still=still, has_quiet=True)
    scene.show(4, moved=HERE, found=[(Label.PERSON, 0.7, HERE)])
    assert scene.watch.verdict() is Verdict.SEEN
    statue = Scene(PERSONS, still=still, has_quiet=True)
    statue.show(4, found=[(Label.PERSON, 0.7, HERE)])
    assert statue.watch.verdict() is Verdict.NOTHING_SEEN


def test_who_stands_still_is_looked_at_before_the_camera_sleeps() -> None:
    """A place unlike the quiet picture keeps the camera awake until the detector has looked there."""
    blind = Scene(BLIND, has_quiet=True)
    blind.show(5, unlike=HERE)
    assert not blind.watch.may_sleep()
    scene = Scene(PERSONS, has_quiet=True)
    scene.show(1, unlike=HERE)
    assert not scene.watch.may_sleep()
    scene.show(5, unlike=HERE)
    assert any(look.crop for look in scene.shown)
    assert scene.watch.may_sleep()


def test_the_best_view_is_the_largest_person() -> None:
    """The picture of an event shows the person, not the car, and the nearer one."""
    scene = Scene(WatchSettings())
    scene.show(0.1, found=[(Label.VEHICLE, 0.9, CAR)])
    scene.show(0.4, found=[(Label.PERSON, 0.7, (0.5, 0.5, 0.3, 0.5))])
    scene.show(6, moved=HERE, found=[(Label.PERSON, 0.7, HERE)])
    assert scene.watch.best == (scene.shown[1].t, scene.shown[1].jpeg)


def test_a_late_motion_is_worth_a_last_look() -> None:
    """What moved most since the last look is looked at when the event ends."""
    scene = Scene(PERSONS)
    scene.show(11)
    scene.show(1.2, moved=HERE, found=[])
    scene.show(0.4, moved=CAR)
    (last,) = scene.watch.last_looks()
    assert last.t > scene.shown[-1].t
    assert scene.watch.last_looks() == []


def test_too_few_pictures_are_no_verdict() -> None:
    """An event of a second is neither seen nor nothing."""
    scene = Scene(WatchSettings())
    scene.show(1)
    assert scene.watch.verdict() is None
    assert not scene.watch.may_sleep()


def test_who_appears_after_three_seconds_is_not_cut() -> None:
    """Motion that has only just begun keeps the camera awake until it was looked at."""
    scene = Scene(PERSONS, has_quiet=True)
    scene.show(3)
    for _ in range(30):
        assert not scene.watch.may_sleep()
        scene.show(0.1, moved=HERE, found=[(Label.PERSON, 0.7, HERE)])
    assert scene.watch.verdict() is Verdict.SEEN


def test_the_first_picture_is_looked_at_before_its_motion_is_known() -> None:
    """Once; and again while there is no answer, so that a picture that cannot be decoded costs nobody the quick answer."""
    watch = EventWatch(WatchSettings())
    assert watch.wants(0, 0)
    first = watch.first_look(0, b"torn")
    assert first
    assert (first.jpeg, first.crop) == (b"torn", None)
    assert watch.first_look(0, b"torn") is None
    watch.looked(first, None)
    second = watch.first_look(333, b"whole")
    assert second
    watch.looked(second, [(Label.PERSON, 0.9, HERE)])
    assert watch.first_look(666, b"next") is None
    assert Label.PERSON in watch.sure()
    assert EventWatch(BLIND).first_look(0, b"whole") is None
