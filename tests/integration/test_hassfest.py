"""The checks that Home Assistant's hassfest makes, and a few that it leaves to reviewers.

hassfest itself only comes as a container; these read the same files by the same rules, and
add what it can not know: that the texts' placeholders are those that the code fills in.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
import importlib
import json
from pathlib import Path
import re
from typing import Any

from awesomeversion import AwesomeVersion
from PIL import Image
import pytest
import yaml

from custom_components.magicpi_nvr import recording
from custom_components.magicpi_nvr.errors import RECORDING_ERRORS
from custom_components.magicpi_nvr.recording import InvalidValue
from custom_components.magicpi_nvr.view import ANSWERS
from homeassistant.components.select import SelectEntityDescription
from homeassistant.components.sensor import SensorDeviceClass, SensorEntityDescription
from homeassistant.const import Platform
from homeassistant.helpers.entity import Entity, EntityDescription

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "custom_components" / "magicpi_nvr"
LANGUAGES = ("de", "en", "es", "fr")

SLUG = re.compile(r"[a-z0-9][a-z0-9_-]*")
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
HTML = re.compile(r"</?[a-zA-Z][^<>]*>")
URL = re.compile(r"[a-z]+://", re.IGNORECASE)
QUOTED_PLACEHOLDER = re.compile(r"'\{\w+\}'")
# In the format of the texts an apostrophe before a placeholder makes it literal.
ESCAPED_PLACEHOLDER = re.compile(r"'[{}]")
WORD = re.compile(r"[^\W\d_]{2,}")
ICON = re.compile(r"mdi:[a-z0-9-]+")

RULES = {
    "bronze": """action-setup appropriate-polling brands common-modules
        config-flow-test-coverage config-flow dependency-transparency docs-actions
        docs-conditions docs-high-level-description docs-installation-instructions
        docs-removal-instructions docs-triggers entity-event-setup entity-unique-id
        has-entity-name runtime-data test-before-configure test-before-setup
        unique-config-entry""",
    "silver": """action-exceptions config-entry-unloading docs-configuration-parameters
        docs-installation-parameters entity-unavailable integration-owner
        log-when-unavailable parallel-updates reauthentication-flow test-coverage""",
    "gold": """devices diagnostics discovery-update-info discovery docs-data-update
        docs-examples docs-known-limitations docs-supported-devices
        docs-supported-functions docs-troubleshooting docs-use-cases dynamic-devices
        entity-category entity-device-class entity-disabled-by-default
        entity-translations exception-translations icon-translations
        reconfiguration-flow repair-issues stale-devices""",
    "platinum": "async-dependency inject-websession strict-typing",
}

MANIFEST_KEYS = {
    "after_dependencies",
    "bluetooth",
    "categories",
    "codeowners",
    "config_flow",
    "connectivity",
    "dependencies",
    "dhcp",
    "disabled",
    "documentation",
    "domain",
    "homekit",
    "import_executor",
    "integration_type",
    "iot_class",
    "issue_tracker",
    "loggers",
    "mqtt",
    "name",
    "preview_features",
    "quality_scale",
    "requirements",
    "single_config_entry",
    "ssdp",
    "usb",
    "version",
    "zeroconf",
}
SECTIONS = {
    "common",
    "conditions",
    "config",
    "config_panel",
    "config_subentries",
    "device",
    "device_automation",
    "entity",
    "entity_component",
    "exceptions",
    "issues",
    "options",
    "preview_features",
    "selector",
    "services",
    "system_health",
    "title",
    "triggers",
}
FLOW_KEYS = {"abort", "create_entry", "error", "flow_title", "progress", "step"}
STEP_KEYS = {
    "data",
    "data_description",
    "description",
    "menu_option_descriptions",
    "menu_options",
    "sections",
    "submit",
    "title",
}
# Their errors and aborts come with a text of Home Assistant's own when they are the defaults.
CORE_ABORTS = {
    "already_in_progress",
    "reauth_successful",
    "reconfigure_successful",
    "single_instance_allowed",
}


# ---------------------------------------------------------------------------------------
# What is read
CONFIG_FLOW = ("claim_flow.py", "config_flow.py")
FLOWS = (*CONFIG_FLOW, "options_flow.py")


@cache
def manifest() -> dict[str, Any]:
    """Return the manifest."""
    content: dict[str, Any] = json.loads((FOLDER / "manifest.json").read_text())
    return content


@cache
def texts(language: str) -> dict[str, Any]:
    """Return the texts of a language."""
    content: dict[str, Any] = json.loads(
        (FOLDER / "translations" / f"{language}.json").read_text(encoding="utf-8")
    )
    return content


@cache
def icons() -> dict[str, Any]:
    """Return the icons."""
    content: dict[str, Any] = json.loads((FOLDER / "icons.json").read_text())
    return content


@cache
def services() -> dict[str, Any]:
    """Return the descriptions of the actions."""
    content: dict[str, Any] = yaml.safe_load((FOLDER / "services.yaml").read_text())
    return content


@cache
def modules() -> dict[str, ast.Module]:
    """Return the syntax trees of Home Assistant's side by path below the integration."""
    return {
        path.relative_to(FOLDER).as_posix(): ast.parse(path.read_text())
        for path in (*FOLDER.glob("*.py"), *FOLDER.glob("nvr/*.py"))
    }


def flow_calls() -> Iterator[ast.Call]:
    """Yield every call of the flows."""
    for name in FLOWS:
        yield from calls(modules()[name])


def leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text with its path."""
    for key, value in tree.items():
        inner = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            yield from leaves(value, inner)
        else:
            yield inner, value


def placeholders(text: str) -> set[str]:
    """Return the names of a text's placeholders."""
    return set(PLACEHOLDER.findall(text))


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield every call in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node


def argument(call: ast.Call, name: str) -> ast.expr | None:
    """Return a keyword argument."""
    return next((k.value for k in call.keywords if k.arg == name), None)


def text_of(node: ast.expr | None) -> str | None:
    """Return the value of a string literal."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def keys_of(node: ast.expr | None) -> set[str] | None:
    """Return the keys of a dict that is written out; None when it is made otherwise."""
    if node is None:
        return set()
    if not isinstance(node, ast.Dict):
        return None
    keys = [text_of(key) for key in node.keys]
    return None if None in keys else {key for key in keys if key is not None}


def called(call: ast.Call) -> str:
    """Return the last name of what is called."""
    return (
        call.func.attr
        if isinstance(call.func, ast.Attribute)
        else call.func.id
        if isinstance(call.func, ast.Name)
        else ""
    )


@cache
def literals() -> set[str]:
    """Return every string literal of the integration, its inner packages included."""
    return {
        node.value
        for path in FOLDER.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@cache
def constants() -> dict[str, str]:
    """Return the constants of all modules that are strings."""
    return {
        node.target.id: text
        for tree in modules().values()
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and (text := text_of(node.value)) is not None
    }


def is_ours(call: ast.Call) -> bool:
    """Return whether a translated call takes its text from this integration."""
    domain = argument(call, "translation_domain")
    return isinstance(domain, ast.Name) and domain.id == "DOMAIN"


# ---------------------------------------------------------------------------------------
# manifest.json


def test_manifest_keys() -> None:
    """Known keys only: domain and name first, the others sorted."""
    keys = list(manifest())
    assert set(keys) <= MANIFEST_KEYS
    assert keys == ["domain", "name", *sorted(keys[2:])]


def test_manifest_values() -> None:
    """Every value is one that a custom integration may have."""
    content = manifest()
    assert content["domain"] == FOLDER.name
    assert content["config_flow"] is True
    assert content["integration_type"] == "hub"
    assert content["iot_class"] == "local_push"
    assert content["quality_scale"] in {"bronze", "silver", "gold", "platinum"}
    assert content["requirements"] == []
    assert AwesomeVersion(content["version"]).valid
    assert content["codeowners"]
    assert all(owner.startswith("@") for owner in content["codeowners"])
    for key in ("documentation", "issue_tracker"):
        assert content[key].startswith("https://")
        assert "home-assistant.io" not in content[key]


@pytest.mark.parametrize("key", ["dependencies", "after_dependencies"])
def test_manifest_dependencies(key: str) -> None:
    """Home Assistant has every integration that is named."""
    names = manifest().get(key, [])
    assert names == sorted(names)
    for name in names:
        importlib.import_module(f"homeassistant.components.{name}")


def test_manifest_dependencies_are_those_imported() -> None:
    """An integration that is imported at the top is named in the manifest."""
    named = {*manifest()["dependencies"], *manifest().get("after_dependencies", [])}
    # Platforms, and what every Home Assistant has.
    given = {platform.value for platform in Platform} | {
        "diagnostics",
        "homeassistant",
        "logbook",
        "repairs",
        "system_health",
        "persistent_notification",
        "recorder",
        "websocket_api",
    }
    used: set[str] = set()
    for tree in modules().values():
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module:
                parts = node.module.split(".")
                if parts[:2] == ["homeassistant", "components"]:
                    used |= (
                        {parts[2]}
                        if len(parts) > 2
                        else {alias.name for alias in node.names}
                    )
    assert used - given <= named


def test_manifest_zeroconf() -> None:
    """Types end as they must, and patterns are lower case."""
    for matcher in manifest()["zeroconf"]:
        kind = matcher if isinstance(matcher, str) else matcher["type"]
        assert kind.endswith("._tcp.local.")
        assert json.dumps(matcher) == json.dumps(matcher).lower()


# ---------------------------------------------------------------------------------------
# Texts


def test_languages() -> None:
    """Exactly these languages are there, and no strings.json, which is not read."""
    found = {path.stem for path in (FOLDER / "translations").glob("*.json")}
    assert found == set(LANGUAGES)
    assert not (FOLDER / "strings.json").exists()


def test_sections() -> None:
    """Sections, flows and steps have known keys only."""
    english = texts("en")
    assert set(english) <= SECTIONS
    subentries = english["config_subentries"].values()
    for flow in (english["config"], english["options"], *subentries):
        assert set(flow) <= FLOW_KEYS | {"entry_type", "initiate_flow"}
        for step in flow["step"].values():
            assert set(step) <= STEP_KEYS
            for part in (step, *step.get("sections", {}).values()):
                assert set(part.get("data_description", {})) <= set(
                    part.get("data", {})
                )
    for issue in english["issues"].values():
        assert set(issue) in ({"title", "description"}, {"title", "fix_flow"})
    for exception in english["exceptions"].values():
        assert set(exception) == {"message"}


def test_every_field_is_explained() -> None:
    """A field of a flow has a name and a description."""
    english = texts("en")
    flows = {"config": english["config"], "options": english["options"]}
    for content in (flows | english["config_subentries"]).values():
        for name, step in content["step"].items():
            for part in (step, *step.get("sections", {}).values()):
                assert set(part.get("data", {})) == set(
                    part.get("data_description", {})
                ), name


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_clean(language: str) -> None:
    """No HTML, addresses, references, quoted placeholders or edges of white space."""
    for path, text in leaves(texts(language)):
        assert all(SLUG.fullmatch(key) for key in path.split(".")), path
        assert isinstance(text, str), path
        assert text, path
        assert text == text.strip(), path
        assert not HTML.search(text), path
        assert not URL.search(text), path
        assert "[%key:" not in text, path
        assert not QUOTED_PLACEHOLDER.search(text), path
        assert not ESCAPED_PLACEHOLDER.search(text), path
        assert all(name.isidentifier() for name in placeholders(text)), path
        assert text.count("{") == text.count("}"), path


@pytest.mark.parametrize("language", [name for name in LANGUAGES if name != "en"])
def test_languages_agree(language: str) -> None:
    """A language has the keys and the placeholders of English, and is not English."""
    english = dict(leaves(texts("en")))
    other = dict(leaves(texts(language)))
    assert sorted(other) == sorted(english)
    for path, text in english.items():
        assert placeholders(other[path]) == placeholders(text), path
    long = [path for path, text in english.items() if len(WORD.findall(text)) >= 4]
    assert [path for path in long if other[path] == english[path]] == []


# ---------------------------------------------------------------------------------------
# Exceptions and issues


def raised() -> Iterator[tuple[str, str, set[str] | None]]:
    """Yield where, which key and which placeholders, for every exception that is translated."""
    for name, tree in modules().items():
        for call in calls(tree):
            if called(call).endswith("async_create_issue") or not is_ours(call):
                continue
            if (key := text_of(argument(call, "translation_key"))) is not None:
                filled = keys_of(argument(call, "translation_placeholders"))
                yield f"{name}:{call.lineno}", key, filled


def test_exceptions_have_texts() -> None:
    """Each translated exception has a text, with the placeholders that the code fills in."""
    english = texts("en")["exceptions"]
    found = list(raised())
    assert found
    for where, key, filled in found:
        assert key in english, where
        if filled is not None:
            assert filled == placeholders(english[key]["message"]), where


def test_no_exception_text_is_left_over() -> None:
    """Each text of an exception is one that the code can raise."""
    assert set(texts("en")["exceptions"]) - literals() == set()


def test_every_raise_is_translated() -> None:
    """Errors for people carry a translation, never a bare text."""
    errors = {
        "HomeAssistantError",
        "ServiceValidationError",
        "ConfigEntryNotReady",
        "ConfigEntryError",
        "ConfigEntryAuthFailed",
        "BrowseError",
        "Unresolvable",
    }
    for name, tree in modules().items():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Raise)
                and isinstance(node.exc, ast.Call)
                and called(node.exc) in errors
            ):
                where = f"{name}:{node.lineno}"
                assert argument(node.exc, "translation_key") is not None, where
                assert argument(node.exc, "translation_domain") is not None, where


def reported() -> Iterator[tuple[str, str, set[str]]]:
    """Yield where, which key and which placeholders, for every issue that is raised by name."""
    options = {"data", "fixable", "issue_id", "severity"}
    for name, tree in modules().items():
        for call in calls(tree):
            if called(call) != "report" or not call.args:
                continue
            first = call.args[0]
            key = (
                constants().get(first.id)
                if isinstance(first, ast.Name)
                else text_of(first)
            )
            if key is not None:
                filled = {k.arg for k in call.keywords if k.arg} - options
                yield f"{name}:{call.lineno}", key, filled


def test_issues_have_texts() -> None:
    """Each repair issue has a text, with the placeholders that the code fills in."""
    english = texts("en")["issues"]
    found = list(reported())
    assert len(found) >= 5
    for where, key, filled in found:
        assert key in english, where
        used = {name for _, text in leaves(english[key]) for name in placeholders(text)}
        assert used == filled, where
    assert set(english) - literals() == set()


# ---------------------------------------------------------------------------------------
# Flows


def test_steps_have_texts() -> None:
    """Each step that is shown has a text, and each text is of a step."""
    english = texts("en")
    steps = {*english["config"]["step"], *english["options"]["step"]}
    shown = {
        step
        for call in flow_calls()
        if called(call).startswith("async_show_")
        and (step := text_of(argument(call, "step_id"))) is not None
    }
    assert shown - steps - {"wait"} - _progress_steps() == set()
    defined = {
        node.name.removeprefix("async_step_")
        for name in FLOWS
        for node in ast.walk(modules()[name])
        if isinstance(node, ast.AsyncFunctionDef)
        and node.name.startswith("async_step_")
    }
    assert steps - defined == set()


def _progress_steps() -> set[str]:
    """Return the steps that only show progress, whose text is the action's."""
    return {
        step
        for call in flow_calls()
        if called(call) == "async_show_progress"
        and (step := text_of(argument(call, "step_id"))) is not None
    }


def test_aborts_errors_and_progress_have_texts() -> None:
    """Reasons, errors and progress actions that the flow names have texts."""
    config = texts("en")["config"]
    flow = [call for name in CONFIG_FLOW for call in calls(modules()[name])]
    reasons = {
        reason
        for call in flow
        if called(call) in {"async_abort", "async_update_reload_and_abort"}
        and (reason := text_of(argument(call, "reason"))) is not None
    }
    assert reasons - set(config["abort"]) - CORE_ABORTS == set()
    actions = {
        action
        for call in flow
        if called(call) == "async_show_progress"
        and (action := text_of(argument(call, "progress_action"))) is not None
    }
    assert actions == set(config.get("progress", {}))
    assert set(config.get("error", {})) - literals() == set()
    assert (
        set(config["abort"])
        - literals()
        - {"already_configured", "unique_id_mismatch"}
        - CORE_ABORTS
        == set()
    )


def test_selectors_have_texts() -> None:
    """A selector that names a translation key has it."""
    wanted = {
        key
        for tree in modules().values()
        for call in calls(tree)
        if called(call).endswith(("SelectSelectorConfig", "SelectSelector"))
        and (key := text_of(argument(call, "translation_key"))) is not None
    }
    for service in services().values():
        for field in (service or {}).get("fields", {}).values():
            select = field["selector"].get("select") or {}
            if (key := select.get("translation_key")) is not None:
                wanted.add(key)
                options = texts("en")["selector"][key]["options"]
                assert set(options) == set(select["options"])
    assert wanted == set(texts("en").get("selector", {}))


# ---------------------------------------------------------------------------------------
# Actions


def test_actions_agree() -> None:
    """Code, services.yaml, texts and icons know the same actions and fields."""
    english = texts("en")["services"]
    assert set(services()) == set(english) == set(icons()["services"])
    assert set(services()) - literals() == set()
    for name, service in services().items():
        text = english[name]
        assert {"name", "description"} <= set(text), name
        assert set(service or {}) <= {"fields", "target"}, name
        fields = (service or {}).get("fields", {})
        assert set(fields) == set(text.get("fields", {})), name
        # What names cameras is a target; the field of version 0.1.0 says that it is old
        assert ("camera" in fields) is ("target" in (service or {})), name
        if "camera" in fields:
            assert text["fields"]["camera"]["description"].startswith("Deprecated: ")
        for key, field in fields.items():
            assert "selector" in field, f"{name}.{key}"
            assert set(field) <= {
                "advanced",
                "default",
                "example",
                "filter",
                "required",
                "selector",
            }, f"{name}.{key}"
            assert set(text["fields"][key]) == {"name", "description"}, f"{name}.{key}"


# ---------------------------------------------------------------------------------------
# Entities


def descriptions() -> Iterator[tuple[str, EntityDescription]]:
    """Yield platform and description of every entity."""
    for platform in Platform:
        if not (FOLDER / f"{platform}.py").exists():
            continue
        module = importlib.import_module(f"custom_components.magicpi_nvr.{platform}")
        for value in vars(module).values():
            rows = value if isinstance(value, tuple | list) else (value,)
            for row in rows:
                if isinstance(row, EntityDescription):
                    yield platform.value, row


def test_entities_have_names_and_icons() -> None:
    """Each entity has a name of its own, or the one of its device class; texts have an entity."""
    named = texts("en")["entity"]
    drawn = icons()["entity"]
    seen: dict[str, set[str]] = {}
    for platform, row in descriptions():
        where = f"{platform}.{row.key}"
        if (key := row.translation_key) is None:
            assert row.device_class is not None or row.name is None, where
            continue
        seen.setdefault(platform, set()).add(key)
        assert SLUG.fullmatch(key), where
        assert key in named[platform], where
        if row.device_class is None or isinstance(row.device_class, SensorDeviceClass):
            assert "name" in named[platform][key] or row.name is None, where
        if row.device_class is None:
            assert key in drawn[platform], where
    assert seen == {platform: set(keys) for platform, keys in named.items()}


def test_states_have_texts() -> None:
    """Each option of an enum sensor or a select that is known here has a text."""
    named = texts("en")["entity"]
    for platform, row in descriptions():
        if (
            isinstance(row, SensorEntityDescription | SelectEntityDescription)
            and row.options
        ):
            assert row.translation_key
            states = named[platform][row.translation_key]["state"]
            assert set(states) == set(row.options), row.key


def test_parallel_updates() -> None:
    """Each platform says how many commands may run at once."""
    for platform in Platform:
        if (tree := modules().get(f"{platform}.py")) is not None:
            names = {
                target.id
                for node in tree.body
                if isinstance(node, ast.Assign)
                for target in node.targets
                if isinstance(target, ast.Name)
            }
            assert "PARALLEL_UPDATES" in names, platform


def test_an_entity_id_changes_in_place() -> None:
    """No entity is removed and added again when its entity id changes.

    Home Assistant does that to classes of custom integrations that say how they are added or
    removed, unless the class or a subclass of it has `async_entity_id_changed`.
    """
    methods = {
        "async_prepare_to_add_to_hass",
        "async_added_to_hass",
        "async_will_remove_from_hass",
    }
    kinds = {
        kind
        for platform in Platform
        if f"{platform}.py" in modules()
        for kind in vars(
            importlib.import_module(f"custom_components.magicpi_nvr.{platform}")
        ).values()
        if isinstance(kind, type) and issubclass(kind, Entity)
    }
    assert len(kinds) > 15
    for kind in kinds:
        ours = [cls for cls in kind.__mro__ if cls.__module__.startswith("custom_comp")]
        hooks = [cls for cls in ours if "async_entity_id_changed" in vars(cls)]
        for cls in ours:
            if methods & set(vars(cls)):
                assert any(issubclass(hook, cls) for hook in hooks), (kind, cls)


def test_icons() -> None:
    """Icons have the form they must, and are of entities and states that are known."""
    content = icons()
    assert set(content) <= {"entity", "services", "conditions", "triggers"}
    for path, icon in leaves(content):
        assert ICON.fullmatch(icon), path
    named = texts("en")["entity"]
    for platform, entities in content["entity"].items():
        for key, entity in entities.items():
            where = f"{platform}.{key}"
            assert key in named[platform], where
            assert set(entity) <= {
                "default",
                "range",
                "state",
                "state_attributes",
            }, where
            assert "default" in entity, where
            if "state" in entity and platform in {"sensor", "select"}:
                assert set(entity["state"]) <= set(named[platform][key]["state"]), where
            assert entity["default"] not in entity.get("state", {}).values(), where


# ---------------------------------------------------------------------------------------
# Quality scale and brand


def test_quality_scale() -> None:
    """Every rule has an answer in the order of its tier; an exemption says why."""
    rules = yaml.safe_load((FOLDER / "quality_scale.yaml").read_text())["rules"]
    assert list(rules) == [rule for tier in RULES.values() for rule in tier.split()]
    assert len(rules) == 54
    for name, answer in rules.items():
        if isinstance(answer, str):
            assert answer == "done", name
        else:
            assert set(answer) == {"status", "comment"}, name
            assert answer["status"] == "exempt", name
            assert len(answer["comment"].split()) >= 5, name


@pytest.mark.parametrize("prefix", ["", "dark_"])
@pytest.mark.parametrize("kind", ["icon", "logo"])
def test_brand(prefix: str, kind: str) -> None:
    """Icons are square, logos lie, both in two sizes and with a transparent ground."""
    for suffix, height in (("", 256), ("@2x", 512)):
        with Image.open(FOLDER / "brand" / f"{prefix}{kind}{suffix}.png") as image:
            assert image.format == "PNG"
            assert image.mode == "RGBA"
            assert image.height == height
            if kind == "icon":
                assert image.width == height
            else:
                assert image.width > height
            low, high = image.getchannel("A").getextrema()
            assert (low, high) == (0, 255)


# ---------------------------------------------------------------------------------------
# What the library answers


def test_every_answer_of_the_library_has_words() -> None:
    """Each error, or the kind that it is one of, is one that actions and views can say."""
    kinds = {
        kind
        for kind in vars(recording).values()
        if isinstance(kind, type)
        and issubclass(kind, recording.RecordingError)
        and kind is not recording.RecordingError
    }
    for table, invalid in ((RECORDING_ERRORS, set()), (ANSWERS, {InvalidValue})):
        assert set(table) <= kinds
        said = {kind for kind in kinds if issubclass(kind, tuple(table))}
        assert kinds - said == invalid


# ---------------------------------------------------------------------------------------
# runtime-data, as Home Assistant's own validator of the quality scale looks for it

WITH_ENTRY = {
    "__init__.py": {
        "async_migrate_entry": 1,
        "async_remove_config_entry_device": 1,
        "async_remove_entry": 1,
        "async_setup_entry": 1,
        "async_unload_entry": 1,
    },
    "diagnostics.py": {
        "async_get_config_entry_diagnostics": 1,
        "async_get_device_diagnostics": 1,
    },
    **{f"{platform}.py": {"async_setup_entry": 1} for platform in Platform},
}
TYPED_ENTRY = re.compile(r"[A-Za-z]+ConfigEntry")


def functions(tree: ast.Module) -> dict[str, ast.AsyncFunctionDef]:
    """Return the functions of a module."""
    return {
        node.name: node for node in tree.body if isinstance(node, ast.AsyncFunctionDef)
    }


def test_runtime_data_is_set_in_setup() -> None:
    """`async_setup_entry` itself assigns `entry.runtime_data`."""
    setup = functions(modules()["__init__.py"])["async_setup_entry"]
    entry = setup.args.args[1].arg
    assert any(
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and node.attr == "runtime_data"
        and isinstance(node.value, ast.Name)
        and node.value.id == entry
        for node in ast.walk(setup)
    )


def test_entries_are_typed() -> None:
    """Every signature that takes an entry names one and the same typed alias."""
    names = set()
    for name, positions in WITH_ENTRY.items():
        found = functions(modules()[name]) if name in modules() else {}
        for function, position in positions.items():
            if function in found:
                annotation = found[function].args.args[position].annotation
                assert isinstance(annotation, ast.Name), f"{name}:{function}"
                assert TYPED_ENTRY.fullmatch(annotation.id), f"{name}:{function}"
                names.add(annotation.id)
    assert names == {"MagicPiConfigEntry"}
