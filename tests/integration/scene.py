"""A Home Assistant with the NVR and cameras that speak the protocol over real sockets."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, patch

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.magicpi_nvr.const import (
    CONF_ID,
    CONF_RETENTION_DAYS,
    DOMAIN,
    NAME,
    SECTION_NETWORK,
    SECTION_STORAGE,
)
from custom_components.magicpi_nvr.gateway import Camera, SetupClient
from custom_components.magicpi_nvr.nvr import DATA_NVR, Nvr
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_PORT, EVENT_STATE_CHANGED, STATE_UNAVAILABLE
from homeassistant.core import (
    Event,
    EventStateChangedData,
    HomeAssistant,
    State,
    callback,
)
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.device_registry import format_mac
from homeassistant.setup import async_setup_component
from virtual_camera import VirtualCamera

TIMEOUT = 15.0


@dataclass
class Scene:
    """The NVR's entry, and the cameras that were claimed with their entries."""

    hass: HomeAssistant
    port: int
    entry: MockConfigEntry
    cameras: list[VirtualCamera] = field(default_factory=list)

    @property
    def nvr(self) -> Nvr:
        """The shared NVR."""
        nvr = self.hass.data[DATA_NVR]
        assert isinstance(nvr, Nvr)
        return nvr

    async def set_up(self) -> None:
        """Set up the NVR."""
        assert await async_setup_component(self.hass, "homeassistant", {})
        self.entry.add_to_hass(self.hass)
        assert await self.hass.config_entries.async_setup(self.entry.entry_id)
        await self.hass.async_block_till_done()
        assert self.entry.state is ConfigEntryState.LOADED

    async def add_camera(
        self, name: str = "Porch", *, keep_on: bool = False, **options: Any
    ) -> Actor:
        """Claim a camera over HTTP, register it over TLS, and set up its entry."""
        options = {"wifi_s": 0.01, "linger_s": 0.05} | options
        virtual = VirtualCamera(always_on=keep_on, **options)
        self.cameras.append(virtual)
        await virtual.start()
        await virtual.wait_event("setup_opened")
        gateway = self.nvr.gateway
        token = gateway.issue_token(virtual.id, data={})
        await SetupClient(
            async_get_clientsession(self.hass), "127.0.0.1", virtual.setup_port
        ).claim(
            virtual.setup_code,
            gateway.bundle(token=token, name=name, hosts=["127.0.0.1"]),
        )
        async with asyncio.timeout(TIMEOUT):
            camera = await gateway.wait_registered(virtual.id)
        entry = MockConfigEntry(
            domain=DOMAIN,
            title=name,
            unique_id=format_mac(virtual.id),
            data={CONF_ID: virtual.id},
        )
        entry.add_to_hass(self.hass)
        assert await self.hass.config_entries.async_setup(entry.entry_id)
        await self.hass.async_block_till_done()
        assert entry.state is ConfigEntryState.LOADED
        return Actor(self, entry, virtual, camera)

    def unavailable(self) -> list[str]:
        """Return the entities that are not available."""
        return [
            state.entity_id
            for state in self.hass.states.async_all()
            if state.state == STATE_UNAVAILABLE
        ]

    def state(self, platform: str, key: str) -> State:
        """Return the state of an entity of the NVR."""
        return _state(self.hass, platform, f"{DOMAIN}-{key}")

    def entity_id(self, platform: str, key: str) -> str:
        """Return the id of an entity of the NVR."""
        return _entity_id(self.hass, platform, f"{DOMAIN}-{key}")

    async def wait(
        self, condition: Callable[[], bool], what: str = "the condition"
    ) -> None:
        """Return when a condition on states holds."""
        changed = asyncio.Event()

        @callback
        def note(_event: Event[EventStateChangedData]) -> None:
            changed.set()

        unsubscribe = self.hass.bus.async_listen(EVENT_STATE_CHANGED, note)
        try:
            async with asyncio.timeout(TIMEOUT):
                while not condition():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            raise TimeoutError(f"{what} did not come about") from None
        finally:
            unsubscribe()

    async def call(self, platform: str, action: str, **data: Any) -> None:
        """Call an action and wait for it."""
        await self.hass.services.async_call(platform, action, data, blocking=True)


@dataclass
class Actor:
    """One camera seen from all sides: its entry, itself, and what the gateway knows of it."""

    scene: Scene
    entry: MockConfigEntry
    virtual: VirtualCamera
    camera: Camera

    def entity_id(self, platform: str, key: str) -> str:
        """Return the id of one of the camera's entities."""
        return _entity_id(self.scene.hass, platform, f"{self.entry.unique_id}-{key}")

    def state(self, platform: str, key: str) -> State:
        """Return the state of one of the camera's entities."""
        return _state(self.scene.hass, platform, f"{self.entry.unique_id}-{key}")

    async def status(self, *wanted: str) -> None:
        """Wait for the status sensor."""
        await self.scene.wait(
            lambda: self.state("sensor", "status").state in wanted,
            f"status {' or '.join(wanted)}",
        )

    async def sleep(self) -> None:
        """Wait until the camera sleeps and Home Assistant knows."""
        await self.virtual.wait_state("asleep")
        await self.status("asleep")

    async def wake(self) -> None:
        """Wake the camera by its button and wait until Home Assistant has answered."""
        mark = self.virtual.mark()
        self.virtual.press_button()
        await self.virtual.wait_event("welcome", after=mark)

    async def nap(self) -> None:
        """Wake the camera and let it go back to sleep."""
        await self.wake()
        await self.sleep()


def _entity_id(hass: HomeAssistant, platform: str, unique_id: str) -> str:
    entity_id = er.async_get(hass).async_get_entity_id(platform, DOMAIN, unique_id)
    assert entity_id, f"{platform} {unique_id} does not exist"
    return entity_id


def _state(hass: HomeAssistant, platform: str, unique_id: str) -> State:
    state = hass.states.get(_entity_id(hass, platform, unique_id))
    assert state, f"{platform} {unique_id} has no state"
    return state


@dataclass
class Writes:
    """State changes since it was made, by entity id."""

    counts: dict[str, int] = field(default_factory=dict)

    @callback
    def note(self, event: Event[EventStateChangedData]) -> None:
        """Count a change."""
        entity_id = event.data["entity_id"]
        self.counts[entity_id] = self.counts.get(entity_id, 0) + 1


def make_scene(hass: HomeAssistant, port: int, media: Path) -> Scene:
    """Prepare a scene on a port with a folder for recordings."""
    hass.config.media_dirs = {"local": str(media)}
    return Scene(
        hass,
        port,
        MockConfigEntry(
            domain=DOMAIN,
            title=NAME,
            unique_id=DOMAIN,
            options={
                SECTION_NETWORK: {CONF_PORT: port},
                SECTION_STORAGE: {CONF_RETENTION_DAYS: 7},
            },
        ),
    )


@pytest.fixture
def writes(hass: HomeAssistant) -> Writes:
    """Count state changes from here on."""
    counter = Writes()
    hass.bus.async_listen(EVENT_STATE_CHANGED, counter.note)
    return counter


@pytest.fixture
def no_browser() -> Generator[None]:
    """Look for no other gateway: the zeroconf of these tests is a mock."""
    with patch(
        "custom_components.magicpi_nvr.nvr.announcement.AsyncServiceBrowser",
        return_value=AsyncMock(),
    ):
        yield


@pytest.fixture
def patient() -> Generator[None]:
    """Have set-up wait until the storage is open, however busy the machine is."""
    with patch("custom_components.magicpi_nvr.nvr.recordings.PATIENCE_S", 60.0):
        yield


@pytest.fixture
async def scene(
    hass: HomeAssistant,
    socket_enabled: None,
    mock_async_zeroconf: Any,
    no_browser: None,
    patient: None,
    unused_tcp_port: int,
    tmp_path: Path,
) -> AsyncGenerator[Scene]:
    """Set up the NVR; cameras come by `add_camera`, and leave by themselves at the end."""
    scene = make_scene(hass, unused_tcp_port, tmp_path / "media")
    await scene.set_up()
    yield scene
    for virtual in scene.cameras:
        await virtual.stop()
    await hass.async_block_till_done()


@pytest.fixture
def everything_enabled() -> Generator[None]:
    """Enable the entities too that are disabled by default."""
    with patch(
        "homeassistant.helpers.entity.Entity.entity_registry_enabled_default",
        return_value=True,
    ):
        yield
