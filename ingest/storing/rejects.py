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

MOST_KEPT = 100
"""Of one submission: a PBX that sends nothing else shows by these what is wrong."""
LONGEST = 4_000
LONGEST_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why this is not taken, and what it is."""

    code: str
    message: str
    said: Any


async def keep(conn: Conn, source: str, refusals: Sequence[Refusal]) -> None:
    """Keep the first of these for whoever looks for the mistake."""
    await queries.reject(
        conn,
        storable(source),
        [
            (one.code, storable(one.message)[:LONGEST_MESSAGE], as_text(one.said))
            for one in refusals[:MOST_KEPT]
        ],
    )


def as_text(said: Any) -> str:
    """Print what was said, as JSON where that can say it, and cut it."""
    for printed in (_as_json, repr):
        try:
            return storable(printed(said)[:LONGEST])
        except (TypeError, ValueError, RecursionError):
            continue
    return storable(reprlib.repr(said)[:LONGEST])  # too deep: the outermost levels


def _as_json(said: Any) -> str:
    return orjson.dumps(said, default=str).decode()


def storable(text: str) -> str:
    """Replace what PostgreSQL's text cannot hold: NUL, lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
