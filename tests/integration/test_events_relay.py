"""The relay: every committed event once, in one order, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from gateway.bus import Announcement
from gateway.events.event import RelayedEvent
from gateway.events.queries import log as queries
from gateway.events.relay import ROUND, Relay
from tests.docs.pages import ROOT
from tests.support.desk import eventually
from tests.support.event_tools import log_of, publish, publishers, relay_all, relay_of
from tests.support.job_tools import Jobs, cut_at

STATEMENTS = ["outbox.has_due", "outbox.lock_head", "outbox.move", "commit"]
"""Every statement of the relay's."""


async def publish_some(jobs: Jobs, count: int = 12) -> list[int]:
    """Publish in transactions of three; return the ids."""
    ids = []
    async with jobs.connect() as conn:
        for first in range(0, count, 3):
            async with conn.transaction():
                ids += [
                    await publish(conn, payload={"n": n}, users=[n + 1])
                    for n in range(first, first + 3)
                ]
    return ids


async def relayed(jobs: Jobs) -> bool:
    """Relay what can be relayed; return whether that is all."""
    await relay_all(jobs)
    return await is_empty(jobs)


async def check_once(jobs: Jobs, ids: list[int]) -> None:
    """Fail unless these events, and no others, have been relayed once, without holes."""
    rows = await log_of(jobs)
    assert [row["id"] for row in rows] == ids
    assert [row["position"] for row in rows] == list(range(1, len(ids) + 1))
    assert await jobs.sql("SELECT FROM realtime.events_outbox") == []
    assert (await jobs.sql("SELECT position FROM realtime.event_head"))[0][0] == len(ids)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("statement", [*STATEMENTS, "announce"])
async def test_a_relay_killed_at_a_statement_loses_and_repeats_nothing(
    database: str, jobs: Jobs, statement: str, moment: str
) -> None:
    """A process, killed by SIGKILL; another relay does what it left."""
    ids = await publish_some(jobs)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.dying_relay", database, statement, moment, cwd=ROOT
    )

    assert await process.wait() == -signal.SIGKILL
    await eventually(lambda: relayed(jobs))  # PostgreSQL takes a moment to miss the dead one
    await check_once(jobs, ids)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("statement", STATEMENTS)
async def test_a_relay_that_is_cut_off_at_a_statement_goes_on(
    jobs: Jobs, statement: str, moment: str
) -> None:
    """PostgreSQL ends the connection: whether the COMMIT was done, the relay cannot know."""
    ids = await publish_some(jobs)
    relay = relay_of(jobs, connect=cut_at(jobs, statement, moment))
    running = asyncio.create_task(relay.run())

    await eventually(lambda: is_empty(jobs))
    running.cancel()
    await check_once(jobs, ids)


async def is_empty(jobs: Jobs) -> bool:
    return not await jobs.sql("SELECT FROM realtime.events_outbox")


async def test_what_is_announced_is_what_is_stored(jobs: Jobs) -> None:
    """After the COMMIT, in the order of the positions, as a reader of the table would see it."""
    announced: list[Announcement] = []
    async with jobs.connect() as conn:
        await publish(
            conn, "a.b", users=[7, 8], topics=["crm:a:1"], key="k", source="erp",
            payload='{"text": "\\u0001 \\"<b>\\" \U0001f600", "n": 9007199254740991, "f": 0.10}',
        )  # fmt: skip
        await publish(conn)
    await relay_of(jobs, announced).round()

    heard = [RelayedEvent.announced(one) for one in announced]
    async with jobs.connect() as conn:
        head, stored = await queries.after(conn, 0, limit=10)
    assert head == 2
    assert [(one.position, one.users, one.topics, one.body) for one in heard] == [
        (one.position, one.users, one.topics, one.body) for one in stored
    ]
    assert (heard[0].users, heard[0].topics) == ([7, 8], ["crm:a:1"])
    event = json.loads(heard[0].payload(addressed=True, topics=[]))
    assert event["event"]["payload"] == {
        "text": "\u0001 \"<b>\" \U0001f600", "n": 2**53 - 1, "f": 0.1,
    }  # fmt: skip
    assert (event["event"]["key"], event["event"]["source"]) == ("k", "erp")


async def test_one_relay_works_at_a_time(jobs: Jobs) -> None:
    """Another one does not wait for it, and finds the rest afterwards."""
    await publish_some(jobs)
    async with jobs.connect() as conn, conn.transaction():
        await conn.fetchval("SELECT position FROM realtime.event_head FOR UPDATE")
        async with asyncio.timeout(20):
            assert await relay_of(jobs).round() == []

    assert len(await relay_of(jobs).round()) == 12


async def test_a_head_that_was_put_back_stops_nothing(jobs: Jobs) -> None:
    """No position is given twice."""
    ids = await publish_some(jobs, 3)
    await relay_all(jobs)
    await jobs.sql("UPDATE realtime.event_head SET position = 0")
    ids += await publish_some(jobs, 3)

    await relay_all(jobs)
    await check_once(jobs, ids)


async def test_a_transaction_that_commits_late_is_not_passed_over(jobs: Jobs) -> None:
    """Its ids are lower than what was relayed before: nothing is remembered of those."""
    async with jobs.connect() as slow, jobs.connect() as fast:
        transaction = slow.transaction()
        await transaction.start()
        early = [await publish(slow, payload={"n": n}) for n in range(2)]
        later = await publish(fast)
        assert [json.loads(one.body)["id"] for one in await relay_all(jobs)] == [later]
        await transaction.commit()

    assert [json.loads(one.body)["id"] for one in await relay_all(jobs)] == early
    assert early[1] < later
    await check_once(jobs, [later, *early])


async def test_more_than_one_round_keeps_the_order_of_a_transaction(jobs: Jobs) -> None:
    """A transaction of two and a half rounds, relayed by two relays at once."""
    count = 5 * ROUND // 2
    async with jobs.connect() as conn, conn.transaction():
        ids = [await publish(conn, payload={"n": n}) for n in range(count)]
    running = [asyncio.create_task(relay_of(jobs).run()) for _ in range(2)]

    await eventually(lambda: is_empty(jobs))
    for task in running:
        task.cancel()
    await check_once(jobs, ids)


async def test_what_was_put_off_comes_at_its_time_and_in_the_order_of_times(jobs: Jobs) -> None:
    """Whatever the order in which it was published."""
    async with jobs.connect() as conn:
        for n, after in enumerate((0.3, 0.1, 0.2)):
            await conn.execute(
                "SELECT realtime.publish('a.b', payload => jsonb_build_object('n', $1::int),"
                " deliver_at => now() + make_interval(secs => $2))",
                n,
                after,
            )
        assert await relay_of(jobs).round() == []
    running = asyncio.create_task(relay_of(jobs).run())
    await eventually(lambda: is_empty(jobs))
    running.cancel()

    rows = await log_of(jobs)
    assert [json.loads(row["payload"])["n"] if isinstance(row["payload"], str)
            else row["payload"]["n"] for row in rows] == [1, 2, 0]  # fmt: skip
    assert all(row["relayed_at"] > row["created_at"] for row in rows)


async def test_what_waits_is_counted_while_something_is_due(jobs: Jobs) -> None:
    """Also by a relay that cannot work; a relay with nothing to do asks for one thing alone."""
    relay = relay_of(jobs, poll_s=0.01)
    async with jobs.connect() as conn, conn.transaction():
        await conn.fetchval("SELECT position FROM realtime.event_head FOR UPDATE")
        await publish_some(jobs)
        running = [asyncio.create_task(loop) for loop in (relay.run(), relay.watch(every_s=0.01))]
        await eventually(lambda: relay.backlog.waiting == 12)
        assert relay.backlog.oldest_s > 0

    await eventually(lambda: relay.backlog.waiting == 0 and relay.relayed == 12)
    for task in running:
        task.cancel()


async def test_what_waits_is_counted_though_the_bell_never_stops(jobs: Jobs) -> None:
    """A relay that is told of events all the time does not look by itself whether there are any."""
    used = [0]

    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        async with jobs.connect() as conn:
            yield conn
        used[0] += 1

    async def ring_always() -> None:
        while True:
            relay.heard(Announcement("outbox", "events.stored", b"{}"))
            await asyncio.sleep(0)

    relay = relay_of(jobs, connect=connect, poll_s=0.01)
    loops = [asyncio.create_task(relay.run())]
    await eventually(lambda: used[0] > 0)  # nothing was due
    loops.append(asyncio.create_task(ring_always()))
    rounds = used[0] + 3
    await eventually(lambda: used[0] > rounds)
    try:
        async with jobs.connect() as conn, conn.transaction():
            await conn.fetchval("SELECT position FROM realtime.event_head FOR UPDATE")
            await publish_some(jobs)
            loops.append(asyncio.create_task(relay.watch(every_s=0.01)))
            await eventually(lambda: relay.backlog.waiting == 12)
    finally:
        for loop in loops:
            loop.cancel()


async def crm_works(conn: Any, seed: int, committed: list[int], keys: Counter[str]) -> None:
    """Publish in transactions, some of which end in a rollback, fail, or repeat a key."""
    dice = random.Random(seed)
    for turn in range(6):
        key = f"{seed}:{turn}" if dice.random() < 0.5 else None
        ids: list[int] = []
        try:
            async with conn.transaction():
                ids = [
                    await publish(conn, payload={"of": seed, "n": n}, users=[seed], key=key)
                    for n in range(dice.randint(1, 3) if key is None else 1)
                ]
                if dice.random() < 0.2:
                    await publish(conn, "not a type")
                if dice.random() < 0.3:
                    raise RuntimeError("the CRM has changed its mind")  # noqa: TRY301
        except (RuntimeError, asyncpg.PostgresError):
            continue
        committed += ids
        if key is not None:  # the answer was lost: again
            again = await publish(conn, payload={"of": seed, "n": 0}, users=[seed], key=key)
            assert [again] == ids
            keys[key] += 1


@pytest.mark.slow
async def test_a_hundred_publishers_with_rollbacks(database: str, jobs: Jobs) -> None:
    """Two relays meanwhile: every committed event once, and none else."""
    committed: list[int] = []
    keys: Counter[str] = Counter()
    relays: list[Relay] = [relay_of(jobs, poll_s=0.01) for _ in range(2)]
    running = [asyncio.create_task(relay.run()) for relay in relays]
    async with publishers(database, 100) as conns:
        await asyncio.gather(
            *(crm_works(conn, seed, committed, keys) for seed, conn in enumerate(conns, 1))
        )
        await eventually(lambda: is_empty(jobs))
    for task in running:
        task.cancel()

    rows = await log_of(jobs)
    assert len(committed) > 200
    assert Counter(row["id"] for row in rows) == Counter(committed)
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
    by_publisher: dict[int, list[int]] = {}
    for row in rows:
        by_publisher.setdefault(row["users"][0], []).append(row["id"])
    assert all(ids == sorted(ids) for ids in by_publisher.values())
