"""How long a search takes among half a million messages: for rare words and for common ones.

The product's own function on a separate PostgreSQL, without sockets: measured is the database's
work, in as many statements as the search needs.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from gateway.auth import Identity
from gateway.chat import search
from gateway.context import Context, Services
from gateway.db import Conn
from gateway.protocol import Employee, MessageSearch
from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_database import OneConnection, own_database
from loadtests.queries import people, words
from loadtests.report import Figure, Result

STAFF = 200
RUNS = 30
WARM = 5
SLOWEST_MS = 500.0
"""A median above this is no search any more that one types into."""


@dataclass(frozen=True, slots=True)
class SearchVolume:
    """How much there is."""

    messages: int = 500_000
    conversations: int = 2_000
    days: int = 1_000
    runs: int = RUNS


def run(_options: Options) -> Result:
    """Load a database, measure, remove it."""
    return asyncio.run(measure(SearchVolume()))


async def measure(size: SearchVolume) -> Result:
    """Search for everything that `searches` names."""
    async with own_database() as conn:
        staff = await people.hire(conn, STAFF)
        await words.write(
            conn,
            staff,
            conversations=size.conversations,
            messages=size.messages,
            days=size.days,
        )
        return await _measure(conn, staff[0], size)


def searches(conversation_id: int, sender_id: int) -> dict[str, MessageSearch]:
    """Return what is searched for; a space at the end makes the last word a whole one."""
    return {
        "unique": MessageSearch(text=words.UNIQUE),
        "rare": MessageSearch(text=words.RARE),
        "common_whole": MessageSearch(text=f"{words.COMMON} "),
        "common": MessageSearch(text=words.COMMON),
        "common_and_rare": MessageSearch(text=f"{words.COMMON} {words.RARE}"),
        "common_of_one_sender": MessageSearch(text=words.COMMON, sender_id=sender_id),
        "common_in_one": MessageSearch(text=words.COMMON, conversation_id=conversation_id),
        "unknown": MessageSearch(text="немаєтакого"),
    }


async def _measure(conn: Conn, employee_id: int, size: SearchVolume) -> Result:
    person = Employee(id=employee_id, name="Searcher")
    identity = Identity(person, frozenset(), datetime.now(UTC) + timedelta(hours=1))
    ctx = Context(identity, cast("Services", OneConnection(conn)))
    figures: dict[str, Figure | dict[str, Figure]] = {}
    failures: list[str] = []
    for name, asked in searches(*await words.some_room(conn, employee_id)).items():
        took, found = Latencies(), 0
        for number in range(size.runs + WARM):
            began = time.perf_counter()
            answer: Any = await search.messages(ctx, asked)
            if number >= WARM:
                took.add(time.perf_counter() - began)
            found = len(answer.messages)
        figures[name] = {"found": found, **took.figures()}
        if (median := took.percentile(0.5)) > SLOWEST_MS:
            failures.append(f"{name}: {median:.0f} ms")
        if (found == 0) != (name == "unknown"):
            failures.append(f"{name}: found {found}")
    return Result(
        "search",
        f"{size.messages:,} messages in {size.conversations:,} conversations, "
        f"{size.days:,} days, a person in every twentieth",
        figures,
        failures,
    )
