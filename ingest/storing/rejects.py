"""Input that could not be stored as an event: saved in ingest_rejects with the reason, bounded.

pipeline.reject (no event could be made of it) and store (the database refused the event) ─▶ save.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ingest.conn import Conn
from ingest.queries import events as queries

MAX_SAVED = 100
"""For each submission. If a PBX sends only such input, these show what is wrong."""
MAX_CHARS = 4_000
MAX_MESSAGE_CHARS = 500


@dataclass(frozen=True, slots=True)
class RejectedInput:
    """A piece of input that is not stored as an event, and why."""

    code: str
    message: str
    content: Any


async def save(conn: Conn, source: str, refusals: Sequence[RejectedInput]) -> None:
    """Save the first MAX_SAVED of these, for whoever looks for the mistake."""
    await queries.insert_rejects(
        conn,
        storable(source),
        [
            (one.code, storable(one.message)[:MAX_MESSAGE_CHARS], as_text(one.content))
            for one in refusals[:MAX_SAVED]
        ],
    )


def as_text(content: Any) -> str:
    """Return the content as JSON, else as its repr(), shortened to MAX_CHARS."""
    for encode in (_as_json, repr):
        try:
            return storable(encode(content)[:MAX_CHARS])
        except (TypeError, ValueError, RecursionError):
            continue
    return storable(reprlib.repr(content)[:MAX_CHARS])  # too deep: the outermost levels


def _as_json(content: Any) -> str:
    return orjson.dumps(content, default=str).decode()


def storable(text: str) -> str:
    """Replace what PostgreSQL's text cannot store: NUL, lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
