"""The project's documents, taken apart."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
import re
import subprocess

ROOT = Path(__file__).parents[2]
COMPONENT = ROOT / "custom_components" / "magicpi_nvr"

FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")


@cache
def documents() -> tuple[Path, ...]:
    """Return every Markdown file that git knows or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    return tuple(
        path for name in sorted(filter(None, listed)) if (path := ROOT / name).exists()
    )


def name_of(path: Path) -> str:
    """Return a document's path as people write it."""
    return path.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    document: str
    language: str
    text: str


def blocks(*languages: str) -> Iterator[Block]:
    """Return the fenced blocks of all documents that are written in these languages."""
    for path in documents():
        for language, text in FENCE.findall(path.read_text()):
            if language in languages:
                indent = min(
                    (
                        len(line) - len(line.lstrip())
                        for line in text.splitlines()
                        if line.strip()
                    ),
                    default=0,
                )
                yield Block(
                    name_of(path),
                    language,
                    "\n".join(line[indent:] for line in text.splitlines()),
                )


def prose(path: Path) -> str:
    """Return a document without its fenced blocks."""
    return FENCE.sub("", path.read_text())


def anchors(path: Path) -> set[str]:
    """Return what headings can be linked to as, by GitHub's rules."""
    found: set[str] = set()
    for heading in HEADING.findall(prose(path)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number, unique = 0, slug
        while unique in found:
            number += 1
            unique = f"{slug}-{number}"
        found.add(unique)
    return found


def links(path: Path) -> Iterator[str]:
    """Return the targets of all links and pictures."""
    for markdown, html in LINK.findall(prose(path)):
        yield markdown or html


def section(path: Path, title: str) -> str:
    """Return what stands below a heading, up to the next one of its level or above."""
    text = path.read_text()
    match = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert match, f"{name_of(path)} has no section {title!r}"
    rest = text[match.end() :]
    end = re.search(rf"^#{{1,{len(match[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def tables(text: str) -> Iterator[list[list[str]]]:
    """Return the tables of a text, each as its rows without head and rule."""
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif rows:
            yield [[cell.strip("| ") for cell in row] for row in rows[2:]]
            rows = []
