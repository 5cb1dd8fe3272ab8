"""What the virtual camera's tests share."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from virtual_camera import LoopSource, VirtualCamera

from .stand_in import Authority, StandInGateway


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return a CA with a server certificate."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def stand_in(authority: Authority) -> AsyncIterator[StandInGateway]:
    """Return a running gateway."""
    stand_in = StandInGateway(authority)
    await stand_in.start()
    yield stand_in
    await stand_in.stop()


type MakeCamera = Callable[..., VirtualCamera]


@pytest.fixture
async def make_camera() -> AsyncIterator[MakeCamera]:
    """Return what makes cameras, which are off again after the test."""
    cameras: list[VirtualCamera] = []

    def make(id: str | None = None, **options: Any) -> VirtualCamera:
        options.setdefault("source", LoopSource.rendered(4, resolution="QVGA"))
        quick = {"wifi_s": 0, "tail_s": 0.3, "linger_s": 0.1, "time_factor": 50}
        camera = VirtualCamera(id, **{**quick, **options})
        cameras.append(camera)
        return camera

    yield make
    for camera in cameras:
        await camera.stop()


type Claimed = Callable[..., Any]


@pytest.fixture
async def claimed(stand_in: StandInGateway, make_camera: MakeCamera) -> Claimed:
    """Return what makes cameras that are registered and connected."""

    async def make(**options: Any) -> VirtualCamera:
        camera = make_camera(**options)
        await camera.start()
        assert await stand_in.claim(camera) == 204
        await camera.wait_event("welcome")
        return camera

    return make


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return a folder for flash memories."""
    return tmp_path / "cameras"
