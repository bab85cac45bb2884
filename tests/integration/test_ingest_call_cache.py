"""Calls that a node stored last are not read back, and nothing depends on that."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from gateway.db import Conn, Pool
from ingest import CallEvent, Pipeline
from ingest.queries import aliases
from ingest.queries import events as queries
from tests.support.call_truth import calls_of, events_of_recording
from tests.support.ingest_tools import (
    SETTINGS,
    SOME,
    RecordedAnnouncements,
    anonymous,
    stored_calls,
)
from tests.support.query_plans import Explaining


async def submit_in_pieces(pipeline: Pipeline, events: list[CallEvent], size: int) -> None:
    for first in range(0, len(events), size):
        await pipeline.submit(events[first : first + size])


async def test_a_call_in_progress_is_not_read_back(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that stores a call piece by piece asks for its events not once."""
    events = events_of_recording(SOME[0])

    async def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("events were read back")

    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        with monkeypatch.context() as patched:
            patched.setattr(queries, "load", refuse)
            await submit_in_pieces(pipeline, events, 5)

    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))


@pytest.mark.parametrize("remembered", [0, 30])
async def test_little_memory_changes_nothing(remembered: int, pool: Pool) -> None:
    """With room for no event, or for less than one call, every call is what it is."""
    events = events_of_recording(SOME[4])
    random.Random(1).shuffle(events)
    settings = replace(SETTINGS, cached_events=remembered)

    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=settings) as pipeline:
        await submit_in_pieces(pipeline, events, 7)

    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))


async def test_a_failed_batch_is_not_remembered(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a batch has noted before its transaction failed is not taken for stored."""
    events = events_of_recording(SOME[0])
    insert, failing = queries.insert, iter([False, True, False])

    async def fragile(conn: Any, new: Any) -> None:
        await insert(conn, new)
        if next(failing, False):
            raise TimeoutError

    monkeypatch.setattr(queries, "insert", fragile)
    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        await submit_in_pieces(pipeline, events, 10)

    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))
    assert pipeline.metrics.retries == 1


async def test_native_ids_are_looked_up_by_index_however_many_there_are(conn: Conn) -> None:
    """If PostgreSQL knew how many they are, it would read 20,000 rows to find 200."""
    await conn.execute(
        """
        INSERT INTO realtime.call_aliases (source, key, call_id)
        SELECT 'pbx', n::text, gen_random_uuid() FROM generate_series(1, 20000) AS n;
        ANALYZE realtime.call_aliases
        """
    )
    explaining: Any = Explaining(conn, "force_custom_plan")

    await aliases.find(explaining, [("pbx", f"new {number}") for number in range(200)])

    assert {how for _, how, _ in explaining.reads()} <= {"Index Scan", "Index Only Scan"}
