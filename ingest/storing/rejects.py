"""What a PBX said and is no event: kept in ingest_rejects with the reason, within bounds.

pipeline.refuse (what no event could be made of) and store (what the database refused) ─▶ here.
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
"""Of one submission: a PBX that sends nothing else shows by these what is wrong."""
MAX_CHARS = 4_000
MAX_MESSAGE_CHARS = 500


@dataclass(frozen=True, slots=True)
class RejectedInput:
    """Why this is not taken, and what it is."""

    code: str
    message: str
    content: Any


async def save(conn: Conn, source: str, refusals: Sequence[RejectedInput]) -> None:
    """Keep the first of these for whoever looks for the mistake."""
    await queries.insert_rejects(
        conn,
        storable(source),
        [
            (one.code, storable(one.message)[:MAX_MESSAGE_CHARS], as_text(one.content))
            for one in refusals[:MAX_SAVED]
        ],
    )


def as_text(said: Any) -> str:
    """Print what was said, as JSON where that can say it, and cut it."""
    for printed in (_as_json, repr):
        try:
            return storable(printed(said)[:MAX_CHARS])
        except (TypeError, ValueError, RecursionError):
            continue
    return storable(reprlib.repr(said)[:MAX_CHARS])  # too deep: the outermost levels


def _as_json(said: Any) -> str:
    return orjson.dumps(said, default=str).decode()


def storable(text: str) -> str:
    """Replace what PostgreSQL's text cannot hold: NUL, lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
