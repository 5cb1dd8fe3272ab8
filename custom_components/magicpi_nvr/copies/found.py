"""Copies that are found at a target and that the catalog does not know."""

import asyncio
from collections.abc import Mapping
import logging

from . import names
from .document import MAX_SIZE, Document
from .errors import Cause, TargetError
from .rows import Copy, State, Task
from .target import Target, fetch

_LOGGER = logging.getLogger(__name__)


async def read_copy(
    target: Target,
    target_id: str,
    stem: str,
    sizes: Mapping[str, int],
    gate: asyncio.Semaphore,
) -> Copy | None:
    """Read a copy's JSON; None when it is none, or not complete. Raises TargetError."""
    name, written = stem + names.DOCUMENT, sizes[stem + names.DOCUMENT]
    clip = sizes.get(stem + names.CLIP)
    if written > MAX_SIZE or clip is None:
        return None
    async with gate:
        try:
            data = await fetch(target, name, written)
            document = Document.decode(data)
        except ValueError as error:
            _LOGGER.warning("%s is ignored: %s", name, error)
            return None
        except TargetError as error:
            if error.cause is Cause.NOT_FOUND:
                return None
            raise
    picture = sizes.get(stem + names.PICTURE, 0)
    if document.size != clip or names.event_of(name) != document.facts.event:
        _LOGGER.warning("%s is ignored: it is not its clip's", name)
        return None
    facts = document.facts
    return Copy(
        target=target_id,
        event=facts.event,
        start_ms=facts.start_ms,
        end_ms=facts.end_ms,
        protected=facts.protected,
        frames=facts.frames,
        state=State.COPIED,
        task=Task.NOTHING,
        revision=1,
        stem=stem,
        size=clip,
        stored=clip + picture + written,
        document=written,
        thumbnail=picture,
        sha256=document.sha256,
        attempts=0,
        due_ms=0,
        error="",
        copied_ms=0,
        facts=facts,
    )
