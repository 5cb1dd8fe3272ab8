"""Prepares a folder that no Home Assistant has used yet: owner, port and "onboarding is done", without clicks.

`python scripts/lib/seed_home_assistant.py FOLDER PORT` prints a lasting token. Everything is written the
way Home Assistant itself stores it, by its own code where there is some, so this is a process of its own.
"""

import asyncio
from datetime import timedelta
from pathlib import Path
import sys

from home_assistant import PASSWORD, USERNAME, write_store
from homeassistant import runner
from homeassistant.auth import auth_manager_from_config
from homeassistant.auth.const import GROUP_ID_ADMIN
from homeassistant.auth.models import TOKEN_TYPE_LONG_LIVED_ACCESS_TOKEN
from homeassistant.auth.providers.homeassistant import HassAuthProvider
from homeassistant.config_entries import ConfigEntries
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er


async def seed(folder: Path, port: int) -> str:
    """Prepare a folder; return a token of its owner."""
    steps = ["user", "core_config", "analytics", "integration"]
    write_store(folder, "onboarding", {"done": steps}, version=4)
    # The port can't go into the YAML: it would be taken on trial there, and taken back
    # after five minutes by a restart. 2026.10 reads this version, 2026.11 migrates it.
    write_store(
        folder,
        "http",
        {
            "stable": {
                "server_host": ["127.0.0.1"],
                "server_port": port,
                "cors_allowed_origins": [],
                "login_attempts_threshold": -1,
                "ip_ban_enabled": True,
                "ssl_profile": "modern",
                "use_x_frame_options": True,
                "created_at": "2026-01-01T00:00:00+00:00",
                "error": None,
                "error_message": None,
            },
            "pending": None,
            "yaml_migration_done": True,
        },
        version=2,
        minor_version=2,
    )

    hass = HomeAssistant(str(folder))
    hass.config_entries = ConfigEntries(hass, {})
    await hass.config_entries.async_initialize()
    dr.async_setup(hass)
    await asyncio.gather(dr.async_load(hass), er.async_load(hass))
    hass.auth = await auth_manager_from_config(hass, [{"type": "homeassistant"}], [])
    provider = hass.auth.auth_providers[0]
    assert isinstance(provider, HassAuthProvider)
    await provider.async_initialize()
    await provider.async_add_auth(USERNAME, PASSWORD)
    user = await hass.auth.async_create_user(USERNAME, group_ids=[GROUP_ID_ADMIN])
    credentials = await provider.async_get_or_create_credentials({"username": USERNAME})
    await hass.auth.async_link_user(user, credentials)
    refresh_token = await hass.auth.async_create_refresh_token(
        user,
        client_name="scripts",
        token_type=TOKEN_TYPE_LONG_LIVED_ACCESS_TOKEN,
        access_token_expiration=timedelta(days=3650),
    )
    token = hass.auth.async_create_access_token(refresh_token)
    await hass.async_stop(force=True)  # writes what Home Assistant would write later
    return token


if __name__ == "__main__":
    print(
        asyncio.run(
            seed(Path(sys.argv[1]).resolve(), int(sys.argv[2])),
            loop_factory=runner.create_event_loop,
        )
    )
