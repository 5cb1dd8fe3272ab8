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
from custom_components.magicpi_nvr.vision.standing import Still
from custom_components.magicpi_nvr.vision.watch import EventWatch, Look, WatchSettings
from custom_components.magicpi_nvr.vision.zones import Zones

HERE = (0.5, 0.5, 0.05, 0.1)
CAR = (0.1, 0.1, 0.2, 0.2)
PERSONS = WatchSettings(labels=frozenset({Label.PERSON}))
BLIND = WatchSettings(detects=False)


class WatchedEvent:
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
        measured: bool = True,
        usable: bool = True,
    ) -> None:
        """Show ten pictures a second; `found` is None where the detector fails."""
        cells = 0
        for box in moved if isinstance(moved, list) else [moved] if moved else []:
            cells |= cells_of(box)
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
            if not measured:
                self.watch.unmeasured(self.t)
            motion = Motion(
                usable=usable,
                compared=self.pictures > 2,
                moved=cells if self.pictures > 2 else 0,
                unlike=other,
                levels=levels,
            )
            if measured:
                looks += self.watch.measured(self.t, b"%d" % self.t, motion)
            for look in looks:
                self.shown.append(look)
                if answers:
                    self.watch.looked(look, found)


def test_three_pictures_a_second_at_most() -> None:
    """Then two, once the event is ten seconds old; warming ones and stills never."""
    event = WatchedEvent(BLIND)
    event.show(10)
    assert 28 <= event.pictures <= 30
    event.show(10)
    assert 46 <= event.pictures <= 52
    late = [t for t in range(-9000, -8000, 100) if event.watch.wants(t, 0)]
    assert len(late) == 3
    assert not event.watch.wants(30_000, FLAG_WARMING_UP)
    assert not event.watch.wants(30_000, FLAG_STILL)
    assert event.watch.wants(30_000, 0)


def test_a_quiet_event_is_looked_at_twice_and_may_sleep() -> None:
    """Two looks, then more than three seconds of pictures with nothing."""
    event = WatchedEvent(PERSONS)
    event.show(3.5)
    assert not event.watch.may_sleep()
    event.show(1.5)
    assert event.watch.may_sleep()
    assert event.watch.verdict() is Verdict.NOTHING_SEEN
    event.show(30)
    assert len(event.shown) == 2


def test_an_answer_that_is_missing_keeps_the_camera_awake() -> None:
    """No sleep while the detector has not answered."""
    event = WatchedEvent(PERSONS)
    event.show(5, answers=False)
    assert not event.watch.may_sleep()
    for look in event.shown:
        event.watch.looked(look, [])
    assert event.watch.may_sleep()


def test_at_most_twelve_looks_however_long() -> None:
    """A branch in the wind for two minutes."""
    event = WatchedEvent(PERSONS)
    event.show(120, moved=CAR)
    assert len(event.shown) == 12
    assert event.watch.verdict() is Verdict.NOTHING_SEEN


def test_a_branch_leaves_looks_for_who_comes_late() -> None:
    """Somebody elsewhere, half a minute after the branch began to move, is looked at; both move on."""
    event = WatchedEvent(PERSONS)
    event.show(30, moved=CAR)
    assert len(event.shown) < 12
    both = [CAR, HERE]
    event.show(5, moved=both, found=[(Label.PERSON, 0.7, HERE)])
    assert event.watch.verdict() is Verdict.SEEN
    assert event.shown[-1].t < 36_000


def test_a_new_place_comes_before_much_motion() -> None:
    """Who passes quickly beside a tree in the wind is looked at, not the tree."""
    event = WatchedEvent(PERSONS)
    event.show(12, moved=CAR)
    looks = len(event.shown)
    event.show(0.6, moved=HERE)
    event.show(5, moved=CAR)
    assert event.shown[looks].moving == cells_of(HERE)


def test_a_car_and_a_dog_do_not_tire_who_looks_for_persons() -> None:
    """What was not asked for is no reason to look less."""
    event = WatchedEvent(PERSONS)
    dog = (0.7, 0.7, 0.1, 0.1)
    event.show(
        4, moved=CAR, found=[(Label.VEHICLE, 0.8, CAR), (Label.ANIMAL, 0.8, dog)]
    )
    assert set(event.watch.sure()) == {Label.VEHICLE, Label.ANIMAL}
    looks = len(event.shown)
    event.show(4, moved=CAR, found=[(Label.PERSON, 0.8, HERE)])
    assert event.shown[looks].t < 6_500
    assert event.watch.verdict() is Verdict.SEEN


def test_once_it_is_sure_it_looks_less() -> None:
    """A person who was seen surely costs one look in eight seconds."""
    event = WatchedEvent(PERSONS)
    event.show(30, moved=HERE, found=[(Label.PERSON, 0.7, HERE)])
    assert 4 <= len(event.shown) <= 6
    assert event.watch.verdict() is Verdict.SEEN


def test_what_is_small_is_looked_at_on_its_own() -> None:
    """A crop around what moves, in the picture's own shape, and now and then the whole."""
    event = WatchedEvent(PERSONS)
    event.show(20, moved=(0.9, 0.9, 0.01, 0.01))
    crops = [look.crop for look in event.shown]
    assert crops[:2] == [None, None]
    assert None in crops[2:]
    small = [crop for crop in crops if crop]
    for x, y, w, h in small:
        assert (w, h) == pytest.approx((0.26, 0.26))
        assert x <= 0.9 <= x + w <= 1.0001
        assert y <= 0.9 <= y + h <= 1.0001


def test_two_weak_answers_are_sure_and_one_is_not() -> None:
    """A score just above its threshold counts when another look agrees."""
    event = WatchedEvent(PERSONS)
    event.show(0.2, found=[(Label.PERSON, 0.47, HERE)])
    assert event.watch.sure() == {}
    assert len(event.shown) == 1
    event.show(0.4, found=[(Label.PERSON, 0.46, HERE)])
    assert event.watch.sure()[Label.PERSON].score == pytest.approx(0.47)


def test_nearly_a_person_keeps_the_camera_awake() -> None:
    """Below the threshold is no detection, and no reason to sleep where something moves."""
    event = WatchedEvent(PERSONS, has_quiet=True)
    event.show(5, moved=HERE, found=[(Label.PERSON, 0.35, HERE)])
    assert event.watch.detections() == ()
    assert not event.watch.may_sleep()
    # Where nothing moves and all looks as ever, it is a lamp post
    post = WatchedEvent(PERSONS, has_quiet=True)
    post.show(5, found=[(Label.PERSON, 0.35, HERE)])
    assert post.watch.may_sleep()


def test_motion_without_labels_is_seen() -> None:
    """Whatever moves counts; in one picture only it is nothing."""
    event = WatchedEvent(BLIND)
    event.show(1.1)
    event.show(0.3, moved=HERE)
    event.show(2)
    assert event.watch.verdict() is Verdict.NOTHING_SEEN
    event.show(1, moved=HERE)
    assert event.watch.verdict() is Verdict.SEEN
    assert not event.watch.may_sleep()


def test_without_answers_motion_counts_although_labels_are_asked_for() -> None:
    """A detector that does not run hides nobody."""
    event = WatchedEvent(PERSONS)
    event.watch.settings = WatchSettings(labels=PERSONS.labels, detects=False)
    event.show(4, moved=HERE)
    assert event.watch.verdict() is Verdict.SEEN
    assert event.watch.result().strength >= 1


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
    event = WatchedEvent(WatchSettings(zones=zones))
    event.show(5, moved=CAR, found=[(Label.PERSON, 0.8, CAR)])
    assert event.watch.verdict() is Verdict.NOTHING_SEEN
    assert event.watch.may_sleep()
    (outside,) = event.watch.detections()
    assert (outside.zones, outside.counts) == ((), False)
    event.show(4, moved=HERE, found=[(Label.PERSON, 0.8, HERE)])
    assert event.watch.verdict() is Verdict.SEEN
    assert event.watch.result().zones == ("Path",)


def test_a_parked_car_counts_once() -> None:
    """What stood there in the event before is still; when it drives off it is seen."""
    event = WatchedEvent(WatchSettings())
    car = [(Label.VEHICLE, 0.6, CAR)]
    event.show(5, found=car)
    assert event.watch.verdict() is Verdict.SEEN
    still = event.watch.standing()
    assert still == (Still(Label.VEHICLE, CAR),)
    again = WatchedEvent(WatchSettings(), still=still)
    again.show(5, found=car)
    assert again.watch.verdict() is Verdict.NOTHING_SEEN
    assert [item.still for item in again.watch.detections()] == [True]
    assert again.watch.best is None
    assert again.watch.standing() == still
    away = WatchedEvent(WatchSettings(), still=still)
    away.show(5, moved=CAR, found=[(Label.VEHICLE, 0.6, (0.3, 0.1, 0.2, 0.2))])
    assert Label.VEHICLE in away.watch.sure()


def test_a_car_that_left_is_forgotten() -> None:
    """After eight events without it, it would count again."""
    still: tuple[Still, ...] = (Still(Label.VEHICLE, CAR),)
    for _ in range(8):
        assert still
        event = WatchedEvent(WatchSettings(), still=still)
        event.show(1)
        still = event.watch.standing()
    assert still == ()


def test_a_person_at_the_door_is_not_taken_for_a_statue() -> None:
    """Somebody in the place of somebody before counts when anything moves there."""
    still = (Still(Label.PERSON, HERE),)
    event = WatchedEvent(PERSONS, still=still, has_quiet=True)
    event.show(4, moved=HERE, found=[(Label.PERSON, 0.7, HERE)])
    assert event.watch.verdict() is Verdict.SEEN
    statue = WatchedEvent(PERSONS, still=still, has_quiet=True)
    statue.show(4, found=[(Label.PERSON, 0.7, HERE)])
    assert statue.watch.verdict() is Verdict.NOTHING_SEEN


def test_who_stands_still_is_looked_at_before_the_camera_sleeps() -> None:
    """A place unlike the quiet picture keeps the camera awake until the detector has looked there."""
    blind = WatchedEvent(BLIND, has_quiet=True)
    blind.show(5, unlike=HERE)
    assert not blind.watch.may_sleep()
    event = WatchedEvent(PERSONS, has_quiet=True)
    event.show(1, unlike=HERE)
    assert not event.watch.may_sleep()
    event.show(5, unlike=HERE)
    assert any(look.crop for look in event.shown)
    assert event.watch.may_sleep()


def test_the_best_view_is_the_largest_person() -> None:
    """The picture of an event shows the person, not the car, and the nearer one."""
    event = WatchedEvent(WatchSettings())
    event.show(0.1, found=[(Label.VEHICLE, 0.9, CAR)])
    event.show(0.4, found=[(Label.PERSON, 0.7, (0.5, 0.5, 0.3, 0.5))])
    event.show(6, moved=HERE, found=[(Label.PERSON, 0.7, HERE)])
    assert event.watch.best == (event.shown[1].t, event.shown[1].jpeg)


def test_a_late_motion_is_worth_a_last_look() -> None:
    """What moved most since the last look is looked at when the event ends."""
    event = WatchedEvent(PERSONS)
    event.show(11)
    event.show(1.2, moved=HERE, found=[])
    event.show(0.4, moved=CAR)
    (last,) = event.watch.last_looks()
    assert last.t > event.shown[-1].t
    assert event.watch.last_looks() == []


def test_too_few_pictures_are_no_verdict() -> None:
    """An event of a second is neither seen nor nothing."""
    event = WatchedEvent(WatchSettings())
    event.show(1)
    assert event.watch.verdict() is None
    assert not event.watch.may_sleep()


def test_who_appears_after_three_seconds_is_not_cut() -> None:
    """Motion that has only just begun keeps the camera awake until it was looked at."""
    event = WatchedEvent(PERSONS, has_quiet=True)
    event.show(3)
    for _ in range(30):
        assert not event.watch.may_sleep()
        event.show(0.1, moved=HERE, found=[(Label.PERSON, 0.7, HERE)])
    assert event.watch.verdict() is Verdict.SEEN


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


def test_what_is_seen_in_a_zone_to_ignore_is_not_listed() -> None:
    """Who stands there is left out, who stands beside it is not."""
    street = [[0, 0], [0.4, 0], [0.4, 0.4], [0, 0.4]]
    zones = Zones.from_list([{"name": "Street", "kind": "ignore", "points": street}])
    scene = WatchedEvent(WatchSettings(zones=zones))
    scene.show(1, found=[(Label.VEHICLE, 0.9, CAR), (Label.PERSON, 0.9, HERE)])
    assert [item.label for item in scene.watch.detections()] == [Label.PERSON]


def test_nothing_is_decided_while_a_picture_is_looked_at() -> None:
    """An answer that is still to come keeps the camera awake."""
    scene = WatchedEvent(PERSONS)
    scene.show(5, answers=False)
    assert scene.watch.pending
    assert not scene.watch.may_sleep()
    for look in scene.shown:
        scene.watch.looked(look, [])
    assert scene.watch.may_sleep()


def test_a_detector_that_fails_on_the_way_hides_nobody() -> None:
    """It answered once, then no more: what moves counts, although labels are asked for."""
    event = WatchedEvent(PERSONS)
    event.show(0.1)
    assert len(event.shown) == 1
    event.show(4, moved=HERE, found=None)
    assert not event.watch.may_sleep()
    assert event.watch.verdict() is Verdict.SEEN
    # Once another child has looked there, its answer counts
    event.show(4, moved=HERE)
    assert event.watch.verdict() is Verdict.NOTHING_SEEN


def test_an_answer_that_does_not_come_in_time_counts_as_motion() -> None:
    """An event ends while the detector is asked what moved."""
    event = WatchedEvent(PERSONS)
    event.show(1)
    event.show(4, moved=HERE, answers=False)
    assert event.watch.pending
    assert event.watch.result().verdict is Verdict.SEEN


def test_no_sleep_before_two_quick_answers() -> None:
    """A detector that answered once and then failed has not looked."""
    event = WatchedEvent(PERSONS)
    event.show(0.1)
    event.show(6, found=None)
    assert not event.watch.may_sleep()
    event.show(0.4)
    assert event.watch.may_sleep()


def test_pictures_that_nobody_measured_are_not_nothing() -> None:
    """After two seconds of which nothing is known the event is neither seen nor nothing, and goes on."""
    event = WatchedEvent(WatchSettings())
    event.show(4.5)
    assert event.watch.may_sleep()
    event.show(1, measured=False)
    assert not event.watch.may_sleep()
    event.show(0.5)
    assert event.watch.verdict() is Verdict.NOTHING_SEEN
    event.show(2.5, measured=False)
    assert event.watch.verdict() is None
    event.show(10)
    assert event.watch.verdict() is None
    assert not event.watch.may_sleep()


def test_who_fills_the_picture_is_looked_at() -> None:
    """Where all of the picture changes, motion says nothing, and the whole is looked at now and then."""
    event = WatchedEvent(PERSONS)
    event.show(1)
    looks = len(event.shown)
    event.show(5, usable=False, found=[(Label.PERSON, 0.8, (0.1, 0, 0.8, 1))])
    assert 1 <= len(event.shown) - looks <= 3
    assert event.shown[-1].crop is None
    assert event.watch.verdict() is Verdict.SEEN
    # A flash is over before it is time, and is not worth a look
    flash = WatchedEvent(PERSONS)
    flash.show(1)
    flash.show(0.4, usable=False)
    flash.show(10)
    assert len(flash.shown) == 2


def test_what_is_known_is_asked_again_when_it_changed() -> None:
    """Answers are kept between pictures; another box, another cell that moves, or other settings make them new."""
    still = (Still(Label.PERSON, HERE),)
    event = WatchedEvent(PERSONS, still=still, has_quiet=True)
    event.show(1, found=[(Label.PERSON, 0.7, HERE)])
    assert [item.still for item in event.watch.detections()] == [True]
    assert event.watch.detections() is event.watch.detections()
    # The same boxes, but it moves
    event.show(1.2, moved=HERE, answers=False)
    assert [item.still for item in event.watch.detections()] == [False]
    # The same cells, another box
    assert event.watch.pending
    for look in event.shown[-event.watch.pending :]:
        event.watch.looked(look, [(Label.VEHICLE, 0.9, CAR)])
    assert {item.label for item in event.watch.detections()} == {
        Label.PERSON,
        Label.VEHICLE,
    }
    assert event.watch.verdict() is Verdict.SEEN
    # The same boxes and cells, but somebody draws a zone beside them, or asks for more than they score
    corner = [[0.9, 0.9], [1, 0.9], [1, 1]]
    zones = Zones.from_list([{"name": "Path", "kind": "watch", "points": corner}])
    event.watch.settings = WatchSettings(zones=zones, labels=PERSONS.labels)
    assert not any(item.counts for item in event.watch.detections())
    event.watch.settings = WatchSettings(
        labels=PERSONS.labels, thresholds=dict.fromkeys(Label, 0.75)
    )
    assert [item.label for item in event.watch.detections() if item.counts] == [
        Label.VEHICLE
    ]
