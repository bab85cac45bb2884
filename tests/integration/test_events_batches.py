"""Many events at once: each for itself, by the rules of realtime.publish."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from gateway.bus import Announcement
from gateway.context import Services
from gateway.db import Pool
from gateway.errors import EventBacklog
from gateway.events.publishing import EventPublishing
from gateway.events.queries import batches, outbox
from gateway.events.queries.batches import NewEvent, StoredEvent
from gateway.events.queries.outbox import OutboxBacklog
from tests.integration.test_events_publish import BAD, GOOD
from tests.support.event_tools import publish, relay_all
from tests.support.job_tools import Jobs

LATER = datetime.now(UTC) + timedelta(days=30)
SOURCE = "erp"


@pytest.fixture
def rung() -> list[Announcement]:
    return []


@pytest.fixture
def publishing_at(pool: Pool, rung: list[Announcement]) -> EventPublishing:
    return EventPublishing(Services(pool, rung.extend, None, None))  # type: ignore[arg-type]


def new(event_type: str = "a.b", **changes: Any) -> NewEvent:
    """Return an event; lists and objects may be given as they are."""
    given: dict[str, Any] = {"type": event_type, "users": [], "topics": [], "payload": "{}"}
    given |= {"key": None, "deliver_at": None, "notify": None, **changes}
    for name in ("users", "topics"):
        given[name] = json.dumps(given[name] or [])
    return NewEvent(**given)


def kinds(found: list[StoredEvent]) -> list[Any]:
    """Return what became of each: stored, the argument that is wrong, the same, or another."""
    return ["stored" if one.stored else one.wrong or one.same for one in found]


def cases(table: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    """Return arguments and values that a batch can carry: what only SQL can give is left out."""
    return [
        (name, value)
        for name, values in table.items()
        if name != "source"
        for value in values
        if not (value is None and name in {"type", "payload"}) and not is_nested(value)
    ]


def is_nested(value: Any) -> bool:
    """Return whether this is an array of arrays."""
    return isinstance(value, list) and any(isinstance(one, list) for one in value)


async def fault_by_sql(conn: Any, name: str, value: Any) -> str | None:
    """Publish by SQL; return the argument that is refused."""
    given = {} if name == "type" else {name: value}
    try:
        await publish(conn, value if name == "type" else "a.b", **given)
    except asyncpg.PostgresError as error:
        hint: str | None = error.hint
        return hint
    return None


@pytest.mark.parametrize("table", [GOOD, BAD], ids=["good", "bad"])
async def test_both_ways_to_publish_have_the_same_rules(
    publishing_at: EventPublishing, conn: Any, table: dict[str, list[Any]]
) -> None:
    """What the one stores, the other stores; what it refuses, it refuses by the same name."""
    named = cases(table)
    events = [new(**{"event_type" if name == "type" else name: value}) for name, value in named]

    found = kinds(await publishing_at.publish(SOURCE, events))

    for (name, value), outcome in zip(named, found, strict=True):
        assert outcome == (await fault_by_sql(conn, name, value) or "stored"), (name, value)
    assert set(found) == ({"stored"} if table is GOOD else {name for name, _ in named})


async def test_one_bad_event_spoils_no_other(
    jobs: Jobs, publishing_at: EventPublishing, rung: list[Announcement]
) -> None:
    """Stored are the others, in their order; the relay is rung once."""
    events = [new(payload=json.dumps({"n": n})) for n in range(500)]
    events[7], events[499] = new("A.b"), new(topics=["user:1"])

    found = kinds(await publishing_at.publish(SOURCE, events))

    assert (found[7], found[499], found.count("stored")) == ("type", "topics", 498)
    assert [one.type for one in rung] == ["events.stored"]
    relayed = [json.loads(one.body)["payload"]["n"] for one in await relay_all(jobs)]
    assert relayed == [n for n in range(500) if n not in {7, 499}]


async def test_a_batch_that_is_sent_again_is_all_duplicates(
    jobs: Jobs, publishing_at: EventPublishing, conn: Any, rung: list[Announcement]
) -> None:
    """Also for SQL with the same source; keys of other sources are others; nobody is rung."""
    events = [new(key=f"k{n}", users=[1], payload='{"a": 1, "b": 2}') for n in range(5)]
    first = await publishing_at.publish(SOURCE, events)
    rung.clear()

    again = await publishing_at.publish(SOURCE, events)
    by_sql = await publish(
        conn, "a.b", key="k0", users=[1], payload='{"b": 2, "a": 1}', source=SOURCE
    )
    elsewhere = await publishing_at.publish("crm", events[:1])

    assert kinds(again) == [True] * 5
    assert [one.id for one in again] == [one.id for one in first]
    assert by_sql == first[0].id
    assert kinds(elsewhere) == ["stored"]
    assert len(rung) == 1
    assert len(await relay_all(jobs)) == 6


async def test_a_key_with_other_content_is_refused_alone(publishing_at: EventPublishing) -> None:
    """Within a batch, too: of one key the first counts."""
    await publishing_at.publish(SOURCE, [new(key="k", deliver_at=LATER)])

    found = await publishing_at.publish(
        SOURCE,
        [new(key="k"), new(key="new"), new(key="new"), new(key="new", users=[1]), new(),
         new(key="k", deliver_at=LATER)],
    )  # fmt: skip

    assert kinds(found) == [False, "stored", True, False, "stored", True]
    assert found[1].id == found[2].id


async def test_batches_with_the_same_keys_at_once_publish_each_once(
    jobs: Jobs, publishing_at: EventPublishing
) -> None:
    """In opposite orders, without a deadlock."""
    events = [new(key=f"k{n}") for n in range(100)]
    backwards = list(reversed(events))

    found = await asyncio.gather(
        *(publishing_at.publish(SOURCE, some) for some in (events, backwards) * 3)
    )

    stored = [one.id for some in found for one in some if one.stored]
    assert len(stored) == len(set(stored)) == 100
    assert {outcome for some in found for outcome in kinds(some)} == {"stored", True}
    assert len(await relay_all(jobs)) == 100


async def test_a_key_that_is_cancelled_meanwhile_is_free(
    jobs: Jobs, publishing_at: EventPublishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two statements: the batch tries again."""
    await publishing_at.publish(SOURCE, [new(key="k", deliver_at=LATER)])
    known = batches.known

    async def cancelled(*arguments: Any) -> Any:
        await jobs.sql("SELECT realtime.cancel_event('k', $1)", SOURCE)
        return await known(*arguments)

    monkeypatch.setattr(batches, "known", cancelled)
    found = await publishing_at.publish(SOURCE, [new(key="k"), new()])

    assert kinds(found) == ["stored", "stored"]
    assert len(await relay_all(jobs)) == 2


@pytest.mark.parametrize("backlog", [OutboxBacklog(100_000, 1.0), OutboxBacklog(1, 61.0)])
async def test_a_backlog_refuses_batches(
    jobs: Jobs, publishing_at: EventPublishing, monkeypatch: pytest.MonkeyPatch,
    backlog: OutboxBacklog,
) -> None:  # fmt: skip
    """As temporary; SQL is never refused for load."""

    async def counted(*_: Any, **__: Any) -> OutboxBacklog:
        return backlog

    monkeypatch.setattr(outbox, "backlog", counted)
    with pytest.raises(EventBacklog) as refused:
        await publishing_at.publish(SOURCE, [new()])
    assert refused.value.retry_after
    assert await relay_all(jobs) == []


async def test_what_waits_is_counted_with_its_age(jobs: Jobs, conn: Any) -> None:
    """What is put off does not wait before its time."""
    for _ in range(3):
        await publish(conn)
    await publish(conn, deliver_at=LATER)
    await jobs.sql("UPDATE realtime.events_outbox SET created_at = now() - interval '70 s'")

    counted = await outbox.backlog(conn, limit=2)
    everything = await outbox.backlog(conn, limit=100)

    assert (counted.waiting, everything.waiting) == (2, 3)
    assert 70 <= everything.oldest_s < 170


@pytest.mark.parametrize("savepoint", [False, True])
async def test_what_is_being_cancelled_refuses_no_batches(
    jobs: Jobs, publishing_at: EventPublishing, conn: Any, savepoint: bool
) -> None:
    """A transaction of the CRM that stays open; if it is rolled back, the event waits again."""
    await publish(conn, key="k")
    await jobs.sql("UPDATE realtime.events_outbox SET created_at = now() - interval '70 s'")
    transaction = conn.transaction()
    await transaction.start()
    if savepoint:
        await conn.execute("SAVEPOINT one")
    await conn.execute("SELECT realtime.cancel_event('k')")
    if savepoint:
        await conn.execute("RELEASE one")

    assert await relay_all(jobs) == []
    assert kinds(await publishing_at.publish(SOURCE, [new()])) == ["stored"]
    assert len(await relay_all(jobs)) == 1

    await transaction.rollback()
    async with jobs.connect() as other:
        waits = await outbox.backlog(other, limit=100)
    assert waits.waiting == 1
    assert waits.oldest_s >= 70
