"""Config flow of a target for copies: where it is, tried before it is saved, and what goes there."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import probatio

from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    ConfigSubentryFlow,
    SubentryFlowResult,
)
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    BooleanSelector,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
    TimeSelector,
)

from .const import CONF_ID, DOMAIN, LOGGER
from .form_selectors import number_box
from .nvr.copy_settings import (
    CONF_ACCESS_KEY_ID,
    CONF_BUCKET,
    CONF_CAMERAS,
    CONF_DAYS,
    CONF_ENDPOINT,
    CONF_FROM,
    CONF_KIND,
    CONF_LABELS,
    CONF_MAX_SIZE,
    CONF_ORDER,
    CONF_PASSWORD,
    CONF_PREFIX,
    CONF_RATE,
    CONF_REGION,
    CONF_SECRET_ACCESS_KEY,
    CONF_UNTIL,
    CONF_URL,
    CONF_USERNAME,
    CONF_VERIFY_SSL,
    CONF_WHAT,
    CONF_ZONES,
    KIND_S3,
    KIND_WEBDAV,
    ORDER_NEWEST,
    ORDER_OLDEST,
    WHAT_ALL,
    WHAT_PROTECTED,
    CannotInstall,
    async_make_target,
)

SECTION_LIMITS: Final = "limits"
DEFAULT_PREFIX: Final = "magicpi"
# What is never shown again, by kind
SECRETS: Final = {KIND_S3: CONF_SECRET_ACCESS_KEY, KIND_WEBDAV: CONF_PASSWORD}

# What the credentials may not do
ACCESS_DENIED: Final = {
    "write": "access_denied_write",
    "read": "access_denied_read",
    "list": "access_denied_list",
    "delete": "access_denied_delete",
}
EXAMPLES: Final = {
    KIND_S3: "https://s3.eu-central-1.amazonaws.com",
    KIND_WEBDAV: "https://cloud.example.com/remote.php/dav/files/NAME",
}

TEXT: Final = TextSelector()
ADDRESS: Final = TextSelector(TextSelectorConfig(type=TextSelectorType.URL))
SECRET: Final = TextSelector(
    TextSelectorConfig(type=TextSelectorType.PASSWORD, autocomplete="current-password")
)
TEXTS: Final = TextSelector(TextSelectorConfig(multiple=True))
CONNECTION: Final = {
    KIND_S3: {
        probatio.Required(CONF_ENDPOINT): ADDRESS,
        probatio.Required(CONF_BUCKET): TEXT,
        probatio.Required(CONF_ACCESS_KEY_ID): TEXT,
        probatio.Required(probatio.Secret(CONF_SECRET_ACCESS_KEY)): SECRET,
        probatio.Optional(CONF_PREFIX, default=DEFAULT_PREFIX): TEXT,
        probatio.Optional(CONF_REGION): TEXT,
        probatio.Optional(CONF_VERIFY_SSL, default=True): BooleanSelector(),
    },
    KIND_WEBDAV: {
        probatio.Required(CONF_URL): ADDRESS,
        probatio.Required(CONF_USERNAME): TEXT,
        probatio.Required(probatio.Secret(CONF_PASSWORD)): SECRET,
        probatio.Optional(CONF_PREFIX, default=DEFAULT_PREFIX): TEXT,
        probatio.Optional(CONF_VERIFY_SSL, default=True): BooleanSelector(),
    },
}


async def async_try_target(
    hass: HomeAssistant, data: Mapping[str, Any]
) -> dict[str, str]:
    """Write, read, list and delete a small object; return the form's errors."""
    address = data.get(CONF_ENDPOINT) or data.get(CONF_URL) or ""
    if urlsplit(address).scheme not in ("http", "https"):
        return {CONF_ENDPOINT if CONF_ENDPOINT in data else CONF_URL: "invalid_url"}
    try:
        target = await async_make_target(hass, data)
    except CannotInstall as err:
        LOGGER.warning("A library for copies cannot be installed: %s", err)
        return {"base": "cannot_install"}
    from .copies.errors import Cause, TargetError  # noqa: PLC0415
    from .copies.target import check  # noqa: PLC0415

    try:
        await check(target)
    except TargetError as err:
        LOGGER.debug("The target refuses to %s: %s", err.step, err)
        if err.cause is Cause.ACCESS_DENIED:
            return {"base": ACCESS_DENIED[err.step]}
        return {"base": str(err.cause)}
    finally:
        await target.close()
    return {}


def secret_schema(kind: str) -> probatio.Schema:
    """Return the form that asks for the secret alone."""
    if kind == KIND_S3:
        return probatio.Schema(
            {
                probatio.Required(CONF_ACCESS_KEY_ID): TEXT,
                probatio.Required(probatio.Secret(CONF_SECRET_ACCESS_KEY)): SECRET,
            }
        )
    return probatio.Schema(
        {
            probatio.Required(CONF_USERNAME): TEXT,
            probatio.Required(probatio.Secret(CONF_PASSWORD)): SECRET,
        }
    )


def title_of(data: Mapping[str, Any]) -> str:
    """Return what people call a target."""
    if data[CONF_KIND] == KIND_S3:
        return str(data[CONF_BUCKET])
    return f"{data[CONF_USERNAME]}@{urlsplit(data[CONF_URL]).hostname}"


class TargetFlow(ConfigSubentryFlow):
    """Adds a target, or changes one."""

    _data: dict[str, Any]

    async def async_step_user(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Ask which kind it is."""
        self._data = {}
        return self.async_show_menu(step_id="user", menu_options=[KIND_S3, KIND_WEBDAV])

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Begin with what it is."""
        self._data = dict(self._get_reconfigure_subentry().data)
        return await self._async_connection(self._data[CONF_KIND], None)

    async def async_step_s3(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Ask for a bucket."""
        return await self._async_connection(KIND_S3, user_input)

    async def async_step_webdav(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Ask for a folder."""
        return await self._async_connection(KIND_WEBDAV, user_input)

    async def _async_connection(
        self, kind: str, user_input: dict[str, Any] | None
    ) -> SubentryFlowResult:
        errors: dict[str, str] = {}
        if user_input is not None:
            data = {CONF_KIND: kind, **_stripped(user_input)}
            if self._is_known(data):
                return self.async_abort(reason="already_configured")
            errors = await async_try_target(self.hass, data)
            if not errors:
                kept = {
                    key: value
                    for key, value in self._data.items()
                    if key not in map(str, CONNECTION[kind])
                }
                self._data = kept | data
                return await self.async_step_rules()
        shown = {
            key: value
            for key, value in (user_input or self._data).items()
            if key != SECRETS[kind]
        }
        return self.async_show_form(
            step_id=kind,
            data_schema=self.add_suggested_values_to_schema(
                probatio.Schema(CONNECTION[kind]), shown
            ),
            errors=errors,
            description_placeholders={"example": EXAMPLES[kind]},
        )

    def _is_known(self, data: Mapping[str, Any]) -> bool:
        """Say whether another target is at the same place: each would take the other's copies for its own."""
        keys = (CONF_KIND, CONF_ENDPOINT, CONF_BUCKET, CONF_URL, CONF_USERNAME)
        mine = (
            self._reconfigure_subentry_id if self.source == SOURCE_RECONFIGURE else None
        )

        def place(of: Mapping[str, Any]) -> tuple[Any, ...]:
            return (
                *(of.get(key) for key in keys),
                str(of.get(CONF_PREFIX, "")).strip("/"),
            )

        return any(
            place(subentry.data) == place(data)
            for key, subentry in self._get_entry().subentries.items()
            if key != mine
        )

    async def async_step_rules(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Ask what goes there, when, and for how long it stays."""
        errors: dict[str, str] = {}
        if user_input is not None:
            limits = user_input.pop(SECTION_LIMITS, {})
            given = {**user_input, **limits}
            if (CONF_FROM in given) != (CONF_UNTIL in given):
                errors["base"] = "half_a_window"
            else:
                data = {
                    key: value
                    for key, value in self._data.items()
                    if key == CONF_KIND
                    or key in map(str, CONNECTION[self._data[CONF_KIND]])
                } | given
                if self.source == SOURCE_RECONFIGURE:
                    return self.async_update_and_abort(
                        self._get_entry(),
                        self._get_reconfigure_subentry(),
                        data=data,
                        title=title_of(data),
                    )
                return self.async_create_entry(title=title_of(data), data=data)
        shown = user_input or self._data
        return self.async_show_form(
            step_id="rules",
            data_schema=self.add_suggested_values_to_schema(
                self._rules(), {**shown, SECTION_LIMITS: shown}
            ),
            errors=errors,
        )

    def _rules(self) -> probatio.Schema:
        """Return the form."""
        cameras = [
            SelectOptionDict(value=entry.data[CONF_ID], label=entry.title)
            for entry in self.hass.config_entries.async_entries(DOMAIN)
            if CONF_ID in entry.data
        ]
        return probatio.Schema(
            {
                probatio.Required(CONF_WHAT, default=WHAT_ALL): SelectSelector(
                    SelectSelectorConfig(
                        options=[WHAT_ALL, WHAT_PROTECTED],
                        translation_key="copies_what",
                        mode=SelectSelectorMode.DROPDOWN,
                    )
                ),
                probatio.Optional(CONF_CAMERAS, default=list): SelectSelector(
                    SelectSelectorConfig(
                        options=cameras,
                        multiple=True,
                        mode=SelectSelectorMode.DROPDOWN,
                    )
                ),
                probatio.Optional(CONF_LABELS, default=list): TEXTS,
                probatio.Optional(CONF_ZONES, default=list): TEXTS,
                probatio.Optional(CONF_DAYS): number_box(1, 36_500, unit="d"),
                probatio.Optional(CONF_MAX_SIZE): number_box(
                    0.1, 1_000_000, step=0.1, unit="GB"
                ),
                probatio.Required(SECTION_LIMITS): section(
                    probatio.Schema(
                        {
                            probatio.Required(
                                CONF_ORDER, default=ORDER_NEWEST
                            ): SelectSelector(
                                SelectSelectorConfig(
                                    options=[ORDER_NEWEST, ORDER_OLDEST],
                                    translation_key="copies_order",
                                    mode=SelectSelectorMode.DROPDOWN,
                                )
                            ),
                            probatio.Optional(CONF_RATE): number_box(
                                1, 1_000_000, unit="kB/s"
                            ),
                            probatio.Optional(CONF_FROM): TimeSelector(),
                            probatio.Optional(CONF_UNTIL): TimeSelector(),
                        }
                    ),
                    {"collapsed": True},
                ),
            }
        )


def _stripped(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was typed or pasted, without blanks around it."""
    return {
        key: value.strip() if isinstance(value, str) else value
        for key, value in data.items()
    }
