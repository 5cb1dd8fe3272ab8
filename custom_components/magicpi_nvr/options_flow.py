"""The options of cameras and of the NVR."""

from collections.abc import Mapping
from datetime import time
from typing import Any, Final

from cronsim import CronSim, CronSimError
import probatio

from homeassistant.config_entries import ConfigFlowResult, OptionsFlowWithReload
from homeassistant.const import CONF_PORT
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    BooleanSelector,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TimeSelector,
)
from homeassistant.util import dt as dt_util

from .address import is_host
from .const import (
    CONF_ANIMAL_SCORE,
    CONF_CHECK_IN_DAYS,
    CONF_CLEANUP,
    CONF_CLEANUP_TIME,
    CONF_CONTINUOUS_DAYS,
    CONF_CRF,
    CONF_DETECTION,
    CONF_FREE_SPACE_FLOOR,
    CONF_HOSTS,
    CONF_LATE_AFTER,
    CONF_LIVE_VIDEO,
    CONF_MAX_CAMERAS,
    CONF_MAX_ENCODERS,
    CONF_MAX_PICTURES,
    CONF_MEDIA_DIR,
    CONF_NOTHING_SEEN_DAYS,
    CONF_PERSON_SCORE,
    CONF_PRESET,
    CONF_RECORD,
    CONF_RETENTION_DAYS,
    CONF_RETENTION_SIZE,
    CONF_ROTATION,
    CONF_TIME_STAMP,
    CONF_VEHICLE_SCORE,
    CONF_WHAT_COUNTS,
    CONF_WHEN_NOTHING_SEEN,
    LABELS,
    PRESETS,
    RECORD_CONTINUOUSLY,
    RECORD_EVENTS,
    SECTION_ADVANCED,
    SECTION_CAMERAS,
    SECTION_ENCODER,
    SECTION_NETWORK,
    SECTION_STORAGE,
    SECTION_VISION,
    WHEN_NOTHING_RECORD,
    WHEN_NOTHING_STOP,
)
from .form_selectors import TEXT_SELECTOR, number_box
from .nvr import async_get_nvr
from .options import NvrOptions, daily_cron, daily_time

DEFAULT_CLEANUP: Final = time(2)


class CameraOptionsFlow(OptionsFlowWithReload):
    """How long a camera's recordings stay, and what it records."""

    async def async_step_init(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Begin."""
        return await self.async_step_camera(user_input)

    async def async_step_camera(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for the limits."""
        if user_input is not None:
            return self.async_create_entry(data=user_input)
        data = getattr(self.config_entry, "runtime_data", None)
        sleeps = bool(data and data.camera and data.camera.sleeps)
        return self.async_show_form(
            step_id="camera",
            data_schema=self.add_suggested_values_to_schema(
                probatio.Schema(
                    {
                        probatio.Optional(CONF_RETENTION_DAYS): number_box(
                            1, 3650, unit="d"
                        ),
                        probatio.Optional(CONF_RETENTION_SIZE): number_box(
                            0.1, 100_000, step=0.1, unit="GB"
                        ),
                        probatio.Optional(CONF_ROTATION, default="0"): SelectSelector(
                            SelectSelectorConfig(
                                options=["0", "90", "180", "270"],
                                translation_key="rotation",
                                mode=SelectSelectorMode.DROPDOWN,
                            )
                        ),
                        probatio.Optional(
                            CONF_TIME_STAMP, default=False
                        ): BooleanSelector(),
                        probatio.Optional(
                            CONF_WHAT_COUNTS, default=list
                        ): SelectSelector(
                            SelectSelectorConfig(
                                options=list(LABELS),
                                multiple=True,
                                translation_key="label",
                                mode=SelectSelectorMode.LIST,
                            )
                        ),
                        probatio.Required(
                            CONF_WHEN_NOTHING_SEEN, default=WHEN_NOTHING_RECORD
                        ): SelectSelector(
                            SelectSelectorConfig(
                                options=[WHEN_NOTHING_RECORD, WHEN_NOTHING_STOP],
                                translation_key="when_nothing_seen",
                                mode=SelectSelectorMode.LIST,
                            )
                        ),
                        probatio.Required(
                            CONF_NOTHING_SEEN_DAYS, default=1
                        ): number_box(0, 3650, unit="d"),
                    }
                    | (LIVE_OF_A_SLEEPER if sleeps else RECORD_CONTINUOUSLY_FIELDS)
                ),
                self.config_entry.options,
            ),
            description_placeholders={"name": self.config_entry.title},
        )


class NvrOptionsFlow(OptionsFlowWithReload):
    """Everything that belongs to all cameras."""

    async def async_step_init(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Begin."""
        return await self.async_step_nvr(user_input)

    async def async_step_nvr(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for the options, section by section."""
        errors: dict[str, str] = {}
        if user_input is not None:
            data = _stored(user_input)
            if not is_cron(data[SECTION_STORAGE][CONF_CLEANUP]):
                errors["base"] = "invalid_cron"
            elif not all(map(is_host, user_input[SECTION_NETWORK][CONF_HOSTS])):
                errors["base"] = "invalid_host"
            else:
                return self.async_create_entry(data=data)
        options = NvrOptions.from_mapping(self.config_entry.options)
        nvr = await async_get_nvr(self.hass)
        daily = daily_time(options.cleanup)
        return self.async_show_form(
            step_id="nvr",
            data_schema=self.add_suggested_values_to_schema(
                self._schema(),
                user_input
                or {
                    SECTION_NETWORK: {
                        CONF_PORT: options.port,
                        CONF_HOSTS: list(options.hosts),
                    },
                    SECTION_STORAGE: {
                        CONF_MEDIA_DIR: nvr.entries.media_dir(options),
                        CONF_RETENTION_DAYS: options.retention_days,
                        CONF_CHECK_IN_DAYS: options.check_in_days,
                        CONF_CLEANUP_TIME: (daily or DEFAULT_CLEANUP).isoformat(),
                        CONF_FREE_SPACE_FLOOR: options.free_space_floor,
                    },
                    SECTION_ENCODER: {
                        CONF_CRF: options.crf,
                        CONF_PRESET: options.preset,
                        CONF_MAX_ENCODERS: options.max_encoders,
                    },
                    SECTION_VISION: {
                        CONF_DETECTION: options.detection,
                        CONF_PERSON_SCORE: options.person_score,
                        CONF_VEHICLE_SCORE: options.vehicle_score,
                        CONF_ANIMAL_SCORE: options.animal_score,
                        CONF_MAX_PICTURES: options.max_pictures,
                    },
                    SECTION_CAMERAS: {
                        CONF_MAX_CAMERAS: options.max_cameras,
                        CONF_LATE_AFTER: options.late_after,
                    },
                    SECTION_ADVANCED: (
                        {CONF_CLEANUP: options.cleanup} if daily is None else {}
                    ),
                },
            ),
            errors=errors,
            description_placeholders={
                "folder": str(nvr.entries.recording_settings(options, nvr.folder).root)
            },
        )

    def _schema(self) -> probatio.Schema:
        """Return the form."""
        media_dirs = [
            SelectOptionDict(value=key, label=f"{key} ({path})")
            for key, path in self.hass.config.media_dirs.items()
        ]
        return probatio.Schema(
            {
                probatio.Required(SECTION_NETWORK): section(
                    probatio.Schema(
                        {
                            probatio.Required(CONF_PORT): number_box(1, 65535),
                            probatio.Optional(CONF_HOSTS, default=list): TextSelector(
                                TextSelectorConfig(multiple=True)
                            ),
                        }
                    )
                ),
                probatio.Required(SECTION_STORAGE): section(
                    probatio.Schema(
                        {
                            probatio.Optional(CONF_MEDIA_DIR): SelectSelector(
                                SelectSelectorConfig(
                                    options=media_dirs,
                                    mode=SelectSelectorMode.DROPDOWN,
                                )
                            ),
                            probatio.Required(CONF_RETENTION_DAYS): number_box(
                                1, 3650, unit="d"
                            ),
                            probatio.Optional(
                                CONF_CHECK_IN_DAYS, default=60
                            ): number_box(1, 3650, unit="d"),
                            probatio.Required(
                                CONF_CLEANUP_TIME, default=DEFAULT_CLEANUP.isoformat()
                            ): TimeSelector(),
                            probatio.Required(CONF_FREE_SPACE_FLOOR): number_box(
                                0, 10_000, step=0.1, unit="GB"
                            ),
                        }
                    )
                ),
                probatio.Required(SECTION_ENCODER): section(
                    probatio.Schema(
                        {
                            probatio.Required(CONF_CRF): number_box(16, 40),
                            probatio.Required(CONF_PRESET): SelectSelector(
                                SelectSelectorConfig(
                                    options=list(PRESETS),
                                    translation_key="preset",
                                    mode=SelectSelectorMode.DROPDOWN,
                                )
                            ),
                            probatio.Required(CONF_MAX_ENCODERS): number_box(1, 64),
                        }
                    ),
                    {"collapsed": True},
                ),
                # Without a default: a form begins with that of a section, and its fields would be empty
                probatio.Optional(SECTION_VISION): section(
                    probatio.Schema(
                        {
                            probatio.Required(
                                CONF_DETECTION, default=False
                            ): BooleanSelector(),
                            probatio.Required(
                                CONF_PERSON_SCORE, default=45
                            ): number_box(20, 95, unit="%"),
                            probatio.Required(
                                CONF_VEHICLE_SCORE, default=40
                            ): number_box(20, 95, unit="%"),
                            probatio.Required(
                                CONF_ANIMAL_SCORE, default=45
                            ): number_box(20, 95, unit="%"),
                            probatio.Required(
                                CONF_MAX_PICTURES, default=12
                            ): number_box(2, 60),
                        }
                    ),
                    {"collapsed": True},
                ),
                probatio.Required(SECTION_CAMERAS): section(
                    probatio.Schema(
                        {
                            probatio.Required(CONF_MAX_CAMERAS): number_box(1, 1000),
                            probatio.Required(CONF_LATE_AFTER): number_box(
                                1, 720, unit="h"
                            ),
                        }
                    ),
                    {"collapsed": True},
                ),
                probatio.Optional(SECTION_ADVANCED): section(
                    probatio.Schema({probatio.Optional(CONF_CLEANUP): TEXT_SELECTOR}),
                    {"collapsed": True},
                ),
            }
        )


LIVE_OF_A_SLEEPER: Final = {
    probatio.Optional(CONF_LIVE_VIDEO, default=False): BooleanSelector()
}
RECORD_CONTINUOUSLY_FIELDS: Final = {
    probatio.Optional(CONF_RECORD, default=RECORD_EVENTS): SelectSelector(
        SelectSelectorConfig(
            options=[RECORD_EVENTS, RECORD_CONTINUOUSLY],
            translation_key="record",
            mode=SelectSelectorMode.DROPDOWN,
        )
    ),
    probatio.Optional(CONF_CONTINUOUS_DAYS, default=2): number_box(1, 365, unit="d"),
}


def _stored(user_input: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a form: the cleanup is stored as a cron expression, however it was chosen."""
    data = dict(user_input)
    advanced = data.pop(SECTION_ADVANCED, {})
    storage = dict(data[SECTION_STORAGE])
    at = time.fromisoformat(storage.pop(CONF_CLEANUP_TIME))
    storage[CONF_CLEANUP] = advanced.get(CONF_CLEANUP, "").strip() or daily_cron(at)
    return data | {SECTION_STORAGE: storage}


def is_cron(text: str) -> bool:
    """Say whether this is a cron expression."""
    try:
        next(CronSim(text, dt_util.now()))
    except CronSimError, StopIteration:
        return False
    return True
