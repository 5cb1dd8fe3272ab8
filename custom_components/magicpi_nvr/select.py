"""Settings of a camera that are one of a few."""

from dataclasses import dataclass
from typing import override

from homeassistant.components.select import SelectEntity, SelectEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import MagicPiEntityDescription, async_add_rows
from .gateway import CONFIG_KEYS, Change, ConfigValue
from .nvr import MagicPiConfigEntry
from .setting import SettingEntity

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class MagicPiSelectDescription(MagicPiEntityDescription, SelectEntityDescription):
    """A setting with options; their names are those of the protocol in lower case."""

    changes: Change = Change.CONFIG
    entity_category: EntityCategory | None = EntityCategory.CONFIG


SELECTS = (
    MagicPiSelectDescription(
        key="resolution",
        translation_key="resolution",
        options=[option.lower() for option in CONFIG_KEYS["resolution"].options],
    ),
    MagicPiSelectDescription(
        key="flash",
        entity_registry_enabled_default=False,
        translation_key="flash",
        options=list(CONFIG_KEYS["flash"].options),
        exists_fn=lambda camera: camera.caps.flash,
    ),
    MagicPiSelectDescription(
        key="power_mode",
        translation_key="power_mode",
        options=list(CONFIG_KEYS["power_mode"].options),
        exists_fn=lambda camera: camera.caps.sleep,
    ),
    MagicPiSelectDescription(
        key="night_mode",
        entity_registry_enabled_default=False,
        translation_key="night_mode",
        options=["off", "on"],
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MagicPiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Set up the selects of a camera."""
    async_add_rows(entry, async_add_entities, (MagicPiSelect, SELECTS))


class MagicPiSelect(SettingEntity, SelectEntity):
    """A setting that is one of a few."""

    entity_description: MagicPiSelectDescription

    @property
    @override
    def options(self) -> list[str]:
        """What this camera can be set to."""
        return list(self._values)

    @property
    @override
    def current_option(self) -> str:
        """What is desired."""
        desired = self.desired
        return next(
            option for option, value in self._values.items() if value == desired
        )

    @override
    async def async_select_option(self, option: str) -> None:
        """Want another option."""
        self.set_desired(self._values[option])

    @property
    def _values(self) -> dict[str, ConfigValue]:
        """Values of the protocol by option."""
        key = CONFIG_KEYS[self.entity_description.key]
        if key.kind == "bool":
            return {"off": False, "on": True}
        return {value.lower(): value for value in key.options_for(self.camera.caps)}
