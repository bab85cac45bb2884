"""Whom to call back, over a real database: calls as ingest writes them, then settled."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest

from gateway import db
from gateway.context import Services
from gateway.db import Conn
from gateway.errors import DatabaseUnavailable
from gateway.telephony import callbacks, missed
from gateway.telephony.queries import callbacks as items
from gateway.telephony.queries import missed as queries
from tests.desk import eventually

IVAN, OLENA = "+380671234567", "+380441234567"
"""Of the customers 1 and 2."""
SWITCHBOARD = "+380445000000"
"""Of the customers 12 and 13; 13 has open work."""
NOBODYS = "+380501000001"
MINUTE_MS = 60_000


class Office:
    """As much of a gateway as settles; what it tells is kept."""

    def __init__(self, conn: Conn) -> None:
        self.conn = conn
        self.heard: list[dict[str, Any]] = []
        self.began = datetime.now(UTC) - timedelta(hours=5)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Conn]:
        yield self.conn

    def publish(self, announcements: Any) -> None:
        self.heard += [orjson.loads(one.payload) for one in announcements]

    async def settle(self) -> list[str]:
        """Settle; return what kinds of event were told."""
        self.heard.clear()
        await missed.settle(cast("Services", self))
        return [event["type"] for event in self.heard]

    async def settle_as_owner(self) -> list[str]:
        """Settle, whatever role the connection has taken."""
        await self.conn.execute("RESET ROLE")
        return await self.settle()

    async def call(
        self,
        minute: float,
        *,
        number: str | None = IVAN,
        direction: str = "inbound",
        answered: bool = False,
        at: datetime | None = None,
    ) -> UUID:
        """Store a call that began at this minute and took one."""
        call_id, began = uuid4(), (at or self.began) + timedelta(minutes=minute)
        await self.conn.execute(
            "INSERT INTO realtime.call_sessions (id, source, version, direction, status, outcome,"
            " number_raw, number_e164, started_at, answered_at, ended_at, first_event_at,"
            " last_event_at, answered_extension)"
            " VALUES ($1, 'main', 1, $2, 'ended', $3, $4, $4, $5, $6, $7, $5, $7, $8)",
            call_id, direction, "answered" if answered else "missed", number, began,
            began if answered else None, began + timedelta(minutes=1), "101" if answered else None,
        )  # fmt: skip
        return call_id

    async def miss(
        self,
        minute: float,
        *,
        number: str | None = IVAN,
        queue: str | None = "sales",
        outcome: str = "abandoned",
        wait_ms: int | None = 30_000,
        at: datetime | None = None,
    ) -> UUID:
        """Store a call that nobody took."""
        call_id = await self.call(minute, number=number, at=at)
        await self.conn.execute(
            "INSERT INTO realtime.missed_calls"
            " SELECT id, source, coalesce(number_raw, 'anonymous'), number_e164, $2, $3,"
            " started_at, ended_at, $4 FROM realtime.call_sessions WHERE id = $1",
            call_id, queue, outcome, wait_ms,
        )  # fmt: skip
        return call_id

    async def items(self, **where: Any) -> list[asyncpg.Record]:
        """Return items, the oldest first."""
        rows = await self.conn.fetch("SELECT * FROM realtime.callbacks ORDER BY first_missed_at")
        return [row for row in rows if all(row[name] == value for name, value in where.items())]

    def minute(self, row: asyncpg.Record, name: str = "first_missed_at") -> float:
        """Return a time of an item as the minutes that calls are made of."""
        return float((row[name] - self.began).total_seconds() / 60)


@pytest.fixture
async def office(database: str) -> AsyncIterator[Office]:
    """Give an office on a database with the demo CRM."""
    conn = await db.connect(database, application_name="test-callbacks")
    await conn.execute("SET lock_timeout = '3s'")
    yield Office(conn)
    await conn.close()


async def test_all_missed_calls_of_a_customer_are_one_item(office: Office) -> None:
    """By whichever of their numbers: how many, since when, in which queues; told each time."""
    await office.conn.execute(
        "INSERT INTO demo_crm.client_contacts (client_id, kind, value)"
        " VALUES (1, 'phone', '050 777 66 55')"
    )
    await office.miss(0)
    assert await office.settle() == ["missed_call.created"]
    last = await office.miss(20, number="+380507776655", queue="support")
    await office.miss(10, queue=None, outcome="missed", wait_ms=None)

    assert await office.settle() == ["missed_call.created"]

    (event,) = office.heard
    told = event["callback"]
    assert (told["calls"], told["queues"]) == (3, ["sales", "support"])
    assert (told["last_call_id"], told["number"]) == (str(last), "+380507776655")
    assert told["customer"]["name"] == "Ivan Petrenko"
    assert told["customer"]["open_work"]
    assert event["open"] == 1
    (item,) = await office.items()
    assert (office.minute(item), office.minute(item, "last_missed_at")) == (0, 20)
    assert await office.settle() == []


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
async def test_an_answered_call_by_any_of_their_numbers_closes_it(
    office: Office, direction: str
) -> None:
    """From the first missed call to the answer: how long it took to recover; others stay open."""
    await office.conn.execute(
        "INSERT INTO demo_crm.client_contacts (client_id, kind, value)"
        " VALUES (1, 'phone', '050 777 66 55')"
    )
    await office.miss(0)
    await office.miss(5, number=OLENA)
    await office.settle()
    await office.call(7, number="+380507776655", direction=direction)  # nobody answered
    await office.call(8, number="+380507776655", direction="internal", answered=True)
    assert await office.settle() == []

    await office.call(12, number="+380507776655", direction=direction, answered=True)

    assert await office.settle() == ["callback.changed"]
    told = office.heard[0]["callback"]
    assert (told["state"], told["outcome"], told["how"]) == ("closed", "reached", "call")
    assert (told["recover_ms"], told["closed_by"]) == (12 * MINUTE_MS, None)
    assert office.heard[0]["open"] == 1
    assert [row["customer_id"] for row in await office.items(state="open")] == [2]


@pytest.mark.parametrize("at_once", [False, True])
async def test_the_order_in_which_calls_become_known_makes_no_difference(
    office: Office, at_once: bool
) -> None:
    """Missed, answered, missed again: one debt paid after ten minutes, and one that is open."""
    steps = [(0, False), (10, True), (20, False)]
    numbers = {
        row["e164"]: row["customer_id"]
        for row in await office.conn.fetch(
            "SELECT e164, min(customer_id) AS customer_id FROM crm.customer_phones"
            " WHERE e164 LIKE '+380%' GROUP BY e164 HAVING count(*) = 1 ORDER BY 2 LIMIT 6"
        )
    }
    for (number, customer_id), order in zip(
        numbers.items(), itertools.permutations(steps), strict=True
    ):
        for minute, answered in order:
            if answered:
                await office.call(minute, number=number, answered=True)
            else:
                await office.miss(minute, number=number)
            if not at_once:
                await office.settle()
        await office.settle()

        paid, due = await office.items(customer_id=customer_id)
        assert (paid["outcome"], paid["calls"], office.minute(paid)) == ("reached", 1, 0), order
        assert paid["recover_ms"] == 10 * MINUTE_MS, order
        assert (due["state"], due["calls"], office.minute(due)) == ("open", 1, 20), order


@pytest.mark.parametrize("seed", [1, 2])
async def test_exactly_what_was_missed_since_the_last_answer_is_due(
    office: Office, seed: int
) -> None:
    """Forty calls of three customers in any order, settled now and then, some taken back."""
    rnd = random.Random(seed)
    await office.conn.execute(
        "INSERT INTO demo_crm.client_contacts (client_id, kind, value)"
        " VALUES (1, 'phone', '050 777 66 55')"
    )
    whose = {IVAN: 1, "+380507776655": 1, OLENA: 2, NOBODYS: None}
    answers: dict[int | None, float] = dict.fromkeys((1, 2, None), -1.0)
    misses: dict[UUID, tuple[int | None, int]] = {}
    for minute in rnd.sample(range(200), 40):
        number = rnd.choice(list(whose))
        if rnd.random() < 0.2:
            await office.call(minute, number=number, answered=True)
            answers[whose[number]] = max(answers[whose[number]], minute)
        else:
            misses[await office.miss(minute, number=number)] = whose[number], minute
        if misses and rnd.random() < 0.1:
            taken_back = rnd.choice(list(misses))
            await office.conn.execute(
                "DELETE FROM realtime.missed_calls WHERE call_id = $1", taken_back
            )
            del misses[taken_back]
        if rnd.random() < 0.3:
            await office.settle()
    await office.settle()

    for customer_id, answered in answers.items():
        due = sorted(
            minute for whom, minute in misses.values() if whom == customer_id and minute > answered
        )
        items = await office.items(state="open", customer_id=customer_id)
        assert [(row["calls"], office.minute(row)) for row in items] == (
            [(len(due), due[0])] if due else []
        )
    kept = {row["call_id"] for row in await office.conn.fetch("TABLE realtime.callback_calls")}
    assert misses.keys() <= kept, "what was paid is in an item, too"
    paid = await office.items(outcome="reached")
    assert all(row["recover_ms"] > 0 for row in paid)


async def test_what_cannot_or_need_not_be_called_back_makes_no_item(office: Office) -> None:
    """Callers without a number, who gave up within 5 s, and calls missed a week ago."""
    await office.miss(0, number=None)
    await office.miss(0, wait_ms=4_999)
    await office.miss(0, at=datetime.now(UTC) - timedelta(days=7, minutes=1))
    assert await office.settle() == []

    await office.miss(0, number=OLENA, outcome="timeout", wait_ms=1_000)
    await office.miss(0, wait_ms=5_000)

    assert await office.settle() == ["missed_call.created"] * 2


async def test_a_missed_call_that_was_answered_after_all_is_taken_back(office: Office) -> None:
    """The item shrinks; with its last call it is closed as mistaken, and no later look differs."""
    first, second = await office.miss(0), await office.miss(10, queue="support")
    await office.settle()

    await office.conn.execute("DELETE FROM realtime.missed_calls WHERE call_id = $1", first)
    assert await office.settle() == ["callback.changed"]
    (item,) = await office.items()
    assert (item["calls"], item["queues"], office.minute(item)) == (1, ["support"], 10)

    await office.conn.execute("DELETE FROM realtime.missed_calls WHERE call_id = $1", second)
    assert await office.settle() == ["callback.changed"]
    (item,) = await office.items()
    assert (item["state"], item["outcome"], item["recover_ms"]) == ("closed", "mistaken", None)


async def test_a_late_change_of_a_missed_call_is_no_new_one(office: Office) -> None:
    """Another queue is told as a change, another wait is not, and who has it keeps it."""
    call_id = await office.miss(0)
    await office.settle()
    await office.conn.execute(
        "UPDATE realtime.callbacks SET state = 'claimed', claimed_by = 2, claimed_at = now(),"
        " claim_until = now() + interval '1 hour'"
    )

    await office.conn.execute("UPDATE realtime.missed_calls SET wait_ms = 31000")
    assert await office.settle() == []
    await office.conn.execute(
        "UPDATE realtime.missed_calls SET queue = 'support' WHERE call_id = $1", call_id
    )

    assert await office.settle() == ["callback.changed"]
    (item,) = await office.items()
    assert (item["queues"], item["claimed_by"], item["calls"]) == (["support"], 2, 1)


async def test_a_debt_that_has_grown_old_stays_one(office: Office) -> None:
    """A late change of a call missed over a week ago, or an answer before another of them."""
    old, recent = await office.miss(0), await office.miss(20)
    await office.settle()
    await office.conn.execute(
        "UPDATE realtime.missed_calls SET started_at = started_at - interval '8 days',"
        " ended_at = ended_at - interval '8 days'"
    )

    assert await office.settle() == ["callback.changed"]

    (item,) = await office.items()
    assert (item["state"], item["calls"], item["last_call_id"]) == ("open", 2, recent)
    await office.call(10, answered=True, at=office.began - timedelta(days=8))
    await office.settle()
    paid, due = await office.items()
    assert (paid["outcome"], paid["last_call_id"]) == ("reached", old)
    assert (due["state"], due["last_call_id"]) == ("open", recent)


async def test_an_answer_while_a_call_still_waits_does_not_pay_for_it(office: Office) -> None:
    """They called with two telephones at once: what ended later unheard is due."""
    await office.conn.execute(
        "INSERT INTO demo_crm.client_contacts (client_id, kind, value)"
        " VALUES (1, 'phone', '050 777 66 55')"
    )
    long = await office.miss(0)
    await office.conn.execute(
        "UPDATE realtime.missed_calls SET ended_at = ended_at + interval '9 minutes'"
    )
    await office.call(0.5, number="+380507776655", answered=True)
    await office.settle()
    assert [row["state"] for row in await office.items()] == ["open"]

    short = await office.miss(1)
    await office.call(5, number="+380507776655", answered=True)
    await office.settle()

    due, paid = await office.items()
    assert (due["state"], due["calls"], due["last_call_id"]) == ("open", 1, long)
    assert (paid["outcome"], paid["calls"], paid["last_call_id"]) == ("reached", 1, short)
    assert paid["recover_ms"] == 4 * MINUTE_MS


async def test_a_number_of_nobody_is_called_back_too_and_follows_who_gets_it(
    office: Office,
) -> None:
    """One item for each number; once customers have them, one item for each customer."""
    await office.miss(0, number=NOBODYS)
    await office.miss(1, number="+380501000002")
    await office.settle()
    assert [row["customer_id"] for row in await office.items()] == [None, None]
    await office.conn.execute(
        "INSERT INTO demo_crm.client_contacts (client_id, kind, value)"
        " VALUES (7, 'phone', $1), (7, 'phone', '+380501000002')",
        NOBODYS,
    )

    await office.miss(2, number=NOBODYS)
    await office.miss(3, number="+380501000002")
    await office.settle()

    kept, merged = await office.items()
    assert (kept["customer_id"], kept["calls"], kept["state"]) == (7, 4, "open")
    assert (merged["state"], merged["outcome"]) == ("closed", "merged")
    await office.call(9, number="+380501000002", answered=True)
    assert await office.settle() == ["callback.changed"]


async def test_of_two_customers_with_one_number_the_best_is_called_back(office: Office) -> None:
    """As in the screen-pop; a call with that number reaches both."""
    await office.miss(0, number=SWITCHBOARD)
    await office.settle()
    best = office.heard[0]["callback"]["customer"]["id"]
    assert best in {12, 13}
    await office.conn.execute("UPDATE realtime.callbacks SET customer_id = 25 - customer_id")

    await office.call(2, number=SWITCHBOARD, direction="outbound", answered=True)

    assert await office.settle() == ["callback.changed"]


async def test_the_crm_says_that_a_customer_was_reached(office: Office) -> None:
    """In its own transaction, as its own role; also before the missed call is told of."""
    await office.miss(0)
    await office.settle()
    await office.conn.execute("CREATE ROLE crm_backend")
    try:
        await office.conn.execute("GRANT USAGE ON SCHEMA realtime TO crm_backend")
        await office.conn.execute("SET ROLE crm_backend")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await office.conn.execute("SELECT realtime.customer_reached(1, 'chat')")
        await office.conn.execute("RESET ROLE")
        await office.conn.execute(
            "GRANT EXECUTE ON FUNCTION realtime.customer_reached TO crm_backend"
        )
        await office.conn.execute("SET ROLE crm_backend")
        undone = office.conn.transaction()
        await undone.start()
        await office.conn.execute("SELECT realtime.customer_reached(1, 'never')")
        await undone.rollback()
        for arguments, wrong in (("NULL, 'chat'", "customer_id"), ("0, 'chat'", "customer_id"),
                                 ("1, NULL", "how"), ("1, ''", "how"),
                                 ("1, repeat('x', 51)", "how")):  # fmt: skip
            with pytest.raises(asyncpg.PostgresError) as refused:
                await office.conn.execute(f"SELECT realtime.customer_reached({arguments})")
            assert (refused.value.sqlstate, refused.value.hint) == ("RT004", wrong)
        assert await office.settle_as_owner() == []
        await office.conn.execute("SET ROLE crm_backend")
        await office.conn.execute("SELECT realtime.customer_reached(1, 'chat')")
        assert await office.settle_as_owner() == ["callback.changed"]
    finally:
        await office.conn.execute("RESET ROLE; DROP OWNED BY crm_backend; DROP ROLE crm_backend")

    (item,) = await office.items()
    assert (item["outcome"], item["how"]) == ("reached", "chat")
    assert abs(item["recover_ms"] - 5 * 60 * MINUTE_MS) < MINUTE_MS
    await office.miss(1)  # told of late: they were reached since
    assert await office.settle() == ["callback.changed"]
    assert await office.items(state="open") == []


async def test_after_lost_news_what_has_changed_is_told_again(office: Office) -> None:
    """Only what has changed since, as it is now."""
    await office.miss(0)
    await office.settle()
    between = await office.conn.fetchval("SELECT clock_timestamp()")
    await office.miss(1, number=OLENA)
    await office.settle()
    office.heard.clear()

    await callbacks.again(
        cast("Services", office), lambda one: office.publish([one]), since=between
    )

    (event,) = office.heard
    assert (event["type"], event["open"]) == ("callback.changed", 2)
    assert event["callback"]["customer"]["id"] == 2


async def test_a_claim_ends_by_itself(office: Office) -> None:
    """By the database's clock; told as a change, once, however many nodes look."""
    await office.miss(0)
    await office.settle()
    await office.conn.execute(
        "UPDATE realtime.callbacks SET state = 'claimed', claimed_by = 2, claimed_at = now(),"
        " claim_until = now()"
    )
    office.heard.clear()

    for _ in range(2):
        await missed.give_back(cast("Services", office))

    (event,) = office.heard
    assert (event["type"], event["callback"]["state"]) == ("callback.changed", "open")
    assert (event["callback"]["claimed_by"], event["open"]) == (None, 1)


async def test_what_is_committed_is_told_though_it_cannot_be_counted(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away behind the COMMIT: the item comes, without how many are open."""

    async def gone(*_: Any) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(items, "count_open", gone)
    await office.miss(0)
    with pytest.raises(DatabaseUnavailable):
        await office.settle()

    (event,) = office.heard
    assert (event["type"], event["callback"]["calls"]) == ("missed_call.created", 1)
    assert (event["open"], event["open_as_of"]) == (None, None)


async def test_nodes_that_settle_at_once_make_one_item(database: str, office: Office) -> None:
    """Six connections, forty calls of four numbers, each told of exactly once."""
    for number in (IVAN, OLENA, SWITCHBOARD, NOBODYS):
        for minute in range(10):
            await office.miss(minute, number=number)
    others = [await db.connect(database, application_name="test-node") for _ in range(6)]
    nodes = [Office(conn) for conn in others]
    try:
        await asyncio.gather(*(node.settle() for node in nodes))
    finally:
        for conn in others:
            await conn.close()

    assert [row["calls"] for row in await office.items()] == [10] * 4
    told = [event["callback"]["id"] for node in nodes for event in node.heard]
    assert len(told) == len(set(told)) == 4


@asynccontextmanager
async def _closing(database: str, office: Office) -> AsyncIterator[None]:
    """Have somebody close all items as `no_answer`, and COMMIT once the settler waits for them."""
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


async def test_what_somebody_closes_while_a_node_settles_stays_closed(
    database: str, office: Office
) -> None:
    """Reaching them changes it no more, and a call missed meanwhile is a debt of its own."""
    await office.miss(0)
    await office.settle()
    await office.call(5, answered=True)
    async with _closing(database, office):
        await office.settle()
    (closed,) = await office.items()
    assert (closed["outcome"], closed["closed_by"], closed["how"]) == ("no_answer", 1, None)

    await office.miss(10)
    await office.settle()
    later = await office.miss(11)
    async with _closing(database, office):
        await office.settle()
    _, closed, opened = await office.items()
    assert (closed["state"], closed["calls"]) == ("closed", 1)
    assert (opened["state"], opened["calls"], opened["last_call_id"]) == ("open", 1, later)


async def test_a_number_that_becomes_a_customers_while_its_item_is_closed_stops_nothing(
    database: str, office: Office
) -> None:
    """Neither when the number's item is closed, nor when that of the customer is, too."""
    for minute, number in ((0, "+380501000010"), (20, "+380501000011")):
        if minute:  # now the customer has one, by their other number
            await office.miss(minute, number="+380501000010")
        await office.miss(minute + 1, number=number)
        await office.settle()
        before = await office.items(state="open")
        await office.conn.execute(
            "INSERT INTO demo_crm.client_contacts (client_id, kind, value) VALUES (7, 'phone', $1)",
            number,
        )
        later = await office.miss(minute + 2, number=number)
        await office.miss(minute + 2, number=NOBODYS)

        async with _closing(database, office):
            await office.settle()

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


async def test_a_call_told_of_anew_does_not_open_what_is_closed_meanwhile(
    database: str, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between taking a call out of its item and putting it back, nobody closes that."""
    call_id = await office.miss(0)
    await office.settle()
    await office.conn.execute("UPDATE realtime.missed_calls SET wait_ms = 40000")
    conn = await db.connect(database, application_name="test-hand")
    weigh, hands = queries.weigh, list[asyncio.Task[Any]]()

    async def close_and_weigh(*args: Any, **fields: Any) -> Any:
        closing = conn.execute(
            "UPDATE realtime.callbacks SET state = 'closed', outcome = 'no_answer'"
            " WHERE state <> 'closed'"
        )
        hands.append(asyncio.create_task(closing))
        await asyncio.wait(hands, timeout=0.2)
        return await weigh(*args, **fields)

    monkeypatch.setattr(queries, "weigh", close_and_weigh)
    try:
        await office.settle()
        await hands[0]
    finally:
        await conn.close()

    (item,) = await office.items()
    assert (item["state"], item["outcome"], item["calls"]) == ("closed", "no_answer", 1)
    (kept,) = await office.conn.fetch("SELECT * FROM realtime.callback_calls")
    assert (kept["call_id"], kept["callback_id"]) == (call_id, item["id"])
