"""Documents read easily: no sentence is long."""

from collections.abc import Iterator
from pathlib import Path
import re

import pytest

from .documents import documents, name_of

MOST_WORDS = 30
# The wire contract stays word for word; a change log's entries are lists of what changed.
EXCLUDED = {"docs/design/protocol.md", "CHANGELOG.md"}
LIST_ITEM = re.compile(r"(?:[-*]|[0-9]+\.) +")


def sentences(text: str) -> Iterator[str]:
    """Return the sentences of a document: without code blocks, tables, headings, comments and pictures."""
    text = re.sub(
        r"^ *```.*?^ *```$|<!--.*?-->", "", text, flags=re.DOTALL | re.MULTILINE
    )
    paragraphs = [""]
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith(("|", "#", "<", "[![")):
            paragraphs.append("")
        elif item := LIST_ITEM.match(line):
            paragraphs.append(line[item.end() :])
        else:
            paragraphs[-1] += f" {line}"
    for paragraph in paragraphs:
        # Code and an address are a word each; a line of links is no sentence
        words = re.sub(r"`[^`]*`", "Code", paragraph)
        words = re.sub(r"\]\([^)]*\)", "]", words).replace(" · ", ". X")
        yield from re.split(r"(?<=[.!?:])[)*_\"\]]*\s+(?=[\"(*_\[]*[A-Z0-9])", words)


def too_long(text: str) -> list[str]:
    """Return the sentences that have more words than one may have."""
    return [
        sentence
        for sentence in sentences(text)
        if len(re.findall(r"\w[\w'’.,×-]*", sentence)) > MOST_WORDS
    ]


@pytest.mark.parametrize(
    "path",
    [path for path in documents() if name_of(path) not in EXCLUDED],
    ids=name_of,
)
def test_sentences_are_short(path: Path) -> None:
    """No sentence has more than thirty words."""
    assert too_long(path.read_text()) == []


def test_a_long_sentence_is_found() -> None:
    """The check counts words over lines, and leaves out what is not prose."""
    assert too_long("word\n" * 31)
    assert not too_long("word " * 30)
    assert not too_long("| " + "word " * 40 + "|\n```\n" + "word " * 40 + "\n```\n")
    assert not too_long("Word " * 20 + "end. " + "Word " * 20)
