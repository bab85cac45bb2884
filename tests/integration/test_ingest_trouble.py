"""Ingest in trouble: events that cannot be stored, bounds, lost connections, shutdown."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from gateway.db import Pool
from ingest import (
    AgentChange,
    Busy,
    CallChange,
    CallEvent,
    Closed,
    IngestUnavailable,
    Pipeline,
    TooManyEvents,
)
from ingest import pipeline as pipelines
from ingest.queries import agent_pauses as agent_queries
from ingest.storing.agent_pauses import MAX_EVENTS
from tests.support.call_truth import calls_of, events_of_recording
from tests.support.ingest_tools import (
    SETTINGS,
    SOME,
    WAIT_S,
    RecordedAnnouncements,
    anonymous,
    count,
    delayed_commit,
    pause_event,
    stored_calls,
)


@pytest.mark.parametrize(
    "poison",
    [
        pause_event(attrs={"reason": "a\0b"}),
        pause_event(queue="nul\0"),
        pause_event(extension="\ud800"),
        pause_event(occurred_at="not a time"),
    ],
    ids=["nul in attrs", "nul", "surrogate", "no time"],
)
async def test_an_event_that_cannot_be_stored_does_not_affect_its_batch(
    poison: CallEvent, pool: Pool, announced: RecordedAnnouncements
) -> None:
    """All others are stored; the culprit is named, and kept with the reason."""
    events = events_of_recording(SOME[0])
    at = 13

    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        receipt = await pipeline.submit([*events[:at], poison, *events[at:]])

    (rejected,) = receipt.rejected
    (kept,) = await pool.fetch("SELECT * FROM realtime.ingest_rejects")
    assert (receipt.accepted, rejected.index) == (len(events), at)
    assert (kept["source"], kept["code"]) == ("pbx", rejected.code)
    assert str(poison.event_id) in kept["event"]
    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))


async def test_events_about_no_call_are_kept(pool: Pool, announced: RecordedAnnouncements) -> None:
    """An agent's pause is a fact without a call, and no call is announced."""
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        receipt = await pipeline.submit([pause_event(extension="101", attrs={"reason": "Обід"})])

    row = await pool.fetchrow("SELECT * FROM realtime.call_events")
    assert row is not None
    assert (receipt.accepted, row["call_id"], row["attrs"]) == (1, None, {"reason": "Обід"})
    assert not announced.changes


async def test_a_full_pipeline_says_when_to_come_back(
    pool: Pool, database: str, announced: RecordedAnnouncements
) -> None:
    """What was admitted is stored; what was refused is not, and may be sent again."""
    settings = replace(SETTINGS, batch_events=1, max_waiting_events=3)
    async with Pipeline(pool, announce=announced, settings=settings) as pipeline:
        async with delayed_commit(database) as waiting:
            first = asyncio.create_task(pipeline.submit([pause_event()]))
            await waiting()
            more = asyncio.create_task(
                pipeline.submit([pause_event(), pause_event(), pause_event()])
            )
            await asyncio.sleep(0)
            with pytest.raises(Busy) as busy:
                await pipeline.submit([refused := pause_event()])
        receipts = await asyncio.gather(first, more)
        again = await pipeline.submit([refused])

    assert busy.value.retry_after > 0
    assert [receipt.accepted for receipt in receipts] == [1, 3]
    assert again.accepted == 1
    assert pipeline.metrics.refused == 1
    assert await count(pool, "call_events") == 5


async def test_bytes_are_bounded_too(
    pool: Pool, database: str, announced: RecordedAnnouncements
) -> None:
    """Three large events are too much where three small ones are not."""
    settings = replace(SETTINGS, batch_events=1, max_waiting_bytes=5_000)
    large = {"member": "x" * 2_000}
    async with Pipeline(pool, announce=announced, settings=settings) as pipeline:
        async with delayed_commit(database) as waiting:
            tasks = [asyncio.create_task(pipeline.submit([pause_event()]))]
            await waiting()
            tasks.append(asyncio.create_task(pipeline.submit([pause_event(attrs=large)])))
            await asyncio.sleep(0)
            with pytest.raises(Busy):
                await pipeline.submit([pause_event(attrs=large), pause_event(attrs=large)])
        await asyncio.gather(*tasks)

    assert (pipeline.waiting_events, pipeline.waiting_bytes) == (0, 0)


async def test_too_many_events_at_once_are_refused(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """The bound is exact, and nothing of a refused submission is stored."""
    settings = replace(SETTINGS, max_submission_events=3)
    async with Pipeline(pool, announce=announced, settings=settings) as pipeline:
        with pytest.raises(TooManyEvents):
            await pipeline.submit([pause_event() for _ in range(4)])
        receipt = await pipeline.submit([pause_event() for _ in range(3)])

    assert receipt.accepted == await count(pool, "call_events") == 3


async def test_a_lost_connection_is_survived(
    pool: Pool, database: str, announced: RecordedAnnouncements
) -> None:
    """The backend is killed in the middle of a batch; the batch is stored by the next attempt."""
    events = events_of_recording(SOME[0])
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        async with delayed_commit(database) as waiting:
            receipt = asyncio.create_task(pipeline.submit(events))
            killed = await waiting()
            await pool.execute("SELECT pg_terminate_backend($1)", killed)
            async with asyncio.timeout(WAIT_S):
                while await waiting() == killed:
                    pass
        result = await receipt

    assert result.accepted == len(events)
    assert pipeline.metrics.retries == 1
    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))


async def test_a_commit_whose_answer_was_lost_is_announced_all_the_same(
    pool: Pool, announced: RecordedAnnouncements, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt commits and loses its connection; the second announces the stored state."""
    events = events_of_recording(SOME[0])
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        store = pipeline._store
        transaction = store._transaction
        lost: list[bool] = []

        async def commit_and_lose(batch: Any, *, again: bool) -> Any:
            stored = await transaction(batch, again=again)
            if not lost:
                lost.append(True)
                raise asyncpg.ConnectionDoesNotExistError("the answer to COMMIT never came")
            return stored

        monkeypatch.setattr(
            type(store), "_transaction", lambda _, b, again: commit_and_lose(b, again=again)
        )
        receipt = await pipeline.submit(events)

    (change,) = announced.changes
    assert receipt.duplicates == len(events)
    assert (change.before, change.after.outcome) == (None, "answered")
    assert change.repeated


async def test_what_is_stored_of_a_batch_that_fails_is_announced(
    pool: Pool, announced: RecordedAnnouncements, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is bisected and the database goes away between the halves; sent again, all is."""
    first, second = events_of_recording(SOME[0]), events_of_recording(SOME[1])
    away: list[bool] = []

    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        transaction = pipeline._store._transaction

        async def once(batch: Any, *, again: bool) -> Any:
            if away:
                raise ConnectionRefusedError
            stored = await transaction(batch, again=again)
            away.append(True)
            return stored

        with monkeypatch.context() as broken:
            broken.setattr(
                type(pipeline._store), "_transaction", lambda _, b, again: once(b, again=again)
            )
            with pytest.raises(IngestUnavailable):
                await pipeline.submit([*first, pause_event(queue="\0"), *second])
        receipt = await pipeline.submit([*first, *second])

    calls = {change.after.id for change in announced.changes}
    assert len(calls) == len(await stored_calls(pool)) == 2
    assert pipeline.metrics.accepted == len(first + second)
    assert receipt.duplicates > 0
    assert {reported[0] for reported in announced.versions.values()} == {1}
    assert not any(change.repeated for change in announced.changes)


async def test_a_database_that_stays_away_is_reported_to_the_sender(
    pool: Pool, database: str, announced: RecordedAnnouncements
) -> None:
    """After its attempts the batch is given up with a temporary error; a later one succeeds."""
    settings = replace(SETTINGS, attempts=2, database_timeout_s=0.2)
    events = events_of_recording(SOME[0])
    async with Pipeline(pool, announce=announced, settings=settings) as pipeline:
        async with delayed_commit(database):
            with pytest.raises(IngestUnavailable):
                await pipeline.submit(events)
        receipt = await pipeline.submit(events)

    assert receipt.accepted == len(events)
    assert pipeline.metrics.failed_batches == 1


async def test_shutting_down_stores_what_waits(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Everything submitted before the end has its receipt; afterwards nothing is taken."""
    events = events_of_recording(SOME[0])
    settings = replace(SETTINGS, batch_ms=60_000)
    async with Pipeline(pool, announce=announced, settings=settings) as pipeline:
        receipt = asyncio.create_task(pipeline.submit(events))
        await asyncio.sleep(0)

    assert (await receipt).accepted == len(events)
    with pytest.raises(Closed):
        await pipeline.submit(events)


async def test_an_announcement_that_hangs_does_not_hold_up_the_end(
    pool: Pool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was acknowledged is stored; that it was not announced is logged."""
    monkeypatch.setattr(pipelines, "DRAIN_S", 0.2)
    monkeypatch.setattr(pipelines, "FINAL_ANNOUNCE_S", 0.1)
    events = events_of_recording(SOME[0])
    hung = asyncio.Event()

    async def announce(_changes: list[CallChange]) -> None:
        hung.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(WAIT_S):
        async with Pipeline(pool, announce=announce, settings=SETTINGS) as pipeline:
            first = await pipeline.submit(events[:5])
            await hung.wait()
            second = await pipeline.submit(events[5:])

    assert (first.accepted, second.accepted) == (5, len(events) - 5)
    assert "stopped before everything was announced" in caplog.text
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "ingest.announce"]


async def test_a_failing_announcement_harms_nobody(pool: Pool) -> None:
    """The receipt is given, the next batch is announced, and the failure is counted."""
    announced: list[int] = []

    async def announce(changes: list[CallChange]) -> None:
        announced.append(len(changes))
        if len(announced) == 1:
            raise RuntimeError("nobody listens")

    async with Pipeline(pool, announce=announce, settings=SETTINGS) as pipeline:
        first = await pipeline.submit(events_of_recording(SOME[0]))
        second = await pipeline.submit(events_of_recording(SOME[1]))

    assert first.accepted
    assert second.accepted
    assert announced == [1, 1]
    assert pipeline.metrics.announce_failures == 1


async def test_calls_that_cannot_be_announced_do_not_silence_agents(pool: Pool) -> None:
    """Each has its own timeout: a login is announced, although the calls are not."""
    announced: list[AgentChange] = []

    async def never(_: list[CallChange]) -> None:
        await asyncio.Event().wait()

    async def agents(changes: list[AgentChange]) -> None:
        announced.extend(changes)

    settings = replace(SETTINGS, announce_timeout_s=0.05)
    async with Pipeline(
        pool, announce=never, announce_agents=agents, settings=settings
    ) as pipeline:
        await pipeline.submit(
            [*events_of_recording(SOME[0]), pause_event(extension="199", queue="q")]
        )

    assert [one.queues for one in announced if one.extension == "199"] == [frozenset({"q"})]
    assert pipeline.metrics.announce_failures == 1


async def test_a_pbx_that_starts_anew_is_folded_some_telephones_at_a_time(
    pool: Pool, announced: RecordedAnnouncements, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All log off at once; one of more queues than events are read of is off in all of them."""
    reported: list[AgentChange] = []
    read: list[int] = []
    events = agent_queries.events
    queues = [f"q{place:03}" for place in range(MAX_EVENTS + 20)]
    log_in = [pause_event(type="agent.login", extension="7", queue=queue) for queue in queues]
    log_in += [pause_event(type="agent.login", extension=f"1{n:02}", queue="q") for n in range(60)]
    log_off = [
        replace(pause_event(), type="agent.logoff", extension=one.extension, queue=one.queue)
        for one in log_in
    ]

    async def count_events(conn: Any, telephones: Any) -> Any:
        read.append(sum(telephones.values()))
        return await events(conn, telephones)

    async def agents(changes: list[AgentChange]) -> None:
        reported.extend(changes)

    monkeypatch.setattr(agent_queries, "events", count_events)
    async with Pipeline(
        pool, announce=announced, announce_agents=agents, settings=SETTINGS
    ) as pipeline:
        await pipeline.submit(log_in)
        await pipeline.submit(log_off)

    marks = await pool.fetch("SELECT extension, logged_in FROM realtime.agent_marks")
    assert (len(marks), len(reported)) == (len(log_in), 2 * 61)
    assert not any(row["logged_in"] for row in marks)
    assert max(read) < 1_500


async def test_a_key_used_without_end_does_not_slow_everybody(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """A call beyond its bound of events stays as it is; its events are stored."""
    settings = replace(SETTINGS, max_call_events=40)
    start = datetime.now(UTC)
    made = [
        replace(
            pause_event(),
            type="leg.ringing",
            leg_key="leg",
            occurred_at=start + timedelta(seconds=n),
        )
        for n in range(60)
    ]
    async with Pipeline(pool, announce=announced, settings=settings) as pipeline:
        await pipeline.submit(made[:30])
        receipt = await pipeline.submit(made[30:])
        again = await pipeline.submit(
            [replace(made[-1], event_id=uuid4(), occurred_at=start + timedelta(hours=1))]
        )

    assert receipt.accepted == 30
    assert (len(receipt.overused), again.overused) == (30, (0,))
    assert pipeline.metrics.overused == 31
    assert [change.after.version for change in announced.changes] == [1]


async def test_received_equals_accepted_plus_duplicates_plus_rejected(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Accepted + duplicates + rejected equals received."""
    events = events_of_recording(SOME[0])
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        await pipeline.submit([*events, pause_event(queue="\0"), *events[:5]])
        await pipeline.submit(events)

    metrics = pipeline.metrics
    assert (metrics.accepted, metrics.duplicates, metrics.rejected) == (
        len(events), 5 + len(events), 1,
    )  # fmt: skip
    assert metrics.received == metrics.accepted + metrics.duplicates + metrics.rejected
