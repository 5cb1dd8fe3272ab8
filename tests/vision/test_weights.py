"""The model's files: fetched once, checked always."""

from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
import pytest

from custom_components.magicpi_nvr.vision.weights import (
    ADDRESS,
    PARAM,
    WEIGHTS,
    DownloadFailed,
    ModelMissing,
    WrongModel,
    check_model,
    fetch_model,
)
from custom_components.magicpi_nvr.vision.worker import ModelFiles


class Shelf:
    """A server that has files, and counts who asks."""

    def __init__(self, files: dict[str, bytes]) -> None:
        """Offer files by name."""
        self.files = files
        self.asked: list[str] = []
        app = web.Application()
        app.router.add_get("/{name}", self._answer)
        self.server = TestServer(app)

    async def _answer(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.asked.append(name)
        if name not in self.files:
            raise web.HTTPNotFound
        return web.Response(body=self.files[name])

    @property
    def address(self) -> str:
        """Where it is."""
        return str(self.server.make_url("/"))


@pytest.fixture(name="shelf")
async def fixture_shelf(model: ModelFiles) -> AsyncIterator[Shelf]:
    """Offer the real files."""
    shelf = Shelf(
        {
            PARAM.source: model.param.read_bytes(),
            WEIGHTS.source: model.weights.read_bytes(),
        }
    )
    await shelf.server.start_server()
    yield shelf
    await shelf.server.close()


async def test_is_fetched_once(shelf: Shelf, tmp_path: Path) -> None:
    """Both files come, are right, and are not asked for again."""
    folder = tmp_path / "models"
    async with ClientSession() as session:
        files = await fetch_model(session, folder, address=shelf.address)
        again = await fetch_model(session, folder, address=shelf.address)
    assert files == again == check_model(folder)
    assert shelf.asked == [PARAM.source, WEIGHTS.source]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        (PARAM.name, WEIGHTS.name)
    )


async def test_a_file_laid_there_by_hand_serves(
    shelf: Shelf, model: ModelFiles, tmp_path: Path
) -> None:
    """Only what is missing is fetched."""
    (tmp_path / WEIGHTS.name).write_bytes(model.weights.read_bytes())
    async with ClientSession() as session:
        await fetch_model(session, tmp_path, address=shelf.address)
    assert shelf.asked == [PARAM.source]


@pytest.mark.parametrize("change", ["byte", "short", "long"])
async def test_another_file_is_not_kept(
    shelf: Shelf, tmp_path: Path, change: str
) -> None:
    """What has another hash never comes to the folder."""
    data = shelf.files[WEIGHTS.source]
    shelf.files[WEIGHTS.source] = {
        "byte": bytes([data[0] ^ 1]) + data[1:],
        "short": data[:-1],
        "long": data + b"x" * 100_000,
    }[change]
    async with ClientSession() as session:
        with pytest.raises(WrongModel, match=WEIGHTS.name):
            await fetch_model(session, tmp_path, address=shelf.address)
    assert [path.name for path in tmp_path.iterdir()] == [PARAM.name]


async def test_another_file_in_the_folder_is_never_used(
    shelf: Shelf, tmp_path: Path
) -> None:
    """A file with the right name and another hash is refused, not replaced."""
    (tmp_path / PARAM.name).write_text("7767517")
    async with ClientSession() as session:
        with pytest.raises(WrongModel, match=PARAM.name):
            await fetch_model(session, tmp_path, address=shelf.address)
    with pytest.raises(WrongModel):
        check_model(tmp_path)
    assert (tmp_path / PARAM.name).read_text() == "7767517"


async def test_no_network_and_no_file(shelf: Shelf, tmp_path: Path) -> None:
    """A server that has nothing, and none at all, are one kind of failure."""
    with pytest.raises(ModelMissing):
        check_model(tmp_path)
    shelf.files.clear()
    address = shelf.address
    async with ClientSession() as session:
        with pytest.raises(DownloadFailed):
            await fetch_model(session, tmp_path, address=address)
        await shelf.server.close()
        with pytest.raises(DownloadFailed):
            await fetch_model(session, tmp_path, address=address)
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_be_written(shelf: Shelf, tmp_path: Path) -> None:
    """A disk that takes nothing is a failure to fetch."""
    (tmp_path / "models").write_text("")
    async with ClientSession() as session:
        with pytest.raises(DownloadFailed):
            await fetch_model(session, tmp_path / "models", address=shelf.address)


def test_the_address_is_pinned() -> None:
    """The address names a commit."""
    assert ADDRESS.split("/")[5] == "e902e25caa9260b63a0b32bb529f196376419596"
