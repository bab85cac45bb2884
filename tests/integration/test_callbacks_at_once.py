"""Call-back requests while others process and close at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway import db
from gateway.telephony.callbacks.queries import missed as queries
from tests.support.desk import eventually
from tests.support.office import IVAN, NOBODYS, OLENA, SWITCHBOARD, Office


async def test_nodes_that_process_at_once_make_one_request(database: str, office: Office) -> None:
    """Six connections, forty calls of four numbers, each published exactly once."""
    for number in (IVAN, OLENA, SWITCHBOARD, NOBODYS):
        for minute in range(10):
            await office.miss(minute, number=number)
    others = [await db.connect(database, application_name="test-node") for _ in range(6)]
    nodes = [Office(conn) for conn in others]
    try:
        await asyncio.gather(*(node.process() for node in nodes))
    finally:
        for conn in others:
            await conn.close()

    assert [row["calls"] for row in await office.items()] == [10] * 4
    published = [event["callback"]["id"] for node in nodes for event in node.published]
    assert len(published) == len(set(published)) == 4


@asynccontextmanager
async def _closing(database: str, office: Office) -> AsyncIterator[None]:
    """Close all requests as `no_answer`, and COMMIT once the processing node waits for them."""
    conn = await db.connect(database, application_name="test-hand")
    settler = office.conn.get_server_pid()
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute(
        "UPDATE realtime.callbacks SET state = 'closed', outcome = 'no_answer', closed_by = 1,"
        " closed_at = now(), version = version + 1"
    )

    async def waits() -> bool:
        blockers: list[int] = await conn.fetchval("SELECT pg_blocking_pids($1)", settler)
        return conn.get_server_pid() in blockers

    async def commit() -> None:
        await eventually(waits, timeout_s=2)
        await transaction.commit()

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(commit())
            yield
    finally:
        await conn.close()


async def test_a_request_closed_while_a_node_processes_stays_closed(
    database: str, office: Office
) -> None:
    """Reaching the customer does not change it, and a call missed meanwhile has its own."""
    await office.miss(0)
    await office.process()
    await office.call(5, answered=True)
    async with _closing(database, office):
        await office.process()
    (closed,) = await office.items()
    assert (closed["outcome"], closed["closed_by"], closed["how"]) == ("no_answer", 1, None)

    await office.miss(10)
    await office.process()
    later = await office.miss(11)
    async with _closing(database, office):
        await office.process()
    _, closed, opened = await office.items()
    assert (closed["state"], closed["calls"]) == ("closed", 1)
    assert (opened["state"], opened["calls"], opened["last_call_id"]) == ("open", 1, later)


async def test_a_number_that_gets_a_customer_while_its_request_is_closed_stops_nothing(
    database: str, office: Office
) -> None:
    """Neither when the number's request is closed, nor when that of the customer is, too."""
    for minute, number in ((0, "+380501000010"), (20, "+380501000011")):
        if minute:  # now the customer has one, by their other number
            await office.miss(minute, number="+380501000010")
        await office.miss(minute + 1, number=number)
        await office.process()
        before = await office.items(state="open")
        await office.conn.execute(
            "INSERT INTO demo_crm.client_contacts (client_id, kind, value) VALUES (7, 'phone', $1)",
            number,
        )
        later = await office.miss(minute + 2, number=number)
        await office.miss(minute + 2, number=NOBODYS)

        async with _closing(database, office):
            await office.process()

        assert [row["outcome"] for row in await office.items(state="closed")][-len(before) :] == [
            "no_answer"
        ] * len(before)
        new, nobodys = sorted(
            await office.items(state="open"), key=lambda row: row["customer_id"] is None
        )
        assert (new["customer_id"], new["calls"], new["last_call_id"]) == (7, 1, later)
        assert (nobodys["number"], nobodys["calls"]) == (NOBODYS, 1)
        await office.conn.execute(
            "UPDATE realtime.callbacks SET state = 'closed', outcome = 'not_needed'"
            " WHERE state <> 'closed'"
        )


async def test_a_repeated_call_does_not_reopen_a_request_closed_meanwhile(
    database: str, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between detaching a call from its request and attaching it, nobody can close that."""
    call_id = await office.miss(0)
    await office.process()
    await office.conn.execute("UPDATE realtime.missed_calls SET wait_ms = 40000")
    conn = await db.connect(database, application_name="test-hand")
    find_due, hands = queries.find_due, list[asyncio.Task[Any]]()

    async def close_and_find(*args: Any, **fields: Any) -> Any:
        closing = conn.execute(
            "UPDATE realtime.callbacks SET state = 'closed', outcome = 'no_answer'"
            " WHERE state <> 'closed'"
        )
        hands.append(asyncio.create_task(closing))
        await asyncio.wait(hands, timeout=0.2)
        return await find_due(*args, **fields)

    monkeypatch.setattr(queries, "find_due", close_and_find)
    try:
        await office.process()
        await hands[0]
    finally:
        await conn.close()

    (item,) = await office.items()
    assert (item["state"], item["outcome"], item["calls"]) == ("closed", "no_answer", 1)
    (kept,) = await office.conn.fetch("SELECT * FROM realtime.callback_calls")
    assert (kept["call_id"], kept["callback_id"]) == (call_id, item["id"])
