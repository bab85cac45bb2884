"""Call-back requests on a real database: calls as ingest stores them, then processed."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import asyncpg
import pytest

from gateway.context import Services
from gateway.errors import DatabaseUnavailable
from gateway.telephony.callbacks import callbacks, missed
from gateway.telephony.callbacks.queries import callbacks as items
from tests.support.office import IVAN, MINUTE_MS, NOBODYS, OLENA, SWITCHBOARD, Office


async def test_all_missed_calls_of_a_customer_are_one_request(office: Office) -> None:
    """By any of their numbers: how many, since when, in which queues; published each time."""
    await office.conn.execute(
        "INSERT INTO demo_crm.client_contacts (client_id, kind, value)"
        " VALUES (1, 'phone', '050 777 66 55')"
    )
    await office.miss(0)
    assert await office.process() == ["missed_call.created"]
    last = await office.miss(20, number="+380507776655", queue="support")
    await office.miss(10, queue=None, outcome="missed", wait_ms=None)

    assert await office.process() == ["missed_call.created"]

    (event,) = office.published
    told = event["callback"]
    assert (told["calls"], told["queues"]) == (3, ["sales", "support"])
    assert (told["last_call_id"], told["number"]) == (str(last), "+380507776655")
    assert told["customer"]["name"] == "Ivan Petrenko"
    assert told["customer"]["open_work"]
    assert event["open"] == 1
    (item,) = await office.items()
    assert (office.minute(item), office.minute(item, "last_missed_at")) == (0, 20)
    assert await office.process() == []


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
async def test_an_answered_call_by_any_of_their_numbers_closes_it(
    office: Office, direction: str
) -> None:
    """With the time from the first missed call to the answer; requests of others stay open."""
    await office.conn.execute(
        "INSERT INTO demo_crm.client_contacts (client_id, kind, value)"
        " VALUES (1, 'phone', '050 777 66 55')"
    )
    await office.miss(0)
    await office.miss(5, number=OLENA)
    await office.process()
    await office.call(7, number="+380507776655", direction=direction)  # nobody answered
    await office.call(8, number="+380507776655", direction="internal", answered=True)
    assert await office.process() == []

    await office.call(12, number="+380507776655", direction=direction, answered=True)

    assert await office.process() == ["callback.changed"]
    told = office.published[0]["callback"]
    assert (told["state"], told["outcome"], told["how"]) == ("closed", "reached", "call")
    assert (told["recover_ms"], told["closed_by"]) == (12 * MINUTE_MS, None)
    assert office.published[0]["open"] == 1
    assert [row["customer_id"] for row in await office.items(state="open")] == [2]


@pytest.mark.parametrize("at_once", [False, True])
async def test_the_order_in_which_calls_are_stored_makes_no_difference(
    office: Office, at_once: bool
) -> None:
    """Missed, answered, missed again: one request closed after ten minutes, and one open."""
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
                await office.process()
        await office.process()

        paid, due = await office.items(customer_id=customer_id)
        assert (paid["outcome"], paid["calls"], office.minute(paid)) == ("reached", 1, 0), order
        assert paid["recover_ms"] == 10 * MINUTE_MS, order
        assert (due["state"], due["calls"], office.minute(due)) == ("open", 1, 20), order


@pytest.mark.parametrize("seed", [1, 2])
async def test_exactly_the_calls_missed_since_the_last_answer_are_due(
    office: Office, seed: int
) -> None:
    """Forty calls of three customers in any order, processed now and then, some corrected."""
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
            await office.process()
    await office.process()

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


async def test_calls_that_cannot_or_need_not_be_called_back_make_no_request(office: Office) -> None:
    """Callers without a number, those who gave up within 5 s, and calls missed a week ago."""
    await office.miss(0, number=None)
    await office.miss(0, wait_ms=4_999)
    await office.miss(0, at=datetime.now(UTC) - timedelta(days=7, minutes=1))
    assert await office.process() == []

    await office.miss(0, number=OLENA, outcome="timeout", wait_ms=1_000)
    await office.miss(0, wait_ms=5_000)

    assert await office.process() == ["missed_call.created"] * 2


async def test_a_missed_call_that_was_answered_after_all_is_detached(office: Office) -> None:
    """The request loses the call; without calls it is closed as mistaken, and stays so."""
    first, second = await office.miss(0), await office.miss(10, queue="support")
    await office.process()

    await office.conn.execute("DELETE FROM realtime.missed_calls WHERE call_id = $1", first)
    assert await office.process() == ["callback.changed"]
    (item,) = await office.items()
    assert (item["calls"], item["queues"], office.minute(item)) == (1, ["support"], 10)

    await office.conn.execute("DELETE FROM realtime.missed_calls WHERE call_id = $1", second)
    assert await office.process() == ["callback.changed"]
    (item,) = await office.items()
    assert (item["state"], item["outcome"], item["recover_ms"]) == ("closed", "mistaken", None)


async def test_a_late_change_of_a_missed_call_is_no_new_missed_call(office: Office) -> None:
    """Another queue is published as a change, another wait is not; a claim stays."""
    call_id = await office.miss(0)
    await office.process()
    await office.conn.execute(
        "UPDATE realtime.callbacks SET state = 'claimed', claimed_by = 2, claimed_at = now(),"
        " claim_until = now() + interval '1 hour'"
    )

    await office.conn.execute("UPDATE realtime.missed_calls SET wait_ms = 31000")
    assert await office.process() == []
    await office.conn.execute(
        "UPDATE realtime.missed_calls SET queue = 'support' WHERE call_id = $1", call_id
    )

    assert await office.process() == ["callback.changed"]
    (item,) = await office.items()
    assert (item["queues"], item["claimed_by"], item["calls"]) == (["support"], 2, 1)


async def test_an_old_request_stays_open(office: Office) -> None:
    """After a late change of a call missed over a week ago, and after an earlier answer."""
    old, recent = await office.miss(0), await office.miss(20)
    await office.process()
    await office.conn.execute(
        "UPDATE realtime.missed_calls SET started_at = started_at - interval '8 days',"
        " ended_at = ended_at - interval '8 days'"
    )

    assert await office.process() == ["callback.changed"]

    (item,) = await office.items()
    assert (item["state"], item["calls"], item["last_call_id"]) == ("open", 2, recent)
    await office.call(10, answered=True, at=office.began - timedelta(days=8))
    await office.process()
    paid, due = await office.items()
    assert (paid["outcome"], paid["last_call_id"]) == ("reached", old)
    assert (due["state"], due["last_call_id"]) == ("open", recent)


async def test_an_answer_does_not_close_a_call_that_was_still_waiting(office: Office) -> None:
    """They called with two telephones at once: the one that ended later unanswered is due."""
    await office.conn.execute(
        "INSERT INTO demo_crm.client_contacts (client_id, kind, value)"
        " VALUES (1, 'phone', '050 777 66 55')"
    )
    long = await office.miss(0)
    await office.conn.execute(
        "UPDATE realtime.missed_calls SET ended_at = ended_at + interval '9 minutes'"
    )
    await office.call(0.5, number="+380507776655", answered=True)
    await office.process()
    assert [row["state"] for row in await office.items()] == ["open"]

    short = await office.miss(1)
    await office.call(5, number="+380507776655", answered=True)
    await office.process()

    due, paid = await office.items()
    assert (due["state"], due["calls"], due["last_call_id"]) == ("open", 1, long)
    assert (paid["outcome"], paid["calls"], paid["last_call_id"]) == ("reached", 1, short)
    assert paid["recover_ms"] == 4 * MINUTE_MS


async def test_a_number_without_a_customer_has_a_request_that_follows_its_customer(
    office: Office,
) -> None:
    """One request for each number; once customers have them, one for each customer."""
    await office.miss(0, number=NOBODYS)
    await office.miss(1, number="+380501000002")
    await office.process()
    assert [row["customer_id"] for row in await office.items()] == [None, None]
    await office.conn.execute(
        "INSERT INTO demo_crm.client_contacts (client_id, kind, value)"
        " VALUES (7, 'phone', $1), (7, 'phone', '+380501000002')",
        NOBODYS,
    )

    await office.miss(2, number=NOBODYS)
    await office.miss(3, number="+380501000002")
    await office.process()

    kept, merged = await office.items()
    assert (kept["customer_id"], kept["calls"], kept["state"]) == (7, 4, "open")
    assert (merged["state"], merged["outcome"]) == ("closed", "merged")
    await office.call(9, number="+380501000002", answered=True)
    assert await office.process() == ["callback.changed"]


async def test_of_two_customers_with_one_number_the_best_is_called_back(office: Office) -> None:
    """As in the screen pop; a call with that number reaches both."""
    await office.miss(0, number=SWITCHBOARD)
    await office.process()
    best = office.published[0]["callback"]["customer"]["id"]
    assert best in {12, 13}
    await office.conn.execute("UPDATE realtime.callbacks SET customer_id = 25 - customer_id")

    await office.call(2, number=SWITCHBOARD, direction="outbound", answered=True)

    assert await office.process() == ["callback.changed"]


async def test_the_crm_reports_that_a_customer_was_reached(office: Office) -> None:
    """In its own transaction, as its own role; also before the missed call is stored."""
    await office.miss(0)
    await office.process()
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
        assert await office.process_as_owner() == []
        await office.conn.execute("SET ROLE crm_backend")
        await office.conn.execute("SELECT realtime.customer_reached(1, 'chat')")
        assert await office.process_as_owner() == ["callback.changed"]
    finally:
        await office.conn.execute("RESET ROLE; DROP OWNED BY crm_backend; DROP ROLE crm_backend")

    (item,) = await office.items()
    assert (item["outcome"], item["how"]) == ("reached", "chat")
    assert abs(item["recover_ms"] - 5 * 60 * MINUTE_MS) < MINUTE_MS
    await office.miss(1)  # told of late: they were reached since
    assert await office.process() == ["callback.changed"]
    assert await office.items(state="open") == []


async def test_after_lost_news_changes_are_delivered_again(office: Office) -> None:
    """Only what has changed since, as it is now."""
    await office.miss(0)
    await office.process()
    between = await office.conn.fetchval("SELECT clock_timestamp()")
    await office.miss(1, number=OLENA)
    await office.process()
    office.published.clear()

    await callbacks.redeliver(
        cast("Services", office), lambda one: office.publish([one]), since=between
    )

    (event,) = office.published
    assert (event["type"], event["open"]) == ("callback.changed", 2)
    assert event["callback"]["customer"]["id"] == 2


async def test_of_too_many_changes_the_first_are_delivered_and_the_others_next(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest first, each once, and the moment up to which all were delivered is returned."""
    monkeypatch.setattr(callbacks, "READ_BATCH", 2)
    monkeypatch.setattr(callbacks, "MAX_BATCHES", 2)
    began = await office.conn.fetchval("SELECT clock_timestamp()")
    for number in range(7):
        await office.miss(number, number=f"+38067000000{number}")
        await office.process()
    office.published.clear()

    rounds: list[datetime] = []
    reached: datetime | None = began
    while reached is not None:
        rounds.append(reached)
        reached = await callbacks.redeliver(
            cast("Services", office), lambda one: office.publish([one]), since=reached
        )

    told = [event["callback"]["number"] for event in office.published]
    assert told == [f"+38067000000{number}" for number in range(7)]
    assert rounds == sorted(rounds)
    assert len(rounds) == 2


async def test_a_claim_expires(office: Office) -> None:
    """By the database's clock; published as a change, once, however many nodes check."""
    await office.miss(0)
    await office.process()
    await office.conn.execute(
        "UPDATE realtime.callbacks SET state = 'claimed', claimed_by = 2, claimed_at = now(),"
        " claim_until = now()"
    )
    office.published.clear()

    for _ in range(2):
        await missed.release_expired_claims(cast("Services", office))

    (event,) = office.published
    assert (event["type"], event["callback"]["state"]) == ("callback.changed", "open")
    assert (event["callback"]["claimed_by"], event["open"]) == (None, 1)


async def test_a_committed_change_is_published_when_the_count_fails(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away after the COMMIT: the event comes, without how many are open."""

    async def gone(*_: Any) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(items, "count_open", gone)
    await office.miss(0)
    with pytest.raises(DatabaseUnavailable):
        await office.process()

    (event,) = office.published
    assert (event["type"], event["callback"]["calls"]) == ("missed_call.created", 1)
    assert (event["open"], event["open_as_of"]) == (None, None)
