"""A Home Assistant with cameras that are virtual, and everything else real."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
import pytest
from pytest_homeassistant_custom_component.common import (
    CLIENT_ID,
    MockConfigEntry,
    MockUser,
)

from custom_components.magicpi_nvr.const import (
    CONF_CLEANUP,
    CONF_CRF,
    CONF_FREE_SPACE_FLOOR,
    CONF_HOSTS,
    CONF_LATE_AFTER,
    CONF_MAX_CAMERAS,
    CONF_MAX_ENCODERS,
    CONF_PRESET,
    CONF_RETENTION_DAYS,
    CONF_SETUP_CODE,
    DOMAIN,
    NAME,
    SECTION_CAMERAS,
    SECTION_ENCODER,
    SECTION_NETWORK,
    SECTION_STORAGE,
)
from custom_components.magicpi_nvr.gateway import Camera
from custom_components.magicpi_nvr.nvr import DATA_NVR, Nvr
from homeassistant.auth.models import Credentials
from homeassistant.config_entries import (
    SOURCE_REAUTH,
    SOURCE_USER,
    ConfigEntry,
    ConfigFlowResult,
)
from homeassistant.const import CONF_HOST, CONF_NAME, CONF_PORT
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.device_registry import format_mac
from homeassistant.setup import async_setup_component
from virtual_camera import LoopSource, VirtualCamera

from .scene import everything_enabled, scene, writes  # noqa: F401 - fixtures

CAMERA_ID = "AA:BB:CC:DD:EE:01"
SETUP_CODE = "7K3M-Q9XD-2F5T-HW8R"


def nvr_options(port: int, **network: Any) -> dict[str, Any]:
    """Return options of the NVR as its form gives them."""
    return {
        SECTION_NETWORK: {CONF_PORT: port, CONF_HOSTS: ["127.0.0.1"], **network},
        SECTION_STORAGE: {
            CONF_RETENTION_DAYS: 7,
            CONF_CLEANUP: "0 2 * * *",
            CONF_FREE_SPACE_FLOOR: 0,
        },
        SECTION_ENCODER: {CONF_CRF: 28, CONF_PRESET: "ultrafast", CONF_MAX_ENCODERS: 2},
        SECTION_CAMERAS: {CONF_MAX_CAMERAS: 50, CONF_LATE_AFTER: 24},
    }


@dataclass
class House:
    """A Home Assistant and the cameras around it."""

    hass: HomeAssistant
    port: int
    media: Path
    cameras: list[VirtualCamera] = field(default_factory=list)

    @property
    def nvr(self) -> Nvr:
        """The shared NVR."""
        return self.hass.data[DATA_NVR]

    def camera(self, camera_id: str = CAMERA_ID) -> Camera:
        """Return a camera as the gateway knows it."""
        return self.nvr.gateway.cameras[camera_id]

    def entry(self, camera_id: str = CAMERA_ID) -> ConfigEntry[Any]:
        """Return a camera's entry."""
        entry = self.hass.config_entries.async_entry_for_domain_unique_id(
            DOMAIN, format_mac(camera_id)
        )
        assert entry
        return entry

    def entity_id(self, platform: str, key: str, camera_id: str = CAMERA_ID) -> str:
        """Return the id of a camera's entity."""
        entity_id = er.async_get(self.hass).async_get_entity_id(
            platform, DOMAIN, f"{format_mac(camera_id)}-{key}"
        )
        assert entity_id
        return entity_id

    def add_nvr_entry(self, **network: Any) -> MockConfigEntry:
        """Add the NVR's entry, so that its port is free and its address is ours."""
        entry = MockConfigEntry(
            domain=DOMAIN,
            unique_id=DOMAIN,
            title=NAME,
            options=nvr_options(self.port, **network),
        )
        entry.add_to_hass(self.hass)
        return entry

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return when something holds that no event tells of."""
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)

    async def restart(self) -> None:
        """Unload all entries and set them up again, as a restart does."""
        entries = self.hass.config_entries.async_entries(DOMAIN)
        for entry in entries:
            await self.hass.config_entries.async_unload(entry.entry_id)
        assert not self.nvr.running
        for entry in entries:
            await self.hass.config_entries.async_setup(entry.entry_id)
        await self.hass.async_block_till_done()

    async def start_flow(self, source: str, unique_id: str) -> ConfigFlowResult:
        """Start a flow of an entry, as its menu does."""
        entry = self.hass.config_entries.async_entry_for_domain_unique_id(
            DOMAIN, unique_id
        )
        assert entry
        return await self.hass.config_entries.flow.async_init(
            DOMAIN,
            context={"source": source, "entry_id": entry.entry_id},
            data=dict(entry.data) if source == SOURCE_REAUTH else None,
        )

    async def switch_on(
        self, camera_id: str = CAMERA_ID, **options: Any
    ) -> VirtualCamera:
        """Return a camera in setup mode."""
        options = {"wifi_s": 0.01, "linger_s": 0.1, "tail_s": 0.3} | options
        camera = VirtualCamera(
            camera_id,
            source=LoopSource.rendered(20, resolution="QVGA"),
            setup_code=SETUP_CODE,
            **options,
        )
        self.cameras.append(camera)
        await camera.start()
        await camera.wait_state("setup")
        return camera

    async def claim(self, camera: VirtualCamera, name: str = "Front door") -> None:
        """Claim a camera as a person does who types its address."""
        flow = self.hass.config_entries.flow
        result = await flow.async_init(DOMAIN, context={"source": SOURCE_USER})
        result = await flow.async_configure(
            result["flow_id"], {CONF_HOST: f"127.0.0.1:{camera.setup_port}"}
        )
        assert result["step_id"] == "claim", result
        result = await flow.async_configure(
            result["flow_id"],
            {CONF_SETUP_CODE: camera.setup_code.lower(), CONF_NAME: name},
        )
        assert result["type"] is FlowResultType.SHOW_PROGRESS, result
        await self.hass.async_block_till_done()
        result = await flow.async_configure(result["flow_id"])
        assert result["type"] is FlowResultType.CREATE_ENTRY, result
        await self.hass.async_block_till_done()

    async def claimed(
        self, camera_id: str = CAMERA_ID, name: str = "Front door", **options: Any
    ) -> VirtualCamera:
        """Return a camera that was claimed and is connected."""
        camera = await self.switch_on(camera_id, **options)
        await self.claim(camera, name)
        await camera.wait_event("welcome")
        return camera


@pytest.fixture
async def house(
    socket_enabled: None,
    hass: HomeAssistant,
    mock_async_zeroconf: None,
    no_browser: None,
    patient: None,
    unused_tcp_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncGenerator[House]:
    """A house without cameras yet; its NVR listens on a free port of this machine."""
    # The test plugin's folder is one for all tests, and for those that run beside them
    monkeypatch.setattr(
        "custom_components.magicpi_nvr.nvr.steps.STORAGE_DIR", str(tmp_path / "storage")
    )
    media = tmp_path / "media"
    media.mkdir()
    hass.config.media_dirs = {"local": str(media)}
    hass.config.allowlist_external_dirs = {str(media)}
    assert await async_setup_component(hass, "http", {})
    house = House(hass, unused_tcp_port, media)
    yield house
    for camera in house.cameras:
        await camera.stop()
    for entry in hass.config_entries.async_entries(DOMAIN):
        if entry.state.recoverable:
            await hass.config_entries.async_unload(entry.entry_id)
    await hass.async_block_till_done()


@pytest.fixture
async def device() -> AsyncGenerator[Callable[[web.Application], Awaitable[int]]]:
    """Start web servers that are no virtual cameras; returns their port."""
    servers: list[TestServer] = []

    async def start(app: web.Application) -> int:
        server = TestServer(app)
        servers.append(server)
        await server.start_server()
        assert server.port
        return server.port

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
async def nvr_house(house: House) -> House:
    """A house whose NVR runs."""
    entry = house.add_nvr_entry()
    assert await house.hass.config_entries.async_setup(entry.entry_id)
    await house.hass.async_block_till_done()
    return house


@pytest.fixture
async def clip_house(nvr_house: House) -> House:
    """A house with a sleeping camera that recorded one event."""
    camera = await nvr_house.claimed()
    camera.trigger_motion(1.0)
    await nvr_house.wait_until(
        lambda: (
            (event := nvr_house.nvr.recordings.last_event(camera.id)) is not None
            and event.state == "ready"
        )
    )
    await camera.wait_state("asleep")
    await nvr_house.wait_until(lambda: nvr_house.camera().session is None)
    return nvr_house


async def token_of(hass: HomeAssistant, policy: dict[str, Any]) -> str:
    """Return the access token of a new user with some rights."""
    user = MockUser(id=f"user-{len(policy)}").add_to_hass(hass)
    user.mock_policy(policy)
    user.credentials.append(
        Credentials(
            id="somebody",
            auth_provider_type="homeassistant",
            auth_provider_id=None,
            data={"username": "somebody"},
            is_new=False,
        )
    )
    refresh = await hass.auth.async_create_refresh_token(
        user, CLIENT_ID, credential=user.credentials[0]
    )
    return hass.auth.async_create_access_token(refresh)
