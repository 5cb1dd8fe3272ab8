"""The config flow, each branch, against cameras that answer for real."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
import socket
from typing import Any
from unittest.mock import patch

from aiohttp import web
import pytest
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.magicpi_nvr.address import split_address, typed_address
from custom_components.magicpi_nvr.const import (
    CONF_CLEANUP,
    CONF_CLEANUP_TIME,
    CONF_DETECTION,
    CONF_HOSTS,
    CONF_PERSON_SCORE,
    CONF_RETENTION_DAYS,
    CONF_RETENTION_SIZE,
    CONF_SETUP_CODE,
    CONF_TIME_STAMP,
    DOMAIN,
    NAME,
    SECTION_ADVANCED,
    SECTION_NETWORK,
    SECTION_STORAGE,
    SECTION_VISION,
)
from custom_components.magicpi_nvr.gateway import RegistrationExpired, SetupClient
from custom_components.magicpi_nvr.nvr import async_get_nvr
from custom_components.magicpi_nvr.nvr.entries import Entries
from custom_components.magicpi_nvr.options import NvrOptions
from homeassistant.config_entries import (
    SOURCE_IGNORE,
    SOURCE_IMPORT,
    SOURCE_REAUTH,
    SOURCE_RECONFIGURE,
    SOURCE_SYSTEM,
    SOURCE_USER,
    SOURCE_ZEROCONF,
    ConfigEntryDisabler,
    ConfigEntryState,
    ConfigFlowResult,
)
from homeassistant.const import CONF_HOST, CONF_NAME, CONF_PORT
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType, UnknownFlow
from homeassistant.helpers import device_registry as dr, issue_registry as ir
from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo
from homeassistant.setup import async_setup_component
from tests.harness.home_assistant import (
    CAMERA_ID,
    SETUP_CODE,
    Installation,
    nvr_options,
)
from virtual_camera import VirtualCamera

OTHER_ID = "AA:BB:CC:DD:EE:02"
NONCE = "AAAAAAAAAAAAAAAAAAAAAA"


def advertised(
    port: int, camera_id: str = CAMERA_ID, **properties: str
) -> ZeroconfServiceInfo:
    """Return what zeroconf finds of a camera in setup mode."""
    address = ip_address("127.0.0.1")
    return ZeroconfServiceInfo(
        ip_address=address,
        ip_addresses=[ip_address("fe80::1"), address],
        port=port,
        hostname="magicpi.local.",
        type="_magicpi-cam._tcp.local.",
        name="magicpi._magicpi-cam._tcp.local.",
        properties={"id": camera_id, "model": "Virtual", "fw": "1.0", "proto": "1"}
        | properties,
    )


async def discover(
    hass: HomeAssistant, port: int, camera_id: str = CAMERA_ID, **properties: str
) -> ConfigFlowResult:
    """Let zeroconf find a camera."""
    return await hass.config_entries.flow.async_init(
        DOMAIN,
        context={"source": SOURCE_ZEROCONF},
        data=advertised(port, camera_id, **properties),
    )


async def configure(
    hass: HomeAssistant, result: ConfigFlowResult, data: dict[str, Any] | None = None
) -> ConfigFlowResult:
    """Submit a form of a config flow."""
    return await hass.config_entries.flow.async_configure(result["flow_id"], data)


async def claim_form(
    installation: Installation, camera: VirtualCamera
) -> ConfigFlowResult:
    """Return the form that asks for a camera's code."""
    result = await discover(installation.hass, camera.setup_port)
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "claim"
    return result


CODE = {CONF_SETUP_CODE: SETUP_CODE, CONF_NAME: "Front door"}


def fake_camera(
    *, post: int = 204, get: int = 200, camera_id: str = CAMERA_ID
) -> web.Application:
    """Return a device that answers as the test says and never registers."""

    async def info(request: web.Request) -> web.Response:
        return web.json_response(
            {
                "id": camera_id,
                "model": "Fake",
                "fw": "1",
                "proto": 1,
                "nonce": NONCE,
                "caps": {},
            },
            status=get,
        )

    async def claim(request: web.Request) -> web.Response:
        return web.Response(status=post)

    app = web.Application()
    app.add_routes([web.get("/setup", info), web.post("/setup", claim)])
    return app


# ---- claiming ----


async def test_discovered(
    bare_installation: Installation,
    hass: HomeAssistant,
    hass_client_no_auth: ClientSessionGenerator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A found camera takes its code and a name; the NVR's entry makes itself."""
    monkeypatch.setattr(
        Entries,
        "options",
        property(
            lambda _: NvrOptions.from_mapping(nvr_options(bare_installation.port))
        ),
    )
    camera = await bare_installation.switch_on()
    port = camera.setup_port
    result = await discover(hass, port)
    assert result["step_id"] == "claim"
    assert result["description_placeholders"]["model"] == "Virtual"
    flow = hass.config_entries.flow.async_progress()[0]
    assert flow["context"]["title_placeholders"] == {"name": "Virtual EE:01"}

    result = await configure(hass, result, CODE)
    assert result["type"] is FlowResultType.SHOW_PROGRESS
    assert result["progress_action"] == "wait_for_camera"
    assert result["description_placeholders"] == {
        "name": "Front door",
        "hosts": "127.0.0.1",
        "port": str(bare_installation.port),
        "minutes": "3",
    }
    await hass.async_block_till_done()
    result = await configure(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["title"] == "Front door"
    # With what the camera sees
    assert result["description"] == "claimed"
    picture = result["description_placeholders"]["picture"]
    answer = await (await hass_client_no_auth()).get(picture)
    assert answer.status == 200
    assert (await answer.read()).startswith(b"\xff\xd8")
    assert result["data"] == {
        "id": CAMERA_ID,
        "host": f"127.0.0.1:{port}",
        "model": "Virtual",
    }
    await hass.async_block_till_done()
    entries = {
        entry.unique_id: entry for entry in hass.config_entries.async_entries(DOMAIN)
    }
    assert entries.keys() == {"aa:bb:cc:dd:ee:01", DOMAIN}
    assert entries[DOMAIN].title == NAME
    assert all(entry.state is ConfigEntryState.LOADED for entry in entries.values())

    registry = dr.async_get(hass)
    device = registry.async_get_device_by_identifier(
        (DOMAIN, CAMERA_ID), bare_installation.entry().entry_id
    )
    above = registry.async_get_device_by_identifier(
        (DOMAIN, DOMAIN), entries[DOMAIN].entry_id
    )
    assert device.via_device_id == above.id
    assert (dr.CONNECTION_NETWORK_MAC, "aa:bb:cc:dd:ee:01") in device.connections
    assert camera.flash.bundle["name"] == "Front door"


LINK = "https://my.home-assistant.io/redirect/config_flow_start/?domain=magicpi_nvr#"


async def test_link_of_the_qr_code(
    installation: Installation, hass: HomeAssistant
) -> None:
    """The link from the setup page goes where the code goes; another camera's is refused."""
    camera = await installation.switch_on()
    result = await discover(hass, camera.setup_port)
    fields = [str(field) for field in result["data_schema"].schema]
    assert CONF_NAME not in fields, "Home Assistant's last page asks for it"
    assert (
        result["description_placeholders"]["setup_page"]
        == f"http://127.0.0.1:{camera.setup_port}"
    )
    other = {CONF_SETUP_CODE: f"{LINK}{CAMERA_ID[:-1]}9/{camera.setup_code}"}
    result = await configure(hass, result, other)
    assert result["errors"] == {CONF_SETUP_CODE: "wrong_camera"}
    own = {CONF_SETUP_CODE: f" {LINK}{CAMERA_ID.lower()}/{camera.setup_code} "}
    result = await configure(hass, result, own)
    assert result["type"] is FlowResultType.SHOW_PROGRESS
    await hass.async_block_till_done()
    result = await configure(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["title"] == "Virtual EE:01"


async def test_link_instead_of_an_address(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Where the camera was found, its link is enough: the code is filled in."""
    camera = await installation.switch_on()
    await discover(hass, camera.setup_port)
    result = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_USER}
    )
    result = await configure(
        hass, result, {CONF_HOST: f"{LINK}{CAMERA_ID}/{camera.setup_code}"}
    )
    assert result["step_id"] == "claim"
    (field,) = [
        field for field in result["data_schema"].schema if str(field) == CONF_SETUP_CODE
    ]
    assert field.description == {"suggested_value": camera.setup_code}


async def test_name_of_the_last_page(
    installation: Installation, hass: HomeAssistant
) -> None:
    """The name that Home Assistant asks for is the camera's; a later change of the entry wins again."""
    await installation.claimed()
    registry = dr.async_get(hass)
    entry = installation.entry()
    device = registry.async_get_device_by_identifier(
        (DOMAIN, CAMERA_ID), entry.entry_id
    )
    assert device
    registry.async_update_device(device.id, name_by_user="Gate")
    await hass.async_block_till_done()
    assert entry.title == "Gate"
    assert installation.nvr.entries.name(CAMERA_ID) == "Gate"
    result = await installation.start_flow(SOURCE_RECONFIGURE, entry.unique_id)
    result = await configure(hass, result, {"next_step_id": "change"})
    address = {CONF_NAME: "Garden", CONF_HOST: "127.0.0.1"}
    await configure(hass, result, address)
    await hass.async_block_till_done()
    device = registry.async_get(device.id)
    assert device
    assert (device.name_by_user or device.name) == "Garden"


async def test_address_by_hand(installation: Installation, hass: HomeAssistant) -> None:
    """A camera is claimed by its address; found ones are suggested, mistakes are reported."""
    camera = await installation.switch_on()
    plain = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_USER}
    )
    assert plain["step_id"] == "user"
    found = await discover(hass, camera.setup_port)
    result = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_USER}
    )
    selector = result["data_schema"].schema[CONF_HOST]
    address = f"127.0.0.1:{camera.setup_port}"
    assert selector.config["options"] == [{"value": address, "label": "Virtual EE:01"}]
    for nonsense in ("not an address", "camera:99999", "camera/path", ""):
        result = await configure(hass, result, {CONF_HOST: nonsense})
        assert result["errors"] == {CONF_HOST: "cannot_connect"}
    result = await configure(hass, result, {CONF_HOST: f"http://{address}/"})
    assert result["step_id"] == "claim"
    # Somebody who begins by hand may go on although the camera's card is there
    assert found["flow_id"] != result["flow_id"]
    result = await configure(hass, result, CODE)
    await hass.async_block_till_done()
    result = await configure(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    assert len(hass.config_entries.async_entries(DOMAIN)) == 2
    # The card is gone, the other dialog says that there is nothing to do
    assert [flow["flow_id"] for flow in hass.config_entries.flow.async_progress()] == [
        plain["flow_id"]
    ]
    again = await configure(hass, plain, {CONF_HOST: address})
    assert again["errors"] == {CONF_HOST: "cannot_connect"}


async def test_address_of_known_camera(
    installation: Installation, hass: HomeAssistant, device: Any
) -> None:
    """A camera that is set up already is not set up twice; its address is followed."""
    await installation.claimed()
    port = await device(fake_camera())
    result = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_USER}
    )
    result = await configure(hass, result, {CONF_HOST: f"127.0.0.1:{port}"})
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"
    assert installation.entry().data[CONF_HOST] == f"127.0.0.1:{port}"


@pytest.mark.parametrize(
    "properties",
    [{"id": "nobody"}, {"id": ""}, {"proto": "2"}, {"proto": ""}],
)
async def test_discovered_is_no_camera(
    hass: HomeAssistant, mock_async_zeroconf: None, properties: dict[str, str]
) -> None:
    """A device that speaks another protocol is no camera."""
    result = await discover(hass, 80, **properties)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "not_a_camera"


async def test_wrong_codes(installation: Installation, hass: HomeAssistant) -> None:
    """Each wrong code is reported as what it is, and the right one still works after the pause."""
    camera = await installation.switch_on(lockout_s=2)
    result = await claim_form(installation, camera)
    result = await configure(hass, result, CODE | {CONF_SETUP_CODE: "1234"})
    assert result["errors"] == {CONF_SETUP_CODE: "invalid_code"}
    wrong = CODE | {CONF_SETUP_CODE: "0000-0000-0000-0000"}
    for _ in range(5):
        result = await configure(hass, result, wrong)
        assert result["errors"] == {CONF_SETUP_CODE: "wrong_code"}
    result = await configure(hass, result, wrong)
    assert result["errors"] == {"base": "too_many_tries"}
    async with asyncio.timeout(10):
        while result["type"] is not FlowResultType.SHOW_PROGRESS:
            result = await configure(hass, result, CODE)
    await hass.async_block_till_done()
    result = await configure(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"post": 409}, "already_claimed"),
        ({"post": 410}, "cannot_connect"),
        ({"post": 500}, "not_a_camera"),
        ({"get": 404}, "not_a_camera"),
        ({"camera_id": OTHER_ID}, "wrong_camera"),
    ],
)
async def test_refusals(
    installation: Installation,
    hass: HomeAssistant,
    device: Any,
    answers: dict[str, Any],
    error: str,
) -> None:
    """What a camera refuses is reported."""
    result = await discover(hass, await device(fake_camera(**answers)))
    result = await configure(hass, result, CODE)
    assert result["type"] is FlowResultType.FORM
    assert result["errors"] == {"base": error}
    hass.config_entries.flow.async_abort(result["flow_id"])


async def test_nobody_answers(
    installation: Installation,
    hass: HomeAssistant,
    unused_tcp_port_factory: Callable[[], int],
) -> None:
    """A camera that is gone is reported."""
    result = await discover(hass, unused_tcp_port_factory())
    result = await configure(hass, result, CODE)
    assert result["errors"] == {"base": "cannot_connect"}


async def test_limit_of_cameras(
    bare_installation: Installation, hass: HomeAssistant
) -> None:
    """No more cameras than the options say."""
    entry = bare_installation.add_nvr_entry()
    options = nvr_options(bare_installation.port)
    options["cameras"]["max_cameras"] = 1
    hass.config_entries.async_update_entry(entry, options=options)
    await hass.config_entries.async_setup(entry.entry_id)
    await bare_installation.claimed()
    camera = await bare_installation.switch_on(OTHER_ID)
    result = await discover(hass, camera.setup_port, OTHER_ID)
    result = await configure(hass, result, CODE)
    assert result["errors"] == {"base": "camera_limit"}


async def test_storage_unavailable(
    bare_installation: Installation, hass: HomeAssistant
) -> None:
    """A camera is not claimed while nothing could be recorded."""
    bare_installation.add_nvr_entry()
    recordings = bare_installation.media / DOMAIN
    recordings.write_text("no folder")
    camera = await bare_installation.switch_on()
    result = await claim_form(bare_installation, camera)
    result = await configure(hass, result, CODE)
    assert result["errors"] == {"base": "storage_unavailable"}
    recordings.unlink()
    result = await configure(hass, result, CODE)
    assert result["type"] is FlowResultType.SHOW_PROGRESS
    await hass.async_block_till_done()
    result = await configure(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_port_in_use(
    bare_installation: Installation, hass: HomeAssistant
) -> None:
    """A camera is not claimed while it could not reach Home Assistant."""
    bare_installation.add_nvr_entry()
    with socket.create_server(("127.0.0.1", bare_installation.port)):
        camera = await bare_installation.switch_on()
        result = await claim_form(bare_installation, camera)
        result = await configure(hass, result, CODE)
        assert result["errors"] == {"base": "port_in_use"}
        assert result["description_placeholders"]["port"] == str(bare_installation.port)
    result = await configure(hass, result, CODE)
    assert result["type"] is FlowResultType.SHOW_PROGRESS
    await hass.async_block_till_done()
    result = await configure(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()


async def test_camera_does_not_register(
    installation: Installation, hass: HomeAssistant, device: Any
) -> None:
    """Who waits in vain reads what to look at, and may try again."""
    result = await discover(hass, await device(fake_camera()))
    with patch(
        "custom_components.magicpi_nvr.claiming.REGISTRATION_TIMEOUT",
        timedelta(seconds=0.01),
    ):
        result = await configure(hass, result, CODE)
        await hass.async_block_till_done()
        result = await configure(hass, result)
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "not_registered"
    assert result["description_placeholders"]["port"] == str(installation.port)
    result = await configure(hass, result, {})
    assert result["step_id"] == "claim"
    assert not result["errors"]


async def test_dialog_closed_while_waiting(
    installation: Installation, hass: HomeAssistant, device: Any
) -> None:
    """The token of a claim that was given up is worth nothing."""
    result = await discover(hass, await device(fake_camera()))
    result = await configure(hass, result, CODE)
    assert result["type"] is FlowResultType.SHOW_PROGRESS
    waiting = hass.async_create_task(
        installation.nvr.gateway.wait_registered(CAMERA_ID)
    )
    hass.config_entries.flow.async_abort(result["flow_id"])
    async with asyncio.timeout(5):
        with pytest.raises(RegistrationExpired):
            await waiting
    await hass.async_block_till_done()
    assert not installation.nvr.gateway.cameras
    assert len(hass.config_entries.async_entries(DOMAIN)) == 1


async def test_dialog_closed_after_registration(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A camera that has registered gets its entry, dialog or not."""
    camera = await installation.switch_on()
    result = await configure(hass, await claim_form(installation, camera), CODE)
    assert result["type"] is FlowResultType.SHOW_PROGRESS
    await camera.wait_event("welcome")
    await hass.async_block_till_done()
    hass.config_entries.flow.async_abort(result["flow_id"])
    await hass.async_block_till_done()
    assert installation.entry().state is ConfigEntryState.LOADED
    assert installation.entry().title == "Front door"


async def test_dialog_closed_while_the_camera_answers(
    installation: Installation, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim that was withdrawn before its answer came lets nobody register."""
    camera = await installation.switch_on()
    result = await claim_form(installation, camera)
    asked, answer = asyncio.Event(), asyncio.Event()
    claim = SetupClient.claim

    async def slow(self: SetupClient, *args: Any) -> None:
        asked.set()
        await answer.wait()
        await claim(self, *args)

    monkeypatch.setattr(SetupClient, "claim", slow)
    dialog = asyncio.ensure_future(configure(hass, result, CODE))
    await asked.wait()
    mark = camera.mark()
    hass.config_entries.flow.async_abort(result["flow_id"])
    answer.set()
    with pytest.raises(UnknownFlow):
        await dialog
    await camera.wait_event("register_failed", after=mark)
    await hass.async_block_till_done()
    assert not installation.nvr.gateway.cameras
    assert len(hass.config_entries.async_entries(DOMAIN)) == 1
    # Nothing is left that keeps the next dialog from claiming it
    monkeypatch.setattr(SetupClient, "claim", claim)
    mark = camera.mark()
    camera.factory_reset()
    await camera.wait_event("setup_opened", after=mark)
    await installation.claim(camera)


async def test_dialog_closed_before_the_answer_of_a_registered_camera(
    installation: Installation, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera that was faster than its own answer gets its entry."""
    camera = await installation.switch_on()
    result = await claim_form(installation, camera)
    answer = asyncio.Event()
    claim = SetupClient.claim

    async def slow(self: SetupClient, *args: Any) -> None:
        await claim(self, *args)
        await answer.wait()

    monkeypatch.setattr(SetupClient, "claim", slow)
    dialog = asyncio.ensure_future(configure(hass, result, CODE))
    await camera.wait_event("welcome")
    hass.config_entries.flow.async_abort(result["flow_id"])
    answer.set()
    with pytest.raises(UnknownFlow):
        await dialog
    await hass.async_block_till_done()
    assert installation.entry().state is ConfigEntryState.LOADED
    assert installation.entry().title == "Front door"


async def test_dialog_closed_while_the_nvr_starts(
    bare_installation: Installation,
    hass: HomeAssistant,
    device: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was started for the claim is stopped again."""
    monkeypatch.setattr(
        Entries,
        "options",
        property(
            lambda _: NvrOptions.from_mapping(nvr_options(bare_installation.port))
        ),
    )
    result = await discover(hass, await device(fake_camera()))
    nvr = await async_get_nvr(hass)
    step = nvr.life.steps["announce"]
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(undo: AsyncExitStack) -> None:
        begun.set()
        await goes_on.wait()
        await step(undo)

    nvr.life.steps["announce"] = slow
    dialog = asyncio.ensure_future(configure(hass, result, CODE))
    await begun.wait()
    hass.config_entries.flow.async_abort(result["flow_id"])
    goes_on.set()
    with pytest.raises(UnknownFlow):
        await dialog
    await hass.async_block_till_done()
    assert not nvr.running
    assert not nvr.claiming


async def test_two_dialogs_for_one_id(
    installation: Installation, hass: HomeAssistant, device: Any
) -> None:
    """Two devices that show one id are not claimed at once, so that their names stay apart."""
    camera = await installation.switch_on()
    first = await discover(hass, await device(fake_camera()))
    first = await configure(hass, first, CODE)
    assert first["type"] is FlowResultType.SHOW_PROGRESS
    second = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_USER}
    )
    second = await configure(
        hass, second, {CONF_HOST: f"127.0.0.1:{camera.setup_port}"}
    )
    other = CODE | {CONF_NAME: "Back door"}
    refused = await configure(hass, second, other)
    assert refused["errors"] == {"base": "claim_in_progress"}
    hass.config_entries.flow.async_abort(first["flow_id"])
    second = await configure(hass, second, other)
    await camera.wait_event("welcome")
    await hass.async_block_till_done()
    second = await configure(hass, second)
    assert second["type"] is FlowResultType.CREATE_ENTRY
    assert second["title"] == "Back door"
    assert camera.flash.bundle["name"] == "Back door"
    await hass.async_block_till_done()


async def test_container_with_a_network_of_its_own(
    bare_installation: Installation,
    hass: HomeAssistant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The dialog of the first camera asks for the address, and all cameras get it."""
    options = Entries.options
    monkeypatch.setattr(
        Entries,
        "options",
        property(lambda self: replace(options.fget(self), port=bare_installation.port)),
    )
    ir.async_create_issue(
        hass,
        "network",
        "docker_host_network",
        is_fixable=False,
        severity=ir.IssueSeverity.WARNING,
        translation_key="docker_host_network",
    )
    camera = await bare_installation.switch_on()
    result = await claim_form(bare_installation, camera)
    assert CONF_HOSTS in result["data_schema"].schema
    result = await configure(hass, result, CODE | {CONF_HOSTS: ["not an address"]})
    assert result["errors"] == {CONF_HOSTS: "invalid_host"}
    result = await configure(hass, result, CODE | {CONF_HOSTS: ["127.0.0.1"]})
    assert result["description_placeholders"]["hosts"] == "127.0.0.1"
    await hass.async_block_till_done()
    result = await configure(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    assert camera.flash.bundle["gateway"]["hosts"] == ["127.0.0.1"]
    entry = bare_installation.nvr.entries.nvr
    assert entry
    assert entry.options[SECTION_NETWORK] == {CONF_HOSTS: ["127.0.0.1"]}
    assert await bare_installation.nvr.async_hosts(None) == ["127.0.0.1"]


@pytest.mark.parametrize(
    "camera_id", ["00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF", "01:00:5E:00:00:01"]
)
async def test_ids_of_no_single_device(
    installation: Installation, hass: HomeAssistant, device: Any, camera_id: str
) -> None:
    """An id that many devices could have is refused, found or typed."""
    port = await device(fake_camera(camera_id=camera_id))
    result = await discover(hass, port, camera_id)
    assert result["reason"] == "bad_id"
    result = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_USER}
    )
    result = await configure(hass, result, {CONF_HOST: f"127.0.0.1:{port}"})
    assert result["reason"] == "bad_id"


def test_typed_addresses() -> None:
    """Addresses work as people paste them, also a bare IPv6 address."""
    for text, parts in (
        ("2001:db8::5", ("2001:db8::5", 80)),
        ("[2001:db8::5]:8080", ("2001:db8::5", 8080)),
        (" http://camera.local/ ", ("camera.local", 80)),
        ("10.0.0.5:81", ("10.0.0.5", 81)),
    ):
        assert split_address(typed_address(text)) == parts


async def test_dialog_closed_without_nvr_entry(
    bare_installation: Installation,
    hass: HomeAssistant,
    device: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The port that was opened for a claim is closed with it."""
    monkeypatch.setattr(
        Entries,
        "options",
        property(
            lambda _: NvrOptions.from_mapping(nvr_options(bare_installation.port))
        ),
    )
    result = await discover(hass, await device(fake_camera()))
    result = await configure(hass, result, CODE)
    assert bare_installation.nvr.running
    hass.config_entries.flow.async_abort(result["flow_id"])
    await hass.async_block_till_done()
    assert not bare_installation.nvr.running
    socket.create_server(("127.0.0.1", bare_installation.port)).close()


# ---- what makes itself ----


async def test_nvr_entry_once(installation: Installation, hass: HomeAssistant) -> None:
    """There is one NVR."""
    result = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_SYSTEM}
    )
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"


async def test_import_once(installation: Installation, hass: HomeAssistant) -> None:
    """A camera that got its entry meanwhile gets no second one."""
    await installation.claimed()
    result = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_IMPORT}, data={"id": CAMERA_ID, "name": "x"}
    )
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"


async def test_ignored(hass: HomeAssistant, mock_async_zeroconf: None) -> None:
    """A camera that was ignored stays so, in setup mode too."""
    result = await discover(hass, 80)
    await hass.config_entries.flow.async_init(
        DOMAIN,
        context={"source": SOURCE_IGNORE},
        data={"unique_id": "aa:bb:cc:dd:ee:01", "title": "Virtual"},
    )
    assert result["flow_id"] not in {
        flow["flow_id"] for flow in hass.config_entries.flow.async_progress()
    }
    result = await discover(hass, 80)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"


# ---- known cameras ----


async def test_address_is_followed(
    installation: Installation,
    hass: HomeAssistant,
    unused_tcp_port_factory: Callable[[], int],
) -> None:
    """A known camera's new address is kept; one that is no longer there changes nothing else."""
    camera = await installation.claimed()
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    port = unused_tcp_port_factory()
    result = await discover(hass, port)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"
    assert installation.entry().data[CONF_HOST] == f"127.0.0.1:{port}"
    assert not hass.config_entries.flow.async_progress()


async def test_connected_camera_needs_no_claim(
    installation: Installation, hass: HomeAssistant, device: Any
) -> None:
    """Who pretends to be a camera that is connected gets nothing."""
    await installation.claimed(always_on=True)
    assert installation.camera().session
    await discover(hass, await device(fake_camera()))
    assert not hass.config_entries.flow.async_progress()


async def test_reset_camera_is_claimed_again(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A camera that lost its key is found, and goes on after a new claim."""
    camera = await installation.claimed()
    before = installation.camera()
    camera.factory_reset()
    await camera.wait_state("setup")
    await installation.wait_until(lambda: before.session is None)
    result = await discover(hass, camera.setup_port)
    assert result["reason"] == "already_configured"
    await hass.async_block_till_done()
    (flow,) = hass.config_entries.flow.async_progress()
    assert flow["context"]["source"] == SOURCE_REAUTH
    assert flow["step_id"] == "reauth_confirm"

    address = {CONF_HOST: f"127.0.0.1:{camera.setup_port}"}
    wrong = address | {CONF_SETUP_CODE: "0000-0000-0000-0000"}
    result = await configure(hass, flow, wrong)
    assert result["errors"] == {CONF_SETUP_CODE: "wrong_code"}
    result = await configure(hass, result, address | {CONF_SETUP_CODE: SETUP_CODE})
    assert result["type"] is FlowResultType.SHOW_PROGRESS
    await camera.wait_event("welcome", after=camera.mark() - 1)
    await hass.async_block_till_done()
    result = await configure(hass, result)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "reauth_successful"
    await hass.async_block_till_done()
    assert installation.entry().state is ConfigEntryState.LOADED
    assert installation.entry().title == "Front door"


async def test_reauth_in_vain(
    installation: Installation, hass: HomeAssistant, device: Any
) -> None:
    """A claim again that comes to nothing begins again."""
    await installation.claimed()
    result = await installation.start_flow(SOURCE_REAUTH, "aa:bb:cc:dd:ee:01")
    port = await device(fake_camera())
    with patch(
        "custom_components.magicpi_nvr.claiming.REGISTRATION_TIMEOUT",
        timedelta(seconds=0.01),
    ):
        result = await configure(
            hass,
            result,
            {CONF_HOST: f"127.0.0.1:{port}", CONF_SETUP_CODE: SETUP_CODE},
        )
        await hass.async_block_till_done()
        result = await configure(hass, result)
    assert result["step_id"] == "not_registered"
    result = await configure(hass, result, {})
    assert result["step_id"] == "reauth_confirm"


async def test_reauth_dialog_closed(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A camera that was claimed again goes on, dialog or not."""
    camera = await installation.claimed()
    camera.factory_reset()
    await camera.wait_state("setup")
    installation.entry().async_start_reauth(hass)
    await hass.async_block_till_done()
    (flow,) = hass.config_entries.flow.async_progress()
    mark = camera.mark()
    result = await configure(
        hass,
        flow,
        {
            CONF_HOST: f"127.0.0.1:{camera.setup_port}",
            CONF_SETUP_CODE: SETUP_CODE,
        },
    )
    await camera.wait_event("welcome", after=mark)
    await hass.async_block_till_done()
    hass.config_entries.flow.async_abort(result["flow_id"])
    await hass.async_block_till_done()
    assert installation.entry().state is ConfigEntryState.LOADED


async def test_stranger_at_known_address(
    installation: Installation, hass: HomeAssistant, device: Any
) -> None:
    """Another camera that answers where a known one was found starts nothing."""
    camera = await installation.claimed()
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    await discover(hass, await device(fake_camera(camera_id=OTHER_ID)))
    assert not hass.config_entries.flow.async_progress()


async def test_discovered_by_ipv6(
    hass: HomeAssistant, mock_async_zeroconf: None
) -> None:
    """A camera without an IPv4 address is offered too."""
    info = advertised(80)
    info.ip_address = ip_address("fd00::2")
    info.ip_addresses = [info.ip_address]
    result = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_ZEROCONF}, data=info
    )
    assert result["step_id"] == "claim"
    assert result["description_placeholders"]["host"] == "[fd00::2]"


@pytest.mark.parametrize("disabled", [False, True])
async def test_lost_registry(
    installation: Installation, hass: HomeAssistant, device: Any, disabled: bool
) -> None:
    """An entry whose key is gone asks for a claim, unless it is disabled."""
    await installation.claimed()
    entry = installation.entry()
    await installation.nvr.async_forget_camera(CAMERA_ID)
    if disabled:
        await hass.config_entries.async_set_disabled_by(
            entry.entry_id, ConfigEntryDisabler.USER
        )
        await discover(hass, await device(fake_camera()))
        assert not hass.config_entries.flow.async_progress()
        return
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.SETUP_ERROR
    (flow,) = hass.config_entries.flow.async_progress()
    assert flow["context"]["source"] == SOURCE_REAUTH


async def test_reconfigure(installation: Installation, hass: HomeAssistant) -> None:
    """A camera's name and address can be changed."""
    camera = await installation.claimed()
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    entry = installation.entry()
    result = await installation.start_flow(SOURCE_RECONFIGURE, entry.unique_id)
    assert result["step_id"] == "reconfigure"
    result = await configure(hass, result, {"next_step_id": "change"})
    assert result["step_id"] == "change"
    result = await configure(hass, result, {CONF_NAME: "Garden", CONF_HOST: "a b"})
    assert result["errors"] == {CONF_HOST: "invalid_host"}
    result = await configure(
        hass, result, {CONF_NAME: " Garden ", CONF_HOST: "fd00::2"}
    )
    assert result["reason"] == "reconfigure_successful"
    assert entry.data[CONF_HOST] == "[fd00::2]"
    result = await installation.start_flow(SOURCE_RECONFIGURE, entry.unique_id)
    result = await configure(hass, result, {"next_step_id": "change"})
    result = await configure(
        hass, result, {CONF_NAME: " Garden ", CONF_HOST: "[fd00::2]:81"}
    )
    assert result["reason"] == "reconfigure_successful"
    await hass.async_block_till_done()
    assert entry.title == "Garden"
    assert entry.data[CONF_HOST] == "[fd00::2]:81"
    assert installation.camera().name == "Garden"


async def test_reconfigure_nvr(installation: Installation, hass: HomeAssistant) -> None:
    """The NVR has options instead."""
    result = await installation.start_flow(SOURCE_RECONFIGURE, DOMAIN)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "no_settings"


# ---- options ----


async def test_camera_options(installation: Installation, hass: HomeAssistant) -> None:
    """A camera's recordings have limits of their own."""
    await installation.claimed()
    entry = installation.entry()
    flow = hass.config_entries.options
    result = await flow.async_init(entry.entry_id)
    assert result["step_id"] == "camera"
    result = await flow.async_configure(
        result["flow_id"],
        {CONF_RETENTION_DAYS: 3, CONF_RETENTION_SIZE: 2.5, CONF_TIME_STAMP: True},
    )
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    limits = installation.nvr.recordings.library.settings.cameras[CAMERA_ID]
    assert limits.days == 3
    assert limits.max_bytes == 2.5 * 1024**3
    assert installation.nvr.recordings.library.settings.time_stamps == {CAMERA_ID}
    # Empty fields are the NVR's limits again
    result = await flow.async_init(entry.entry_id)
    result = await flow.async_configure(result["flow_id"], {})
    await hass.async_block_till_done()
    limits = installation.nvr.recordings.library.settings.cameras[CAMERA_ID]
    assert limits.days is None
    assert limits.max_bytes is None
    assert not installation.nvr.recordings.library.settings.time_stamps


async def test_nvr_options(
    installation: Installation,
    hass: HomeAssistant,
    unused_tcp_port_factory: Callable[[], int],
) -> None:
    """The NVR's options are checked, and followed without a restart."""
    camera = await installation.claimed(always_on=True)
    entry = hass.config_entries.async_entry_for_domain_unique_id(DOMAIN, DOMAIN)
    flow = hass.config_entries.options
    result = await flow.async_init(entry.entry_id)
    assert result["step_id"] == "nvr"
    port = unused_tcp_port_factory()
    options = nvr_options(port)
    del options[SECTION_STORAGE][CONF_CLEANUP]
    bad = options | {SECTION_ADVANCED: {CONF_CLEANUP: "soon"}}
    result = await flow.async_configure(result["flow_id"], bad)
    assert result["errors"] == {"base": "invalid_cron"}
    bad = options | {SECTION_NETWORK: {CONF_PORT: port, CONF_HOSTS: ["a/b"]}}
    result = await flow.async_configure(result["flow_id"], bad)
    assert result["errors"] == {"base": "invalid_host"}
    options[SECTION_STORAGE][CONF_CLEANUP_TIME] = "04:30:00"
    options[SECTION_STORAGE][CONF_RETENTION_DAYS] = 30
    mark = camera.mark()
    camera.options.gateway = ("127.0.0.1", port)
    result = await flow.async_configure(result["flow_id"], options)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    assert installation.nvr.gateway.port == port
    assert installation.nvr.recordings.library.settings.retention_days == 30
    assert installation.nvr.options.cleanup == "30 4 * * *"
    # The camera finds the new port
    await camera.wait_event("welcome", after=mark)


@pytest.mark.parametrize(
    ("stored", "time", "cron"),
    [
        ("0 2 * * *", "02:00:00", None),
        ("30  3 * * *", "03:30:00", None),
        ("0 2 * * 1-5", "02:00:00", "0 2 * * 1-5"),
        ("*/15 * * * *", "02:00:00", "*/15 * * * *"),
        ("0 25 * * *", "02:00:00", "0 25 * * *"),
    ],
)
async def test_cleanup_as_it_was_stored(
    installation: Installation,
    hass: HomeAssistant,
    stored: str,
    time: str,
    cron: str | None,
) -> None:
    """A stored cron expression is shown as a time where it is one, and stays what it is otherwise."""
    await installation.claimed()
    entry = hass.config_entries.async_entry_for_domain_unique_id(DOMAIN, DOMAIN)
    storage = entry.options[SECTION_STORAGE] | {CONF_CLEANUP: stored}
    before = {**entry.options, SECTION_STORAGE: storage}
    hass.config_entries.async_update_entry(entry, options=before)
    flow = hass.config_entries.options
    result = await flow.async_init(entry.entry_id)
    sections = {str(key): value for key, value in result["data_schema"].schema.items()}
    suggested = {
        str(key): (key.description or {}).get("suggested_value")
        for name in (SECTION_STORAGE, SECTION_ADVANCED)
        for key in sections[name].schema.schema
    }
    assert suggested[CONF_CLEANUP_TIME] == time
    assert suggested[CONF_CLEANUP] == cron
    form = {**before, SECTION_STORAGE: storage | {CONF_CLEANUP_TIME: time}}
    del form[SECTION_STORAGE][CONF_CLEANUP]
    if cron:
        form[SECTION_ADVANCED] = {CONF_CLEANUP: cron}
    result = await flow.async_configure(result["flow_id"], form)
    if stored == "0 25 * * *":
        assert result["errors"] == {"base": "invalid_cron"}
        return
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    assert entry.options[SECTION_STORAGE][CONF_CLEANUP] == " ".join(stored.split())
    assert CONF_CLEANUP_TIME not in entry.options[SECTION_STORAGE]


def begun(fields: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what Home Assistant's page puts into a form at first; without all that is required it can't be sent."""
    data: dict[str, Any] = {}
    for field in fields:
        suggested = (field.get("description") or {}).get("suggested_value")
        if suggested is not None:
            data[field["name"]] = suggested
        elif "default" in field:
            data[field["name"]] = field["default"]
        elif field.get("type") == "expandable":
            data[field["name"]] = begun(field["schema"])
        if field.get("type") == "expandable":
            required = {one["name"] for one in field["schema"] if one.get("required")}
            assert required <= data[field["name"]].keys()
        assert not field.get("required") or field["name"] in data
    return data


@pytest.mark.parametrize("cleanup", ["30 4 * * *", "0 2 * * 1-5"])
async def test_options_are_saved_as_they_are_shown(
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    cleanup: str,
) -> None:
    """A form that is opened and sent without a change changes nothing, with sections that stay folded."""
    await installation.claimed()
    nvr = hass.config_entries.async_entry_for_domain_unique_id(DOMAIN, DOMAIN)
    hass.config_entries.async_update_entry(
        nvr,
        options={
            **nvr.options,
            SECTION_STORAGE: nvr.options[SECTION_STORAGE] | {CONF_CLEANUP: cleanup},
            SECTION_VISION: {CONF_DETECTION: False, CONF_PERSON_SCORE: 70},
        },
    )
    assert await async_setup_component(hass, "config", {})
    client = await hass_client()
    path = "/api/config/config_entries/options/flow"
    for entry in (nvr, installation.entry()):
        before = NvrOptions.from_mapping(entry.options)
        response = await client.post(path, json={"handler": entry.entry_id})
        form = await response.json()
        response = await client.post(
            f"{path}/{form['flow_id']}", json=begun(form["data_schema"])
        )
        assert (await response.json())["type"] == "create_entry"
        await hass.async_block_till_done()
        after = NvrOptions.from_mapping(entry.options)
        assert replace(after, media_dir=None) == replace(before, media_dir=None)


async def test_link_of_the_setup_page(
    installation: Installation, hass: HomeAssistant
) -> None:
    """The link of the QR code is as good as the code in it, unless it is another camera's."""
    camera = await installation.switch_on()
    result = await claim_form(installation, camera)
    link = f"https://my.home-assistant.io/redirect/config_flow_start/?domain={DOMAIN}#"
    other = CODE | {CONF_SETUP_CODE: f"{link}{OTHER_ID}/{camera.setup_code}"}
    result = await configure(hass, result, other)
    assert result["errors"] == {CONF_SETUP_CODE: "wrong_camera"}
    pasted = CODE | {CONF_SETUP_CODE: f" {link}{camera.id}/{camera.setup_code}\n"}
    result = await configure(hass, result, pasted)
    assert result["type"] is FlowResultType.SHOW_PROGRESS
    await hass.async_block_till_done()
    result = await configure(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()


async def test_detection_is_offered_once(installation: Installation) -> None:
    """The claim's form offers detection; chosen, it is an option for all cameras and not offered again."""
    with patch("custom_components.magicpi_nvr.nvr.vision.Vision.start"):
        camera = await installation.switch_on()
        flow = installation.hass.config_entries.flow
        result = await flow.async_init(DOMAIN, context={"source": SOURCE_USER})
        result = await flow.async_configure(
            result["flow_id"], {CONF_HOST: f"127.0.0.1:{camera.setup_port}"}
        )
        assert CONF_DETECTION in result["data_schema"].schema
        result = await flow.async_configure(
            result["flow_id"],
            {CONF_SETUP_CODE: camera.setup_code, CONF_DETECTION: True},
        )
        while result["type"] is FlowResultType.SHOW_PROGRESS:
            await installation.hass.async_block_till_done()
            result = await flow.async_configure(result["flow_id"])
        await installation.hass.async_block_till_done()
        assert installation.nvr.options.detection
        assert installation.nvr.vision
        other = await installation.switch_on("AA:BB:CC:DD:EE:02")
        result = await flow.async_init(DOMAIN, context={"source": SOURCE_USER})
        result = await flow.async_configure(
            result["flow_id"], {CONF_HOST: f"127.0.0.1:{other.setup_port}"}
        )
        assert CONF_DETECTION not in result["data_schema"].schema
        flow.async_abort(result["flow_id"])
