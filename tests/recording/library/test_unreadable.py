"""What cannot be read is not gone: neither events nor their protection are forgotten because of it."""

from collections.abc import Callable, Iterator
from contextlib import suppress
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from custom_components.magicpi_nvr.recording.errors import StorageFailed
from custom_components.magicpi_nvr.recording.library import Library
from custom_components.magicpi_nvr.recording.model import Event
from tests.harness.library import (
    BACK,
    NOON,
    LibraryFolder,
    Pictures,
    Recordings,
    index_of,
)

DAY = 24 * 3_600_000


@pytest.fixture
async def made(
    library_folder: LibraryFolder, small_video: Pictures
) -> tuple[Event, Event, Event]:
    """Return events of two cameras, the first of them protected, of a library that is closed."""
    library = library_folder.library()
    await library.open()
    recordings = Recordings(library_folder.settings.root, small_video, library=library)
    events = (
        await recordings.record(NOON - 9 * DAY),
        await recordings.record(NOON - 8 * DAY),
        await recordings.record(NOON - 7 * DAY, camera=BACK, boot=2),
    )
    await library.protect(events[0].id, True)
    await library.close()
    # A folder that changed lately is read again anyway
    for folder in library_folder.settings.root.glob("*/*"):
        os.utime(folder, (NOON / 1000, NOON / 1000))
    return events


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path, int], None]]:
    """Let the disk answer questions about one path with an error."""
    refused: dict[str, int] = {}

    def guard(call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(path: Any, *args: Any, **kwargs: Any) -> Any:
            if (number := refused.get(os.fspath(path))) is not None:
                raise OSError(number, os.strerror(number))
            return call(path, *args, **kwargs)

        return guarded

    def begin(path: Path, number: int) -> None:
        refused[os.fspath(path)] = number

    monkeypatch.setattr(os, "scandir", guard(os.scandir))
    monkeypatch.setattr(Path, "read_bytes", guard(Path.read_bytes))
    yield begin
    refused.clear()


async def opened(library: Library) -> set[str]:
    """Open a library and return what it has."""
    await library.open()
    return {event.id for event in (await library.events()).events}


async def everything_goes_but_what_is_protected(library: Library) -> set[str]:
    """Remove all that is older than a day from now on, and return what is left."""
    with suppress(StorageFailed):
        await library.purge(older_than_ms=NOON)
    return {event.id for event in (await library.events()).events}


@pytest.mark.parametrize("place", ["", "camera", "day"])
async def test_link_that_leads_nowhere(
    library_folder: LibraryFolder, made: tuple[Event, ...], place: str
) -> None:
    """A symbolic link to itself beside the recordings hides none of them."""
    hour = library_folder.settings.root / made[0].path
    folder = {
        "": library_folder.settings.root,
        "camera": hour.parents[1],
        "day": hour.parent,
    }[place]
    (folder / "00.mp4").symlink_to("00.mp4")
    library = library_folder.library()
    assert await opened(library) == {event.id for event in made}
    await library.close()


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
@pytest.mark.parametrize("place", ["camera", "day", "notes"])
async def test_folder_that_cannot_be_read(
    library_folder: LibraryFolder,
    made: tuple[Event, ...],
    refuse: Callable[[Path, int], None],
    place: str,
    number: int,
) -> None:
    """Its events stay known and protected, others are as ever; read again, all is as before."""
    hour = library_folder.settings.root / made[0].path
    # Something changed in it meanwhile
    os.utime(hour.with_suffix(".json"))
    os.utime(hour.parent, (NOON / 1000 + 1, NOON / 1000 + 1))
    refuse(
        {
            "camera": hour.parents[1],
            "day": hour.parent,
            "notes": hour.with_suffix(".json"),
        }[place],
        number,
    )
    library = library_folder.library()
    assert await opened(library) == {event.id for event in made}
    found = await library.event(made[0].id)
    assert found
    assert found.protected
    assert await everything_goes_but_what_is_protected(library) == {made[0].id}
    await library.close()


async def test_protection_that_the_index_missed(
    library_folder: LibraryFolder,
    made: tuple[Event, ...],
    refuse: Callable[[Path, int], None],
) -> None:
    """An index that is made while notes cannot be read removes nothing that they protect, neither then nor later."""
    library_folder.settings.index.unlink()
    notes = (library_folder.settings.root / made[0].path).with_suffix(".json")
    refuse(notes, errno.EIO)
    library = library_folder.library()
    assert await opened(library) == {event.id for event in made}
    assert await everything_goes_but_what_is_protected(library) == {made[0].id}
    assert library.refused
    await library.close()


async def test_notes_that_the_index_has_not_seen(
    library: Library, recordings: Recordings, library_folder: LibraryFolder
) -> None:
    """What the notes on disk protect is kept, and known from then on."""
    event = await recordings.record(NOON - 9 * DAY)
    await library.protect(event.id, True)
    index = index_of(library)
    notes = event.path.replace(".mp4", ".json")
    await library._backend.indexed(index.put_notes, notes, {})
    assert await everything_goes_but_what_is_protected(library) == {event.id}
    found = await library.event(event.id)
    assert found
    assert found.protected


async def test_root_that_cannot_be_read(
    library_folder: LibraryFolder,
    made: tuple[Event, ...],
    refuse: Callable[[Path, int], None],
) -> None:
    """It is a storage that fails, not one without recordings."""
    refuse(library_folder.settings.root, errno.EIO)
    library = library_folder.library()
    for ask in (library.open, library.rebuild, library.follow):
        with pytest.raises(StorageFailed, match="cannot be read"):
            await ask()
    assert {event.id for event in (await library.events()).events} == {
        event.id for event in made
    }
    await library.close()
