"""Calls as lists and welcomes read them are those that events show."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.db import Pool
from ingest import CondensedCall, condense, condensed_calls, load_calls, load_condensed
from ingest.model.call_parts import PartLimits
from ingest.model.call_state import CallChange, CallState, RecordingState
from ingest.model.ids import uuid7
from ingest.queries.sessions import StoredCall
from ingest.storing import sessions
from tests.unit.test_call_parts import START, made_state

LIMITS = PartLimits(legs=6, others=3)


@pytest.mark.parametrize("seed", range(4))
async def test_the_database_chooses_the_same_parts(pool: Pool, seed: int) -> None:
    """For calls with few and many parts, whichever telephones are asked for."""
    chance = random.Random(seed)
    made = [
        made_state(chance, legs=chance.choice([0, 3, 6, 7, 30]), others=chance.choice([0, 3, 9]))
        for _ in range(12)
    ]
    first = {str(one) for one in chance.sample(range(30), 3)}
    async with pool.acquire() as conn:
        await sessions.save(conn, _folded(made))

        whole = await load_calls(conn, [one.id for one in made])
        shown = await load_condensed(conn, [one.id for one in made], limits=LIMITS, first=first)

    for state in made:
        assert whole[state.id] == state
        more = condense(
            CondensedCall(state=state), replace(LIMITS, legs=LIMITS.legs + 3), first=first
        )
        assert shown[state.id] == more
        again = condense(shown[state.id], LIMITS, first=first)
        assert again == condense(CondensedCall(state=state), LIMITS, first=first)


async def test_pages_of_parts_are_the_whole_call(pool: Pool) -> None:
    """Read in steps of any size, each part comes once and in order."""
    state = made_state(random.Random(5), legs=23, others=11)
    recorded = tuple(
        RecordingState(
            id=uuid7(), recording=f"r{n}", leg_key=None, extension=None, state="stopped",
            started_at=START,
        )
        for n in range(7)
    )  # fmt: skip
    state = replace(state, recordings=recorded)
    pages: dict[str, Callable[..., Awaitable[list[Any]]]] = {
        "legs": condensed_calls.page_of_legs,
        "stints": condensed_calls.page_of_stints,
        "transfers": condensed_calls.page_of_transfers,
        "parkings": condensed_calls.page_of_parkings,
        "recordings": condensed_calls.page_of_recordings,
    }
    async with pool.acquire() as conn:
        await sessions.save(conn, _folded([state]))
        whole = (await load_calls(conn, [state.id]))[state.id]

        for name, read in pages.items():
            found: list[object] = []
            while page := await read(conn, state.id, len(found), 4):
                found += page
            assert found == list(getattr(whole, name)), name
        assert await condensed_calls.count_recordings(conn, state.id) == len(recorded)


def _folded(states: list[CallState]) -> sessions.FoldedCalls:
    made = {one.id: one for one in states}
    return sessions.FoldedCalls(
        changes=[CallChange(None, one) for one in made.values()],
        rewritten={call_id: StoredCall(one, START, START) for call_id, one in made.items()},
    )
