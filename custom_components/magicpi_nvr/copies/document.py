"""The JSON beside a copy: facts for people, and what gives the recording back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
import json
from typing import Any, Self

from .model import Facts

_VERSION = 1
MAX_SIZE = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Content of the JSON; `source` is opaque here."""

    facts: Facts
    size: int  # of the MP4
    sha256: str
    thumbnail: int  # bytes, 0 = none
    source: Mapping[str, Any]

    def encode(self) -> bytes:
        """Return the file, what people read first."""
        facts = self.facts
        return json.dumps(
            {
                "v": _VERSION,
                "camera_name": facts.camera_name,
                "start": _iso(facts.start_ms),
                "end": _iso(facts.end_ms),
                **facts.as_dict(),
                "clip": {"size": self.size, "sha256": self.sha256},
                "thumbnail": {"size": self.thumbnail},
                "source": self.source,
            },
            ensure_ascii=False,
            indent=1,
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the file; raises ValueError when it is not ours."""
        try:
            content = json.loads(data)
            if content["v"] != _VERSION:
                raise ValueError("another version")
            return cls(
                facts=Facts.from_dict(content),
                size=int(content["clip"]["size"]),
                sha256=str(content["clip"]["sha256"]),
                thumbnail=int(content["thumbnail"]["size"]),
                source=dict(content["source"]),
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a copy's facts: {error}") from error


def _iso(at_ms: int) -> str:
    at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)
    return at.isoformat(timespec="milliseconds")
