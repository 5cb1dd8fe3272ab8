"""The queue loses nothing: what arrives is what is here, once, whatever happens on the way."""

import asyncio
from datetime import time as clock_time, timedelta, timezone
from pathlib import Path
import sqlite3
import time

import pytest

from custom_components.magicpi_nvr.copies.model import (
    CopySettings,
    Found,
    Removed,
    Rules,
)
from custom_components.magicpi_nvr.copies.target import Body, store
from tests.harness.copies import (
    BACK,
    NOON,
    Clips,
    CopyServer,
    RunningCopier,
    facts,
    hour,
)
from tests.harness.link import Link


async def test_copies_all(
    copy_server: CopyServer, clips: Clips, tmp_path: Path
) -> None:
    """Every clip arrives with picture and facts under a name that people understand."""
    events = [clips.add(number) for number in range(1, 6)]
    events.append(clips.add(1, camera=BACK, labels=("Person",), zones=("Path",)))
    async with RunningCopier(copy_server.target, tmp_path, clips) as running:
        await running.offer(*events)
        await running.settled()
        copy_server.assert_same(clips)
        stats = running.copier.stats
        assert stats.copies == 6
        assert stats.stored == sum(len(data) for data in copy_server.files().values())
        assert stats.last_copied_ms is not None
        assert stats.failing_since_ms is None
    assert min(copy_server.files()) == (
        "Back yard/2026-11-22/12-01-00 motion aabbcc000002-00000001-1.jpg"
    )
    # Offered again, as after each start, nothing is sent.
    before = len(clips.opened)
    async with RunningCopier(copy_server.target, tmp_path, clips) as running:
        await running.offer(*events)
        await running.settled()
    assert len(clips.opened) == before


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_network_away(
    copy_server: CopyServer, link: Link, clips: Clips, tmp_path: Path
) -> None:
    """200 events while the network is away, and a restart in the middle of it: all arrive once."""
    await link.down()
    events = [clips.add(number, size=5_000) for number in range(200)]
    async with RunningCopier(
        lambda: copy_server.target(link.url), tmp_path, clips
    ) as running:
        await running.offer(*events[:100])
        await running.until(lambda: running.copier.stats.failing_since_ms is not None)
        assert running.copier.stats.cause == "cannot_connect"
    async with RunningCopier(
        lambda: copy_server.target(link.url), tmp_path, clips
    ) as running:
        await running.offer(*events[100:])
        assert running.copier.stats.waiting == 200
        await link.up()
        await running.settled()
        copy_server.assert_same(clips)
        assert sorted(running.copied) == sorted(clips.clips)
        assert running.copier.stats.failing_since_ms is None


async def test_forbidden_in_the_middle(
    copy_server: CopyServer, link: Link, clips: Clips, tmp_path: Path
) -> None:
    """A server that refuses for a while is asked again, and loses no clip."""
    events = [clips.add(number) for number in range(10)]
    async with RunningCopier(
        lambda: copy_server.target(link.url), tmp_path, clips
    ) as running:
        await running.offer(*events)
        await running.until(lambda: len(running.copied) >= 3)
        link.status = 403
        link.cut()
        await running.until(lambda: running.copier.stats.cause is not None)
        assert running.copier.stats.cause in ("access_denied", "cannot_connect")
        await link.answered.wait()
        link.status = None
        await running.settled()
        copy_server.assert_same(clips)
        assert sorted(running.copied) == sorted(clips.clips)


async def test_cut_at_half(
    copy_server: CopyServer, link: Link, clips: Clips, tmp_path: Path
) -> None:
    """A connection that is cut in the middle of a clip."""
    event = clips.add(size=400_000)
    link.cut_after = 200_000
    async with RunningCopier(
        lambda: copy_server.target(link.url), tmp_path, clips
    ) as running:
        await running.offer(event)
        await running.until(lambda: running.copier.stats.failing_since_ms is not None)
        assert not [name for name in copy_server.files() if name.endswith(".json")]
        link.cut_after = None
        await running.settled()
        copy_server.assert_same(clips)
        assert running.copied == [event.event]


async def test_slow_link(
    copy_server: CopyServer, link: Link, clips: Clips, tmp_path: Path
) -> None:
    """At 50 kB/s it takes its time and arrives."""
    event = clips.add(size=100_000)
    link.rate = 50_000
    began = time.monotonic()
    async with RunningCopier(
        lambda: copy_server.target(link.url), tmp_path, clips
    ) as running:
        await running.offer(event)
        await running.settled()
    assert time.monotonic() - began > 1.5
    copy_server.assert_same(clips)


async def test_stopped_while_uploading(
    copy_server: CopyServer, clips: Clips, tmp_path: Path
) -> None:
    """An upload that a stop interrupts is made again."""
    event = clips.add(size=300_000)
    clip = clips.clips[event.event]
    clip.paused, clip.halfway = asyncio.Event(), asyncio.Event()
    async with RunningCopier(copy_server.target, tmp_path, clips) as running:
        await running.offer(event)
        await clip.halfway.wait()
    clip.paused.set()
    async with RunningCopier(copy_server.target, tmp_path, clips) as running:
        assert running.copier.stats.waiting == 1
        await running.settled()
    copy_server.assert_same(clips)


async def test_server_full(
    copy_server: CopyServer, clips: Clips, tmp_path: Path, link: Link
) -> None:
    """A full server is asked again; the clips that fit stay."""
    events = [clips.add(number) for number in range(4)]
    async with RunningCopier(
        lambda: copy_server.target(link.url), tmp_path, clips
    ) as running:
        await running.offer(events[0])
        await running.settled()
        link.status = 507
        link.cut()
        await running.offer(*events[1:])
        await running.until(lambda: running.copier.stats.cause == "full")
        link.status = None
        await running.settled()
    copy_server.assert_same(clips)


async def test_relabeled(copy_server: CopyServer, clips: Clips, tmp_path: Path) -> None:
    """What is said of an event later is in its JSON, and the clip is not sent again."""
    event = clips.add()
    async with RunningCopier(copy_server.target, tmp_path, clips) as running:
        await running.offer(event)
        await running.settled()
        written = {
            path: path.stat().st_mtime_ns
            for path in copy_server.store.folder.rglob("*.mp4")
        }
        changed = clips.change(
            event.event, labels=("Cat",), protected=True, description="At the bowl"
        )
        await running.offer(changed)
        await running.settled()
        copy_server.assert_same(clips)
        assert {path: path.stat().st_mtime_ns for path in written} == written
        assert running.copied == [event.event]


async def test_relabeled_when_only_there(
    copy_server: CopyServer, clips: Clips, tmp_path: Path
) -> None:
    """The JSON of a clip that the disk lost is changed as well, and keeps what gives it back."""
    event = clips.add()
    clips.clips[event.event].source["layout"] = "kept"
    async with RunningCopier(copy_server.target, tmp_path, clips) as running:
        await running.offer(event)
        await running.settled()
        kept = clips.clips.pop(event.event)
        kept.facts = facts(1, labels=("Cat",))
        await running.offer(kept.facts)
        await running.settled()
        clips.clips[event.event] = kept
        copy_server.assert_same(clips)
        document = await running.copier.document(event.event)
        assert document.facts.labels == ("Cat",)
        assert document.source["layout"] == "kept"


async def test_relabeled_while_uploading(
    copy_server: CopyServer, clips: Clips, tmp_path: Path
) -> None:
    """A label that comes in the middle of the upload is not lost."""
    event = clips.add(size=300_000)
    clip = clips.clips[event.event]
    clip.paused, clip.halfway = asyncio.Event(), asyncio.Event()
    async with RunningCopier(copy_server.target, tmp_path, clips) as running:
        await running.offer(event)
        await clip.halfway.wait()
        await running.offer(clips.change(event.event, labels=("Late",)))
        clip.paused.set()
        await running.settled()
        copy_server.assert_same(clips)


async def test_grown(copy_server: CopyServer, clips: Clips, tmp_path: Path) -> None:
    """An event that went on after its copy is copied again, under its name."""
    event = clips.add(size=20_000)
    async with RunningCopier(copy_server.target, tmp_path, clips) as running:
        await running.offer(event)
        await running.settled()
        grown = clips.change(event.event, frames=240, end_ms=event.end_ms + 12_000)
        clips.clips[event.event].data *= 2
        await running.offer(grown)
        await running.settled()
        copy_server.assert_same(clips)
        # What the disk lost of it since does not replace the copy.
        clips.clips[event.event].data = b"broken"
        await running.offer(clips.change(event.event, frames=10))
        await running.settled()
        stem = "Front door/2026-11-22/12-01-00 motion aabbcc000001-00000001-1"
        assert len(copy_server.files()[f"{stem}.mp4"]) == 40_000


async def test_deleted(copy_server: CopyServer, clips: Clips, tmp_path: Path) -> None:
    """An event that a person deletes goes from the target, too."""
    events = [clips.add(number) for number in (1, 2)]
    async with RunningCopier(copy_server.target, tmp_path, clips) as running:
        await running.offer(*events)
        await running.settled()
        del clips.clips[events[0].event]
        await running.thread(running.thread.jobs.forget, events[0].event)
        await running.copier.changed()
        await running.settled()
        copy_server.assert_same(clips)
        assert running.copier.stats.copies == 1


async def test_gone_before_it_was_copied(
    copy_server: CopyServer, link: Link, clips: Clips, tmp_path: Path
) -> None:
    """A clip that the disk lost first is counted, and nobody waits for it."""
    await link.down()
    events = [clips.add(number) for number in (1, 2)]
    async with RunningCopier(
        lambda: copy_server.target(link.url), tmp_path, clips
    ) as running:
        await running.offer(*events)
        del clips.clips[events[0].event]
        await link.up()
        await running.settled()
        copy_server.assert_same(clips)
        assert running.copier.stats.missed == 1


@pytest.mark.parametrize("newest_first", [True, False])
async def test_order(
    s3: CopyServer, clips: Clips, tmp_path: Path, newest_first: bool
) -> None:
    """Newest or oldest first."""
    events = [clips.add(number, size=100) for number in (3, 1, 2)]
    settings = CopySettings(newest_first=newest_first)
    async with Link(s3.store.port) as link:
        await link.down()
        async with RunningCopier(
            lambda: s3.target(link.url), tmp_path, clips, settings
        ) as running:
            await running.offer(*events)
            await link.up()
            await running.settled()
    order = sorted(clips.clips, reverse=newest_first)
    assert running.copied == order


async def test_hours(s3: CopyServer, clips: Clips, tmp_path: Path) -> None:
    """Nothing is sent outside of the hours, in local time."""
    settings = CopySettings(hours=(clock_time(22), clock_time(6)))
    zone = timezone(timedelta(hours=2))
    event = clips.add()
    async with RunningCopier(
        s3.target, tmp_path, clips, settings, time_zone=zone, clock=hour("19:30")
    ) as running:
        await running.offer(event)
        running.copier.try_now()
        await asyncio.sleep(0.2)
        assert running.copier.stats.waiting == 1
    assert s3.files() == {}
    async with RunningCopier(
        s3.target, tmp_path, clips, settings, time_zone=zone, clock=hour("20:00")
    ) as running:
        await running.settled()
    assert len(s3.files()) == 3


async def test_rate(copy_server: CopyServer, clips: Clips, tmp_path: Path) -> None:
    """The limit holds over a clip and between clips."""
    events = [clips.add(number, size=60_000) for number in (1, 2)]
    began = time.monotonic()
    async with RunningCopier(
        copy_server.target, tmp_path, clips, CopySettings(rate=100_000)
    ) as running:
        await running.offer(*events)
        await running.settled()
    assert time.monotonic() - began > 1.0
    copy_server.assert_same(clips)


@pytest.mark.parametrize(
    ("rules", "chosen"),
    [
        (Rules(), {1, 2, 3, 4}),
        (Rules(protected_only=True), {2}),
        (Rules(cameras=frozenset({BACK})), {4}),
        (Rules(labels=frozenset({"person"})), {1}),
        (Rules(zones=frozenset({"Path"})), {3}),
        (Rules(labels=frozenset({"person"}), zones=frozenset({"path"})), {1, 3}),
        (Rules(labels=frozenset({"person"}), protected_only=True), set()),
    ],
)
def test_rules(rules: Rules, chosen: set[int]) -> None:
    """Filters: protected, cameras, labels and zones."""
    events = {
        1: facts(1, labels=("Person",)),
        2: facts(2, protected=True),
        3: facts(3, zones=("Path",)),
        4: facts(4, camera=BACK),
    }
    assert {number for number, event in events.items() if rules.match(event)} == chosen


async def test_wanted_later(s3: CopyServer, clips: Clips, tmp_path: Path) -> None:
    """What is protected later is copied then; what is no longer stays."""
    event = clips.add()
    settings = CopySettings(rules=Rules(protected_only=True))
    async with RunningCopier(s3.target, tmp_path, clips, settings) as running:
        await running.offer(event)
        assert running.copier.stats.waiting == 0
        await running.offer(clips.change(event.event, protected=True))
        await running.settled()
        s3.assert_same(clips)
        await running.offer(clips.change(event.event, protected=False))
        await running.settled()
        s3.assert_same(clips)


async def test_retention_by_days(
    copy_server: CopyServer, clips: Clips, tmp_path: Path
) -> None:
    """What is too old goes from the target, protected clips never; it is not sent again."""
    day = 24 * 60
    old = [
        clips.add(1),
        clips.add(2, protected=True),
        clips.add(3 * day),
        clips.add(5 * day),
    ]
    now = NOON / 1000 + 6 * 86_400
    async with RunningCopier(copy_server.target, tmp_path, clips) as running:
        await running.offer(*old)
        await running.settled()
    settings = CopySettings(days=4)
    for may in (False, True):
        async with RunningCopier(
            copy_server.target,
            tmp_path,
            clips,
            settings,
            clock=lambda: now,
            may_expire=lambda may=may: may,
        ) as running:
            if may:
                await running.until(
                    lambda: any(isinstance(n, Removed) for n in running.notices)
                )
            await running.offer(*old)
            await running.settled()
            assert running.copier.stats.copies == (3 if may else 4)
    del clips.clips[old[0].event]
    copy_server.assert_same(clips)


async def test_retention_by_size(s3: CopyServer, clips: Clips, tmp_path: Path) -> None:
    """The oldest go until the rest fits."""
    events = [clips.add(number, size=50_000) for number in range(1, 7)]
    clips.clips[events[0].event].facts = events[0] = facts(1, protected=True)
    async with RunningCopier(s3.target, tmp_path, clips) as running:
        await running.offer(*events)
        await running.settled()
    async with RunningCopier(
        s3.target, tmp_path, clips, CopySettings(max_bytes=160_000)
    ) as running:
        await running.until(lambda: running.copier.stats.copies == 3)
        assert running.copier.stats.stored <= 160_000
    for number in (1, 2, 3):
        del clips.clips[events[number].event]
    s3.assert_same(clips)


async def test_catalog_lost(
    copy_server: CopyServer, clips: Clips, tmp_path: Path
) -> None:
    """Without its file the queue knows again what is there, and goes on with the rest."""
    events = [clips.add(number) for number in range(1, 5)]
    async with RunningCopier(copy_server.target, tmp_path, clips) as running:
        await running.offer(*events[:2])
        await running.settled()
    database = tmp_path / "copies.sqlite3"
    database.write_bytes(b"not a database at all" * 100)
    opened = len(clips.opened)
    async with RunningCopier(copy_server.target, tmp_path, clips) as running:
        await running.offer(*events)
        await running.settled()
        copy_server.assert_same(clips)
        assert running.copier.stats.copies == 4
        assert sorted(running.copied) == sorted(event.event for event in events[2:])
    assert len(clips.opened) - opened == 2
    assert database.with_name("copies.sqlite3.broken").exists()


async def test_new_home(copy_server: CopyServer, clips: Clips, tmp_path: Path) -> None:
    """Somebody with the credentials alone finds the old clips, reads them, and damaged ones are left alone."""
    events = [clips.add(number, size=1_500_000) for number in range(1, 4)]
    async with RunningCopier(copy_server.target, tmp_path / "old", clips) as running:
        await running.offer(*events)
        await running.settled()
    stem = max(name for name in copy_server.files() if name.endswith(".mp4"))
    target = copy_server.target()
    await store(target, stem, Body.of(b"cut"), content_type="video/mp4")
    await store(target, "notes.json", Body.of(b"[]"), content_type="text/plain")
    await target.close()
    async with RunningCopier(copy_server.target, tmp_path / "new", Clips()) as running:
        await running.until(lambda: running.copier.stats.copies == 2)
        found = {
            event
            for notice in running.notices
            if isinstance(notice, Found)
            for event in notice.events
        }
        assert found == {event.event for event in events[:2]}
        data = clips.clips[events[0].event].data
        for start, stop in ((0, 10), (700_000, 1_400_000), (1_499_000, 1_500_000)):
            assert (
                await running.copier.read(events[0].event, start, stop)
                == (data[start:stop])
            )
        assert await running.copier.thumbnail(events[0].event) == (
            clips.clips[events[0].event].thumbnail
        )


async def test_removed_by_hand(s3: CopyServer, clips: Clips, tmp_path: Path) -> None:
    """A clip that somebody removed from the bucket is noticed, and copied again when it is here."""
    events = [clips.add(number) for number in range(1, 4)]
    async with RunningCopier(s3.target, tmp_path, clips) as running:
        await running.offer(*events)
        await running.settled()
        await running.copier.target.delete(
            min(name for name in s3.files() if name.endswith(".mp4"))
        )
        running.copier.scan_again()
        await running.until(
            lambda: any(isinstance(notice, Removed) for notice in running.notices)
        )
        await running.offer(*events)
        await running.settled()
        s3.assert_same(clips)


async def test_two_targets(s3: CopyServer, clips: Clips, tmp_path: Path) -> None:
    """Targets know nothing of each other."""
    event = clips.add()
    async with RunningCopier(s3.target, tmp_path, clips) as one:
        await one.offer(event)
        await one.settled()
    async with RunningCopier(
        lambda: s3.target(prefix="elsewhere"), tmp_path, clips, target_id="two"
    ) as two:
        await two.offer(event)
        await two.settled()
        assert len(two.copied) == 1
        copies = await two.thread(two.thread.jobs.copies_of, event.event)
        assert [copy.target for copy in copies] == ["one", "two"]


async def test_nothing_secret_in_the_catalog(
    s3: CopyServer, clips: Clips, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the file nor the log has a key in it."""
    caplog.set_level("DEBUG")
    event = clips.add()
    async with RunningCopier(s3.target, tmp_path, clips) as running:
        await running.offer(event)
        await running.settled()
    with sqlite3.connect(tmp_path / "copies.sqlite3") as database:
        said = "\n".join(database.iterdump())
    ours = "\n".join(
        record.getMessage() for record in caplog.records if "magicpi" in record.name
    )
    for secret in ("AKIDMAGICPITEST", "secret/of"):
        assert secret not in said
        assert secret not in ours
