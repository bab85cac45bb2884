"""A rebuild that is interrupted, beside a running pipeline: it goes on where it was."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from redis.asyncio import Redis

from gateway.db import Pool
from gateway.telephony.stats.stats_cache import RedisStatsCache
from ingest import CallEvent, IngestSettings, Pipeline, RebuildProgress, rebuild, shift
from ingest.model.events import EventType
from ingest.storing import agent_pauses
from ingest.upkeep import rebuild as rebuilding
from ingest.upkeep import restore
from tests.support.call_truth import calls_of, events_of_recording
from tests.support.ingest_tools import (
    SETTINGS,
    RecordedAnnouncements,
    anonymous,
    delayed_commit,
    stored_calls,
)

MOST = IngestSettings().max_call_events
NOW = datetime.now(UTC).replace(microsecond=0)
BEGAN = NOW - timedelta(hours=3)

OLD_RESULTS = (
    "UPDATE realtime.call_events SET told = NULL",
    "UPDATE realtime.call_legs SET placed = false",
    "UPDATE realtime.call_legs SET ended_reason = 'no_answer' WHERE ended_reason = 'other_device'",
    "UPDATE realtime.call_sessions SET direction = 'internal', outcome = 'missed'"
    " WHERE merged_into IS NULL AND direction = 'outbound'",
)
"""What a release wrote that knew neither the order of telling, nor placed legs, nor devices."""


def told(
    kind: EventType, at: datetime, call: str, leg: str, *, source: str = "pbx", **fields: Any
) -> CallEvent:
    return CallEvent(
        event_id=uuid4(), source=source, type=kind, occurred_at=at, call_key=call,
        leg_key=f"{call}-{leg}", **fields,
    )  # fmt: skip


def simple_call(number: int, at: datetime, *, source: str = "pbx") -> list[CallEvent]:
    """Let a customer ring a telephone of two devices; one of them answers."""
    call, after = f"{source}-{number}", timedelta(seconds=1)
    caller = f"{call}-caller"
    asked = {"peer_leg_key": caller, "extension": "101", "source": source}
    return [
        told("leg.created", at, call, "caller", source=source, attrs={"number_raw": "0671112233"}),
        told("offer.started", at + after, call, "desk", **asked),
        told("leg.ringing", at + after, call, "desk", source=source),
        told("offer.started", at + after, call, "app", **asked),
        told("leg.ringing", at + after, call, "app", source=source),
        told("leg.answered", at + 5 * after, call, "desk", source=source),
        told("bridge.joined", at + 5 * after, call, "desk", source=source, attrs={"bridge": call}),
        told("bridge.joined", at + 5 * after, call, "caller", source=source,
             attrs={"bridge": call}),
        told("leg.ended", at + 5 * after, call, "app", source=source, attrs={"cause": 26}),
        told("leg.ended", at + 60 * after, call, "desk", source=source, attrs={"cause": 16}),
        told("leg.ended", at + 60 * after, call, "caller", source=source, attrs={"cause": 16}),
    ]  # fmt: skip


def many_calls(count: int, *, source: str = "pbx", began: datetime = BEGAN) -> list[CallEvent]:
    every = timedelta(minutes=2)
    return [
        one
        for number in range(count)
        for one in simple_call(number, began + number * every, source=source)
    ]


def steps_of(pool: Pool, **chosen: Any) -> AsyncGenerator[RebuildProgress, None]:
    return rebuild(pool, max_call_events=MOST, **chosen)


async def to_the_end(pool: Pool, **chosen: Any) -> list[RebuildProgress]:
    return [step async for step in steps_of(pool, **chosen)]


async def store(pool: Pool, events: list[CallEvent]) -> None:
    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        await pipeline.submit(events)


async def some_chunks(
    pool: Pool, chunks: int, **chosen: Any
) -> tuple[AsyncGenerator[RebuildProgress, None], RebuildProgress]:
    """Begin, or go on, and stop after some chunks."""
    steps = steps_of(pool, **chosen)
    done = await anext(steps)
    for _ in range(chunks):
        done = await anext(steps)
    return steps, done


async def test_old_calls_come_out_as_a_new_fold_says_after_two_interruptions(
    pool: Pool, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled, then its connection killed, within a chunk; live events come in all the time."""
    monkeypatch.setattr(rebuilding, "CALLS_AT_ONCE", 3)
    calls = [simple_call(number, BEGAN + number * timedelta(minutes=2)) for number in range(20)]
    clicked = events_of_recording("l26_click_to_call")
    clicked = shift(clicked, BEGAN - timedelta(hours=1) - clicked[0].occurred_at)
    late = [one for call in calls for one in call[-2:]]
    await store(pool, [*clicked, *(one for call in calls for one in call[:-2])])
    for statement in OLD_RESULTS:
        await pool.execute(statement)
    fresh = [simple_call(number, NOW - timedelta(minutes=5)) for number in range(100, 105)]

    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as live:
        await live.submit(late[:14])
        steps, first = await some_chunks(pool, 2)
        async with delayed_commit(database) as waiting:
            stopped = asyncio.create_task(anext(steps))
            await waiting()
            submitted = asyncio.create_task(live.submit([*late[14:24], *fresh[0]]))
            stopped.cancel()
            with suppress(asyncio.CancelledError):
                await stopped
        await submitted
        await steps.aclose()

        steps, second = await some_chunks(pool, 2)
        async with delayed_commit(database) as waiting:
            stopped = asyncio.create_task(anext(steps))
            await pool.execute("SELECT pg_terminate_backend($1)", await waiting())
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await stopped
            submitted = asyncio.create_task(live.submit([*late[24:34], *fresh[1]]))
        await submitted
        await steps.aclose()

        rebuilt = asyncio.create_task(to_the_end(pool))
        await asyncio.gather(live.submit(late[34:]), *(live.submit(one) for one in fresh[2:]))
        rest = await rebuilt

    assert (first.examined, second.examined) == (6, 12)
    assert (rest[0].examined, rest[-1].examined, rest[-1].total) == (12, 21, 21)
    assert rest[0].resumed_from is not None
    wanted = calls_of([*clicked, *(one for call in (*calls, *fresh) for one in call)])
    assert sum(leg.placed for call in wanted for leg in call.legs) == 1
    assert sum(leg.ended_reason == "other_device" for c in wanted for leg in c.legs) == 25
    by_leg = {min(leg.leg_key for leg in call.legs): anonymous([call]) for call in wanted}
    stored = await stored_calls(pool)
    assert {min(leg.leg_key for leg in c.legs): anonymous([c]) for c in stored} == by_leg
    again = await to_the_end(pool)
    assert (again[-1].changed, again[-1].resumed_from) == (0, None)


async def test_finished_chunks_are_not_repeated(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What turns wrong behind the position stays so until the next rebuild, or one begun anew."""
    monkeypatch.setattr(rebuilding, "CALLS_AT_ONCE", 2)
    await store(pool, many_calls(7))
    wrong = "SELECT count(*) FROM realtime.call_sessions WHERE outcome = 'failed'"

    steps, done = await some_chunks(pool, 2)
    await steps.aclose()
    await pool.execute("UPDATE realtime.call_sessions SET outcome = 'failed'")
    resumed = await to_the_end(pool)
    left = await pool.fetchval(wrong)
    steps, _ = await some_chunks(pool, 3)
    await steps.aclose()
    await pool.execute("UPDATE realtime.call_sessions SET outcome = 'failed'")
    anew = await to_the_end(pool, anew=True)

    assert done.examined == 4
    assert [resumed[0].examined, resumed[-1].examined] == [4, 7]
    assert (resumed[-1].changed, left) == (3, 4)
    assert (anew[0].examined, anew[-1].changed, await pool.fetchval(wrong)) == (0, 7, 0)
    assert await pool.fetchval("SELECT count(*) FROM realtime.call_rebuilds") == 0


async def test_only_the_same_selection_by_the_same_rules_goes_on(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other calls, or another release: from the beginning."""
    monkeypatch.setattr(rebuilding, "CALLS_AT_ONCE", 2)
    await store(pool, many_calls(5))
    steps, _ = await some_chunks(pool, 1, source="pbx", rules="1.0")
    await steps.aclose()

    all_calls = await to_the_end(pool, rules="1.0")
    same = await anext(steps_of(pool, source="pbx", rules="1.0"))
    newer = await to_the_end(pool, source="pbx", rules="1.1")

    assert (all_calls[0].examined, all_calls[-1].examined) == (0, 5)
    assert (same.examined, same.resumed_from is None) == (2, False)
    assert (newer[0].examined, newer[0].resumed_from, newer[-1].examined) == (0, None, 5)


async def test_every_stage_goes_on(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted after each single step, also among missing calls and telephones."""
    for module in (rebuilding, restore):
        monkeypatch.setattr(module, "CALLS_AT_ONCE", 2)
    monkeypatch.setattr(restore, "SEARCHED_CALLS", 4)
    monkeypatch.setattr(agent_pauses, "TELEPHONES_AT_ONCE", 2)
    logins = [
        CallEvent(event_id=uuid4(), source="pbx", type="agent.login", occurred_at=BEGAN,
                  queue="sales", extension=f"10{n}")
        for n in range(5)
    ]  # fmt: skip
    await store(pool, [*many_calls(11), *logins])
    before = anonymous(await stored_calls(pool))
    await pool.execute(
        "DELETE FROM realtime.call_sessions WHERE id IN"
        " (SELECT id FROM realtime.call_sessions ORDER BY started_at LIMIT 7)"
    )
    await pool.execute("UPDATE realtime.agent_marks SET logged_in = false")

    seen: list[tuple[str, int]] = []
    while True:
        steps = steps_of(pool)
        await anext(steps)
        done = await anext(steps)
        await steps.aclose()
        seen.append((done.stage, done.done))
        if done.finished:
            break

    assert (done.examined, done.changed, done.restored, done.telephones) == (11, 7, 7, 5)
    assert anonymous(await stored_calls(pool)) == before
    assert {stage for stage, _ in seen} == {"calls", "missing", "agents", "finished"}
    assert [count for stage, count in seen if stage == "calls"] == [2, 4]
    assert ("agents", 5) in seen


async def test_two_at_once_share_the_work(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk is done by one of them, and both end."""
    monkeypatch.setattr(rebuilding, "CALLS_AT_ONCE", 2)
    await store(pool, many_calls(12))
    await pool.execute("UPDATE realtime.call_sessions SET talk_ms = 1")

    both = await asyncio.gather(to_the_end(pool), to_the_end(pool))

    last = max((steps[-1] for steps in both), key=lambda done: done.finished)
    assert (last.examined, last.changed) == (12, 12)
    assert (
        await pool.fetchval("SELECT max(version) - min(version) FROM realtime.call_sessions") == 0
    )


async def test_a_chunk_of_long_calls_has_fewer_calls(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a transaction has an end, and needs a bounded memory, whatever the calls are like."""
    monkeypatch.setattr(restore, "EVENTS_AT_ONCE", 23)
    await store(pool, many_calls(5))  # of 11 events each

    sizes = [step.examined for step in await to_the_end(pool) if step.stage == "calls"]
    await pool.execute("DELETE FROM realtime.call_sessions")
    restored = [step.restored for step in await to_the_end(pool)]
    monkeypatch.setattr(restore, "EVENTS_AT_ONCE", 1)
    single = [step.examined for step in await to_the_end(pool) if step.stage == "calls"]

    assert sizes == [0, 2, 4, 5]
    assert sorted(set(restored)) == [0, 2, 4, 5]
    assert single == [0, 1, 2, 3, 4, 5]


async def command(database: str, *words: str, redis_url: str = "") -> asyncio.subprocess.Process:
    found = {"GATEWAY_DATABASE_URL": database, "GATEWAY_REDIS_URL": redis_url}
    kept = {name: value for name, value in os.environ.items() if name != "GATEWAY_REDIS_URL"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "replay", "--rebuild", *words,
        env={**kept, **{name: value for name, value in found.items() if value}},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_the_command_goes_on_after_a_signal(
    pool: Pool, database: str, number: signal.Signals
) -> None:
    """It says how far it came, unless it was killed; the next one does only the rest."""
    older = BEGAN - timedelta(hours=1)
    await store(pool, [*many_calls(53), *many_calls(2, source="branch", began=older)])
    await pool.execute("UPDATE realtime.call_sessions SET outcome = 'failed'")

    async with delayed_commit(database, "branch") as waiting:  # of the second chunk
        running = await command(database)
        await waiting()
        running.send_signal(number)
        said, _ = await running.communicate()
    rest, _ = await (await command(database)).communicate()

    if number == signal.SIGKILL:
        assert running.returncode == -signal.SIGKILL
    else:
        assert running.returncode == 128 + number
        assert "50 calls examined, 50 changed" in said.decode()
        assert "The same command goes on there." in said.decode()
    assert "Going on with the rebuild of" in rest.decode()
    assert "calls: 55/55 (100%)" in rest.decode()
    assert "55 calls examined, 55 changed, 0 skipped" in rest.decode()
    outcomes = await pool.fetch("SELECT DISTINCT outcome FROM realtime.call_sessions")
    assert [row["outcome"] for row in outcomes] == ["answered"]


async def test_cached_statistics_of_corrected_days_are_dropped(
    pool: Pool, database: str, redis_url: str
) -> None:
    """Of the days of corrected calls, before and now; other days stay."""
    days = [NOW - timedelta(days=back) for back in (2, 3, 4)]
    await store(pool, [one for n, day in enumerate(days) for one in simple_call(n, day)])
    await pool.execute(
        "UPDATE realtime.call_sessions SET outcome = 'failed' WHERE started_at = $1", days[1]
    )
    counted: list[datetime] = []
    async with Redis.from_url(redis_url) as redis:

        async def ask() -> None:
            for day in days:

                async def count(day: datetime = day) -> bytes:
                    counted.append(day)
                    return b"1"

                await RedisStatsCache(redis).get(str(day), count, since=day, until=day)

        await ask()
        await (await command(database, redis_url=redis_url)).communicate()
        await ask()

    assert counted == [*days, days[1]]
