"""What the documents name exists, what they calculate is right, what they leave out is found."""

import ast
from datetime import time
from functools import cache
import importlib
import json
from pathlib import Path
import re
import shlex
import subprocess
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

from custom_components.magicpi_nvr.copies.errors import Cause
from custom_components.magicpi_nvr.gateway import messages as camera_messages, protocol
from custom_components.magicpi_nvr.gateway.camera import configuration
from custom_components.magicpi_nvr.gateway.trust import claim
from custom_components.magicpi_nvr.options import NvrOptions, daily_cron
import homeassistant
from homeassistant.const import Platform
from homeassistant.helpers.entity import EntityDescription

from .documents import (
    COMPONENT,
    ROOT,
    Block,
    anchors,
    blocks,
    documents,
    links,
    name_of,
    prose,
    section,
    tables,
)

DOCS = ROOT / "docs"
AUTOMATIONS = DOCS / "automations.md"
CLAIMING = DOCS / "claiming.md"
PROTOCOL = DOCS / "design" / "protocol.md"
SETTINGS = DOCS / "settings.md"
FIRMWARE = ROOT / "firmware" / "README.md"

ACTION = re.compile(r"magicpi_nvr\.([a-z_]+)\b(?!/)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
SCRIPT = re.compile(r"(?:\./)?(scripts/[\w-]+|firmware/test/[\w.-]+|\.ci/run)")
BACKTICKED_COMMAND = re.compile(
    r"`((?:scripts|firmware/test)/[\w-]+(?:\.sh)?(?: [^`]+)?|\.ci/run)`"
)
# Their help comes only after an environment was made, which not every environment has
READ_FROM_SOURCE = {
    "scripts/bench",
    "scripts/demo",
    "scripts/fuzz",
    "scripts/screenshots",
    "scripts/virtual-camera",
}
NO_ACTIONS = {"zip", "json", "cameras", "settings"}


def ids(value: object) -> str:
    """Name a parameter."""
    return name_of(value) if isinstance(value, Path) else ""


@cache
def texts() -> dict[str, Any]:
    """Return the integration's English texts."""
    content: dict[str, Any] = json.loads(
        (COMPONENT / "translations" / "en.json").read_text()
    )
    return content


@cache
def actions() -> dict[str, Any]:
    """Return the description of the actions."""
    content: dict[str, Any] = yaml.safe_load((COMPONENT / "services.yaml").read_text())
    return content


def manifest() -> dict[str, Any]:
    """Return the integration's manifest."""
    content: dict[str, Any] = json.loads((COMPONENT / "manifest.json").read_text())
    return content


def table(path: Path, title: str) -> list[list[str]]:
    """Return the one table of a section."""
    found = list(tables(section(path, title)))
    assert len(found) == 1, f"{name_of(path)}: {title} has {len(found)} tables"
    return found[0]


def code(cell: str) -> list[str]:
    """Return what is written in backticks."""
    return re.findall(r"`([^`]+)`", cell)


# ---- links and commands ----


@pytest.mark.parametrize("path", documents(), ids=ids)
def test_links(path: Path) -> None:
    """Every relative link and picture is there, and the heading that it names."""
    broken = []
    for link in links(path):
        if urlsplit(link).scheme:
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / unquote(name)).resolve() if name else path
        if not target.exists() or (
            anchor and target.suffix == ".md" and anchor not in anchors(target)
        ):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("path", documents(), ids=ids)
def test_addresses(path: Path) -> None:
    """Links into the repository name it as the manifest does, and files that are there."""
    home = manifest()["documentation"]
    for link in links(path):
        parts = urlsplit(link)
        assert parts.scheme in ("", "https"), link
        query = parse_qs(parts.query)
        if parts.netloc == "my.home-assistant.io":
            if "repository" in query:
                owner, repository = query["owner"][0], query["repository"][0]
                assert f"https://github.com/{owner}/{repository}" == home
            if "domain" in query:
                assert query["domain"] == [manifest()["domain"]]
            if "blueprint_url" in query:
                link = query["blueprint_url"][0]
        if "/magicpi" in link and "github.com" in link:
            assert link.startswith(home), link
        if link.startswith(f"{home}/blob/main/"):
            assert (ROOT / link.removeprefix(f"{home}/blob/main/")).is_file(), link


def commands() -> list[tuple[str, str]]:
    """Return every command of the documents that names one of the project's programs."""
    found = []
    for block in blocks("sh", "bash", "console", ""):
        for line in block.text.splitlines():
            command = line.removeprefix("$ ").split("  #")[0]
            if SCRIPT.match(command):
                found.append((block.document, command))
    for path in documents():
        found += [
            (name_of(path), command)
            for command in BACKTICKED_COMMAND.findall(prose(path))
        ]
    return sorted(set(found))


@cache
def known_options(script: str) -> set[str]:
    """Return the options that a program says it takes."""
    path = ROOT / script
    if script in READ_FROM_SOURCE:
        name = path.name.replace("-", "_")
        sources = [
            path,
            *ROOT.glob(f"scripts/lib/{name}*.py"),
            *ROOT.glob(f"scripts/lib/{name}/*.py"),
        ]
        text = "".join(source.read_text() for source in sources)
        # The options of benchmarks are keywords of one call
        return set(OPTION.findall(text)) | {
            f"--{keyword}" for keyword in re.findall(r"\b(\w+)=\(", text)
        }
    answer = subprocess.run(
        [path, "--help"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(OPTION.findall(answer.stdout))


@pytest.mark.parametrize(("document", "command"), commands())
def test_command(document: str, command: str) -> None:
    """A command's program can be run, and knows the options that are given to it."""
    match = SCRIPT.match(command)
    assert match
    path = ROOT / match[1]
    assert path.is_file(), document
    assert path.stat().st_mode & 0o111, document
    if options := set(OPTION.findall(" ".join(shlex.split(command, comments=True)))):
        assert options <= known_options(match[1]), document


def test_first_screen() -> None:
    """The README begins with the picture of it at work and the two commands."""
    screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:24])
    assert "docs/images/" in screen
    assert [command.split()[0] for name, command in commands() if name == "README.md"]
    assert screen.index("docs/images/") < screen.index("scripts/demo")
    assert screen.index("scripts/demo") < screen.index("scripts/test")
    for words in ("no cloud", "HACS"):
        assert words.lower() in (ROOT / "README.md").read_text().lower()


def test_builds_name_their_environment() -> None:
    """A board that a document tells to build has an environment."""
    known = set(
        re.findall(
            r"^\[env:(\w+)\]$",
            (ROOT / "firmware" / "platformio.ini").read_text(),
            re.MULTILINE,
        )
    )
    named = {
        board
        for path in documents()
        for board in re.findall(r"pio run -e (\w+)", path.read_text())
    }
    assert named
    assert named <= known
    rows = next(tables(section(FIRMWARE, "Boards and wiring")))
    assert {code(row[1])[0] for row in rows} == known


# ---- blocks ----


def example_ids(value: Block) -> str:
    """Name an example."""
    return value.document


@pytest.mark.parametrize("block", blocks("yaml"), ids=example_ids)
def test_yaml(block: Block) -> None:
    """YAML can be read, and says something."""
    assert yaml.safe_load(block.text)


@pytest.mark.parametrize("block", blocks("json"), ids=example_ids)
def test_json(block: Block) -> None:
    """JSON can be read."""
    assert json.loads(block.text)


def calls(node: object) -> list[dict[str, Any]]:
    """Return what calls an action of the integration, wherever it stands."""
    if isinstance(node, list):
        return [call for item in node for call in calls(item)]
    if not isinstance(node, dict):
        return []
    mine = str(node.get("action", "")).startswith("magicpi_nvr.")
    return [*([node] if mine else []), *calls(list(node.values()))]


def test_examples_call_actions_with_their_fields() -> None:
    """An example gives an action the fields that it has, and those that it needs."""
    found = [
        call for block in blocks("yaml") for call in calls(yaml.safe_load(block.text))
    ]
    assert {call["action"] for call in found} >= {
        "magicpi_nvr.create_timelapse",
        "magicpi_nvr.list_events",
        "magicpi_nvr.protect",
        "magicpi_nvr.purge",
    }
    for call in found:
        fields = (actions()[call["action"].partition(".")[2]] or {}).get("fields", {})
        given = call.get("data", {})
        assert set(given) <= set(fields)
        assert {name for name, field in fields.items() if field.get("required")} <= set(
            given
        )


# ---- names ----


def test_actions_exist() -> None:
    """Every action that is named exists."""
    for path in documents():
        named = set(ACTION.findall(path.read_text())) - NO_ACTIONS
        # Of the tests and of the log's names the documents speak as well
        assert named <= set(actions()), name_of(path)


def test_actions_are_documented_with_their_fields() -> None:
    """Every action has a section with all its fields, and says which are needed."""
    text = section(AUTOMATIONS, "Actions")
    assert re.findall(r"^### (\w+)$", text, re.MULTILINE) == list(actions())
    for name, action in actions().items():
        fields = (action or {}).get("fields", {})
        assert f"`magicpi_nvr.{name}`" in section(AUTOMATIONS, name)
        rows = [row for rows in tables(section(AUTOMATIONS, name)) for row in rows]
        assert [code(row[0])[0] for row in rows] == list(fields), name
        assert {code(row[0])[0] for row in rows if row[1] == "yes"} == {
            field for field, about in fields.items() if about.get("required")
        }, name


def test_event_types() -> None:
    """Every type of event is documented, and every attribute of a clip."""
    title = "What happens: the event entity"
    types, attributes = tables(section(AUTOMATIONS, title))
    states = texts()["entity"]["event"]["event"]["state_attributes"]["event_type"]
    assert {code(row[0])[0] for row in types} == set(states["state"])
    function = next(
        node
        for node in ast.walk(ast.parse((COMPONENT / "clip.py").read_text()))
        if isinstance(node, ast.FunctionDef) and node.name == "clip_attributes"
    )
    answer = function.body[-1]
    assert isinstance(answer, ast.Return)
    assert isinstance(answer.value, ast.Dict)
    keys = {key.value for key in answer.value.keys if isinstance(key, ast.Constant)}
    assert {name for row in attributes for name in code(row[0])} == keys


def test_statuses() -> None:
    """Every state of a camera is documented."""
    documented = [row[0] for row in table(SETTINGS, "How data arrives")]
    assert sorted(documented) == sorted(
        texts()["entity"]["sensor"]["status"]["state"].values()
    )


def class_name(platform: str, device_class: str) -> str:
    """Return the name that Home Assistant gives to entities of a class."""
    package = Path(homeassistant.__file__).parent / "components" / platform
    content = json.loads((package / "translations" / "en.json").read_text())
    name: str = content["entity_component"][device_class]["name"]
    return name


def entities(owner: str) -> list[tuple[str, str]]:
    """Return names and kinds of entities; those that are disabled at first in italics.

    `owner`: how the names of their descriptions begin, empty for a camera's.
    """
    found = []
    for platform in Platform:
        if not (COMPONENT / f"{platform}.py").exists():
            continue
        module = importlib.import_module(f"custom_components.magicpi_nvr.{platform}")
        rows = [
            row
            for value in vars(module).values()
            for row in (value if isinstance(value, tuple | list) else (value,))
            if isinstance(row, EntityDescription)
        ]
        for row in rows:
            kind = type(row).__name__
            if owner != next((o for o in ("Nvr", "Target") if kind.startswith(o)), ""):
                continue
            if row.translation_key:
                name = texts()["entity"][platform][row.translation_key]["name"]
            elif row.device_class:
                name = class_name(platform, row.device_class)
            else:
                name = class_name(platform, "_")
            if not row.entity_registry_enabled_default:
                name = f"*{name}*"
            found.append((name, platform.replace("_", " ")))
    return sorted(found)


@pytest.mark.parametrize("owner", ["a camera", "the NVR"])
def test_entities(owner: str) -> None:
    """Every entity is documented by its name and kind, and whether it is there at first."""
    rows = table(SETTINGS, f"Entities of {owner}")
    assert sorted((row[0], row[1]) for row in rows) == entities(
        "Nvr" if owner == "the NVR" else ""
    )


def option_labels(step: dict[str, Any]) -> list[str]:
    """Return the labels of a step's fields."""
    if "sections" in step:
        return [
            label
            for part in step["sections"].values()
            for label in part["data"].values()
        ]
    return list(step["data"].values())


def test_options() -> None:
    """Every option is documented, with the default that it has."""
    steps = texts()["options"]["step"]
    everything, camera = tables(section(SETTINGS, "Options"))
    assert [row[0] for row in everything] == option_labels(steps["nvr"])
    assert [row[0] for row in camera] == option_labels(steps["camera"])
    defaults = {row[0]: row[1] for row in everything}
    labels = {
        key: label
        for part in steps["nvr"]["sections"].values()
        for key, label in part["data"].items()
    }
    options = NvrOptions()
    for key in ("port", "retention_days", "crf", "max_cameras", "late_after"):
        assert defaults[labels[key]].split()[0] == str(getattr(options, key)), key
    assert daily_cron(time.fromisoformat(defaults[labels["cleanup_time"]])) == (
        options.cleanup
    )
    assert defaults[labels["free_space_floor"]] == f"{options.free_space_floor:.0f} GB"
    presets = texts()["selector"]["preset"]["options"]
    assert defaults[labels["preset"]] == presets[options.preset]


def test_repairs() -> None:
    """Every repair is documented."""
    documented = [row[0] for row in table(SETTINGS, "Repairs")]
    assert sorted(documented) == sorted(
        issue["title"] for issue in texts()["issues"].values()
    )


def test_copies() -> None:
    """Every field of a target's dialog and every cause is documented; so are its entities."""
    page = DOCS / "copies.md"
    steps = texts()["config_subentries"]["target"]["step"]
    fields = {
        label
        for step in steps.values()
        for part in (step, *step.get("sections", {}).values())
        for label in part.get("data", {}).values()
    }
    documented = {name for row in table(page, "Fields") for name in row[0].split(", ")}
    assert documented == fields
    causes = {
        name
        for row in table(page, "When the storage cannot be reached")
        for name in code(row[0])
    }
    assert causes == {str(cause) for cause in Cause}
    assert sorted((row[0], row[1]) for row in table(page, "Entities")) == entities(
        "Target"
    )


def test_claiming() -> None:
    """Every error of the dialogs is documented in its words, with a cure; so is every field."""
    rows = table(CLAIMING, "Errors in the dialog")
    documented = {row[0] for row in rows}
    # Those of targets have their own page
    of_targets = texts()["config_subentries"]["target"]["error"].values()
    said = set(texts()["config"]["error"].values()) - set(of_targets)
    said.add(texts()["config"]["step"]["not_registered"]["title"])
    assert documented == said
    assert all(len(row[1].split()) >= 3 for row in rows)
    steps = texts()["config"]["step"]
    fields = {row[0] for row in table(CLAIMING, "In Home Assistant")}
    assert fields == {*option_labels(steps["user"]), *option_labels(steps["claim"])}


# Words in bold that are no names of the integration's
EMPHASIS = """
    2.4 GHz only | Address of Home Assistant | Before | Calculate | Container | Core |
    Firewall | How much | Home Assistant behind a proxy | Its recordings stay |
    New address of Home Assistant | New router or password | Port taken | Search |
    Signal | Sleep is a state, not a fault | Solar | VLAN, guest network |
    What Home Assistant tells | Data that leaves your home | Which disk | MagicPi NVR | VLAN
"""


def test_bold_names() -> None:
    """What the pages for users write in bold as a name is one."""
    names = {text.strip() for text in EMPHASIS.split("|")}

    def collect(node: object) -> None:
        if isinstance(node, str):
            names.add(node)
        elif isinstance(node, dict):
            for value in node.values():
                collect(value)

    collect(texts())
    # Named by their device class
    names |= {"Battery", "Signal strength"}
    unknown = {
        (path.name, word)
        for path in DOCS.glob("*.md")
        if path.name not in {"benchmarks.md", "reliability.md", "first-run.md"}
        for word in re.findall(
            r"\*\*([A-Z0-9][^*]+?)\*\*", " ".join(prose(path).split())
        )
        if word not in names and not word.isdigit()
    }
    assert not unknown


# ---- facts ----


def test_protocol_vectors() -> None:
    """The vectors of the protocol's page are those of the code."""
    text = section(PROTOCOL, "Setup")
    field = dict(re.findall(r"(code|id|nonce|iv|key|plain|box) +(\S+)", text))
    cipher = claim._cipher(
        claim.normalize_code(field["code"]), claim.decode_base64url(field["nonce"])
    )
    box = cipher.encrypt(
        claim.decode_base64url(field["iv"]),
        field["plain"].encode(),
        field["id"].encode(),
    )
    assert claim.encode_base64url(box) == field["box"]
    body = {key: field[key] for key in ("nonce", "iv", "box")}
    bundle = claim.open_bundle(field["code"], field["id"], body)
    assert bundle == json.loads(field["plain"])
    header = re.search(r"`([0-9a-f]{48})`", section(PROTOCOL, "Frames"))
    assert header
    frame = protocol.FrameHeader.unpack(bytes.fromhex(header[1]))
    assert frame[:5] == (1, 5, 3, 412, 38250)
    assert frame.length == 4


def test_protocol_names() -> None:
    """Messages, commands, settings and close codes of the page are those of the code."""
    rows = table(PROTOCOL, "Camera to gateway")
    assert {code(row[0])[0] for row in rows} == set(camera_messages._MESSAGES)
    for row in rows:
        message = camera_messages._MESSAGES[code(row[0])[0]]
        assert set(message.__dataclass_fields__) <= set(re.findall(r"\w+", row[1])), (
            row[0]
        )
    messages, orders = tables(section(PROTOCOL, "Gateway to camera"))
    assert {code(row[0])[0] for row in orders} == set(protocol.COMMANDS)
    assert {code(row[0])[0] for row in messages} == {
        "welcome",
        "config",
        "ack",
        "command",
        "ota",
    }
    settings = table(PROTOCOL, "Settings")
    assert {name for row in settings for name in code(row[0])} == set(
        configuration.CONFIG_KEYS
    )
    for row in settings:
        for name in code(row[0]):
            key = configuration.CONFIG_KEYS[name]
            if key.kind == "int":
                numbers = re.findall(r"-?\d+", row[1].replace("−", "-"))
                assert [int(number) for number in numbers[:2]] == [
                    key.minimum,
                    key.maximum,
                ], name
                assert row[2] == str(key.default), name
    assert {int(row[0]) for row in table(PROTOCOL, "Close codes")} == set(
        protocol.CloseCode
    )


def drain(sleep: float, events: float, seconds: float, checks: float) -> list[float]:
    """Return mAh a day by the formula: asleep, events, check-ins."""
    return [24 * sleep, events * 190 * seconds / 3600, checks * 190 * 2 / 3600]


def numbers(text: str) -> list[float]:
    """Return the numbers in a text."""
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


def test_battery_examples() -> None:
    """The worked examples follow the formula."""
    columns = list(
        zip(*table(DOCS / "hardware.md", "How long a battery lasts"), strict=True)
    )
    assert len(columns) == 4
    for board, events, checks, *parts, converter, day, battery, days in columns[1:]:
        times, seconds = numbers(events)
        expected = drain(numbers(board)[-1], times, seconds, numbers(checks)[0])
        for part, number in zip(parts, expected, strict=True):
            assert numbers(part)[0] == pytest.approx(number, abs=0.06)
        whole = sum(expected) * (numbers(converter) or [1])[0]
        assert numbers(day)[0] == pytest.approx(whole, abs=0.06)
        assert numbers(days)[0] == pytest.approx(
            0.8 * numbers(battery)[0] / whole, abs=0.51
        )
    rows = list(tables(section(FIRMWARE, "Power")))[-1]
    for name, *cells in rows:
        few = "2 events" in name
        asleep, *expected = drain(
            numbers(name.removeprefix("OV3660"))[0],
            2 if few else 10,
            50,
            4 if few else 24,
        )
        whole = sum((asleep, *expected))
        for cell, number in zip(
            cells,
            (asleep, *expected, whole, 1600 / whole, 8000 / whole),
            strict=True,
        ):
            assert numbers(cell)[0] == pytest.approx(number, abs=0.6)


# ---- releases ----


def test_one_version() -> None:
    """The manifest's version is the newest of the changes, and what own builds of the firmware say."""
    version = manifest()["version"]
    versions = re.findall(
        r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert versions[0] == version
    assert versions == sorted(versions, key=numbers, reverse=True)
    header = (ROOT / "firmware" / "magicpi_cam" / "config.h").read_text()
    assert f'#define MAGICPI_FW "{version}"' in header


def test_issue_templates() -> None:
    """A bug report asks for what is needed to understand it."""
    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    forms = {
        path.name: yaml.safe_load(path.read_text()) for path in folder.glob("*.yml")
    }
    assert set(forms) == {"bug_report.yml", "feature_request.yml", "config.yml"}
    bug = {item.get("id"): item for item in forms["bug_report.yml"]["body"]}
    for field in ("versions", "camera", "diagnostics", "steps"):
        assert bug[field]["validations"]["required"], field
    for name in ("bug_report.yml", "feature_request.yml"):
        for item in forms[name]["body"]:
            assert item["type"] in {
                "markdown",
                "textarea",
                "input",
                "dropdown",
                "checkboxes",
            }
            assert item["type"] == "markdown" or item["attributes"]["label"]
    assert forms["config.yml"]["blank_issues_enabled"] is False


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name
)
def test_github_files(path: Path) -> None:
    """GitHub's files can be read, and the programs that they run are there."""
    assert yaml.safe_load(path.read_text())
    for script in re.findall(
        r"(?<![\w/])(?:scripts|firmware)/[\w./-]+\.?\w", path.read_text()
    ):
        if "*" not in script and "dist" not in script and not script.endswith("/"):
            assert (ROOT / script).exists(), script


def test_quality_scale_names_documents() -> None:
    """Every rule about documents that is done says where it is done, and there it is."""
    for line in (COMPONENT / "quality_scale.yaml").read_text().splitlines():
        if match := re.match(r"  (docs-[a-z-]+): done(.*)", line):
            places = re.findall(r"[\w/]+\.md(?:#[\w-]+)?", match[2])
            assert places, match[1]
            for place in places:
                name, _, anchor = place.partition("#")
                assert (ROOT / name).is_file(), place
                assert not anchor or anchor in anchors(ROOT / name), place
