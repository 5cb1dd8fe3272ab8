"""What the tests of Home Assistant's side share."""

import pytest

from .house import clip_house, device, house, nvr_house
from .scene import everything_enabled, no_browser, patient, scene, writes

__all__ = [
    "clip_house",
    "device",
    "everything_enabled",
    "house",
    "no_browser",
    "nvr_house",
    "patient",
    "scene",
    "writes",
]


@pytest.fixture
def hass_config_dir(hass_tmp_config_dir: str) -> str:
    """Keep what is stored in a folder of the test."""
    return hass_tmp_config_dir
