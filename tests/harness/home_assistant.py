"""Home Assistant in this process with the NVR, and virtual cameras that speak the protocol over real sockets."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, patch

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
    CONF_ID,
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
from custom_components.magicpi_nvr.gateway import Camera, SetupClient
from custom_components.magicpi_nvr.nvr import DATA_NVR, Nvr
from custom_components.magicpi_nvr.recording import Event as RecordedEvent
from homeassistant.auth.models import Credentials
from homeassistant.config_entries import (
    SOURCE_REAUTH,
    SOURCE_USER,
    ConfigEntry,
    ConfigEntryState,
    ConfigFlowResult,
)
from homeassistant.const import (
    CONF_HOST,
    CONF_NAME,
    CONF_PORT,
    EVENT_STATE_CHANGED,
    STATE_UNAVAILABLE,
)
from homeassistant.core import (
    Event,
    EventStateChangedData,
    HomeAssistant,
    State,
    callback,
)
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.device_registry import format_mac
from homeassistant.setup import async_setup_component
from virtual_camera import LoopSource, VirtualCamera

from .waiting import until

CAMERA_ID = "AA:BB:CC:DD:EE:01"
SETUP_CODE = "7K3M-Q9XD-2F5T-HW8R"
TIMEOUT = 15.0


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
class Installation:
    """A Home Assistant with the NVR, and the cameras around it."""

    hass: HomeAssistant
    port: int
    media: Path
    cameras: list[VirtualCamera] = field(default_factory=list)

    @property
    def nvr(self) -> Nvr:
        """The shared NVR."""
        return self.hass.data[DATA_NVR]

    @property
    def nvr_entry(self) -> ConfigEntry[Any]:
        """The NVR's entry."""
        entry = self.hass.config_entries.async_entry_for_domain_unique_id(
            DOMAIN, DOMAIN
        )
        assert entry
        return entry

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
        return _entity_id(self.hass, platform, f"{format_mac(camera_id)}-{key}")

    def state(self, platform: str, key: str, camera_id: str = CAMERA_ID) -> State:
        """Return the state of a camera's entity."""
        return _state(self.hass, self.entity_id(platform, key, camera_id))

    def nvr_entity_id(self, platform: str, key: str) -> str:
        """Return the id of an entity of the NVR."""
        return _entity_id(self.hass, platform, f"{DOMAIN}-{key}")

    def nvr_state(self, platform: str, key: str) -> State:
        """Return the state of an entity of the NVR."""
        return _state(self.hass, self.nvr_entity_id(platform, key))

    def unavailable(self) -> list[str]:
        """Return the entities that are not available."""
        return [
            state.entity_id
            for state in self.hass.states.async_all()
            if state.state == STATE_UNAVAILABLE
        ]

    def add_nvr_entry(
        self, sections: dict[str, Any] | None = None, **network: Any
    ) -> MockConfigEntry:
        """Add the NVR's entry, so that its port is free and its address is ours."""
        entry = MockConfigEntry(
            domain=DOMAIN,
            unique_id=DOMAIN,
            title=NAME,
            options={**nvr_options(self.port, **network), **(sections or {})},
        )
        entry.add_to_hass(self.hass)
        return entry

    async def set_up(self, **sections: Any) -> None:
        """Add the NVR's entry, some of its options replaced, and set it up."""
        assert await async_setup_component(self.hass, "homeassistant", {})
        entry = self.add_nvr_entry(sections)
        assert await self.hass.config_entries.async_setup(entry.entry_id)
        await self.hass.async_block_till_done()
        assert entry.state is ConfigEntryState.LOADED

    async def tear_down(self) -> None:
        """Switch the cameras off, then unload all entries."""
        for camera in self.cameras:
            await camera.stop()
        for entry in self.hass.config_entries.async_entries(DOMAIN):
            if entry.state.recoverable:
                await self.hass.config_entries.async_unload(entry.entry_id)
        await self.hass.async_block_till_done()

    async def wait_until(self, condition: Callable[[], object]) -> None:
        """Return when something holds that no event tells of."""
        await until(condition)

    async def wait_for_states(
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

    async def add_camera(
        self, name: str = "Porch", *, keep_on: bool = False, **options: Any
    ) -> ClaimedCamera:
        """Claim a camera without the dialog, register it over TLS, and set up its entry."""
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
        return ClaimedCamera(self, entry, virtual, camera)


@dataclass
class ClaimedCamera:
    """One camera seen from all sides: its entry, itself, and what the gateway knows of it."""

    installation: Installation
    entry: MockConfigEntry
    virtual: VirtualCamera
    gateway_camera: Camera

    def entity_id(self, platform: str, key: str) -> str:
        """Return the id of one of the camera's entities."""
        return _entity_id(
            self.installation.hass, platform, f"{self.entry.unique_id}-{key}"
        )

    def state(self, platform: str, key: str) -> State:
        """Return the state of one of the camera's entities."""
        return _state(self.installation.hass, self.entity_id(platform, key))

    async def status(self, *wanted: str) -> None:
        """Wait for the status sensor."""
        await self.installation.wait_for_states(
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

    async def be_late(self) -> None:
        """Let the camera's next check-in be long over."""
        self.gateway_camera.presence._late_at = 0.0
        self.gateway_camera.tick()
        await self.status("late")

    async def nap(self) -> None:
        """Wake the camera and let it go back to sleep."""
        await self.wake()
        await self.sleep()


def _entity_id(hass: HomeAssistant, platform: str, unique_id: str) -> str:
    entity_id = er.async_get(hass).async_get_entity_id(platform, DOMAIN, unique_id)
    assert entity_id, f"{platform} {unique_id} does not exist"
    return entity_id


def _state(hass: HomeAssistant, entity_id: str) -> State:
    state = hass.states.get(entity_id)
    assert state, f"{entity_id} has no state"
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


def make_installation(hass: HomeAssistant, port: int, media: Path) -> Installation:
    """Prepare an installation on a port with a folder for recordings."""
    media.mkdir(exist_ok=True)
    hass.config.media_dirs = {"local": str(media)}
    hass.config.allowlist_external_dirs = {str(media)}
    return Installation(hass, port, media)


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
def everything_enabled() -> Generator[None]:
    """Enable the entities too that are disabled by default."""
    with patch(
        "homeassistant.helpers.entity.Entity.entity_registry_enabled_default",
        return_value=True,
    ):
        yield


@pytest.fixture
async def bare_installation(
    socket_enabled: None,
    hass: HomeAssistant,
    mock_async_zeroconf: None,
    no_browser: None,
    patient: None,
    unused_tcp_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncGenerator[Installation]:
    """Home Assistant without the NVR's entry, and without cameras."""
    # The test plugin's folder is one for all tests, and for those that run beside them
    monkeypatch.setattr(
        "custom_components.magicpi_nvr.nvr.steps.STORAGE_DIR", str(tmp_path / "storage")
    )
    assert await async_setup_component(hass, "http", {})
    installation = make_installation(hass, unused_tcp_port, tmp_path / "media")
    yield installation
    await installation.tear_down()


@pytest.fixture
async def installation(bare_installation: Installation) -> Installation:
    """Home Assistant with a running NVR, without cameras."""
    await bare_installation.set_up()
    return bare_installation


@pytest.fixture
async def camera(installation: Installation) -> VirtualCamera:
    """A camera that was claimed as a person does, and is connected."""
    return await installation.claimed()


@pytest.fixture
async def clip(installation: Installation, camera: VirtualCamera) -> RecordedEvent:
    """An event that the camera recorded; the camera sleeps."""
    camera.trigger_motion(1.0)
    recordings = installation.nvr.recordings
    await installation.wait_until(
        lambda: (
            (event := recordings.last_event(camera.id)) is not None
            and event.state == "ready"
        )
    )
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    event = recordings.last_event(camera.id)
    assert event
    return event
