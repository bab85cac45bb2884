"""realtime.publish and realtime.cancel_event, in the CRM's own transactions."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from gateway.auth.subjects import id_of
from tests.support.desk import eventually
from tests.support.event_tools import log_of, publish, relay_all
from tests.support.job_tools import Jobs

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "work_order:1234:assigned"


def nested(levels: int) -> str:
    """Return an object of so many levels."""
    return '{"a":' * (levels - 1) + "{}" + "}" * (levels - 1)


GOOD: dict[str, list[Any]] = {
    "type": ["a.b", "lead.follow_up_due", "a9.b_9", "a." + "b" * 78],
    "users": [[], [1], [2**53 - 1], list(range(1, 1001)), [7, 7], None],
    "topics": [[], ["crm:a:1"], ["crm:DEAL:clx-0a1:9"], ["crm:a:" + "x" * 194],
               [f"crm:work_order:{n}" for n in range(20)], ["crm:a:1", "crm:a:" + "y" * 194],
               None],
    "payload": ["{}", None, nested(32), '{"n": 9007199254740991, "m": -9007199254740991}',
                '{"x": "' + "я" * 4090 + '"}', '{"a": 1e-400, "b": 0.1}',
                '{"card": "4111111111111111999"}', '{"a": [[[]]], "b": [1, {"c": null}]}'],
    "key": [None, "k", "a key with spaces", "~" * 200],
    "deliver_at": [None, NOW, datetime.now(UTC) + timedelta(days=365)],
    "notify": [None, "{}", '{"category": "work"}'],
    "source": ["crm", "a", "erp-2_x.y", "s" * 63],
}  # fmt: skip
"""Argument → what it may be."""

BAD: dict[str, list[Any]] = {
    "type": [None, "", "a", "a.", ".b", "A.b", "a.B", "a.b.c", "a b.c", "a.b\n", "a.b\u200b",
             "\u0430.b", "1a.b", "a.1b", "a." + "b" * 79, "user:1", "*", "a.b\u202e", "_a.b"],
    "users": [[0], [-1], [2**53], [1, None], [2**63 - 1], list(range(1, 1002)), [[1, 2], [3, 4]]],
    "topics": [["user:1"], ["conversation:1"], ["queues"], ["presence:1"], ["crm"], ["crm:"],
               ["crm:a"], ["crm:a:"], ["crm::1"], [""], [None], ["crm:a:1", None],
               ["crm:a:1 crm:a:2"], ["crm:a:1 crm:a:2", "crm:a:3"], [["crm:a:1"]],
               [["crm:a:1"], ["crm:a:2"]], ["crm:a:1\n"], ["crm:a:1\ncrm:a:2"], ["crm:a:\u0007"],
               ["crm:a:1\u200b"], ["crm:a:1\u202e"], ["crm:a:\u00a0"], ["crm:é:1"], ["CRM:a:1"],
               ["crm:1a:1"], ["crm:a:" + "x" * 195], ["crm:a:1", "crm:a:" + "x" * 195],
               [f"crm:a:{n}" for n in range(21)], ["crm:a:1", "jobs"],
               ["crm:a:1", "user:7"], [" crm:a:1"], ["crm:a:1 "], ["callbacks"]],
    "payload": ["[]", "[{}]", "1", '"text"', "null", "true", nested(33), nested(999),
                '{"n": 9007199254740992}', '{"n": -9007199254740992}', '{"a": [{"b": 1e400}]}',
                '{"x": "' + "я" * 4096 + '"}', '{"x": "' + "y" * 2**20 + '"}',
                '{"a": ' + "9" * 5_000 + "}"],
    "key": ["", "x" * 201, "a\nb", "a\tb", "ключ", "a\u200b", "a\x7f", "\u00a0"],
    "deliver_at": [datetime.now(UTC) + timedelta(days=367)],
    "notify": ["[]", "1", nested(33), '{"x": "' + "y" * 2_048 + '"}', '{"n": 1e16}'],
    "source": [None, "", "CRM", "a b", "a\n", "s" * 64, "1a", "crm\u200b"],
}  # fmt: skip
"""Argument → what is refused, by its name."""


def stored_as(name: str, value: Any) -> Any:
    """Return what the outbox has of an argument."""
    match name:
        case "deliver_at":
            at_once = value is None or value < datetime.now(UTC)
            return datetime.min if at_once else value  # noqa: DTZ901 - asyncpg's -infinity
        case "users" | "topics":
            return value or []
        case "payload":
            return json.loads(value or "{}")
        case "notify":
            return value and json.loads(value)
    return value


async def waits(jobs: Jobs, conn: Any) -> bool:
    """Return whether a connection waits for a lock."""
    [row] = await jobs.sql(
        "SELECT wait_event_type FROM pg_stat_activity WHERE pid = $1", conn.get_server_pid()
    )
    return bool(row["wait_event_type"] == "Lock")


@pytest.mark.parametrize("name", GOOD)
async def test_what_is_allowed_is_stored_as_it_is(jobs: Jobs, conn: Any, name: str) -> None:
    """Each limit may be reached; NULL for a list means nobody, for a payload nothing."""
    for value in GOOD[name]:
        given = {} if name == "type" else {name: value}
        event_id = await publish(conn, value if name == "type" else "a.b", **given)

        [row] = await jobs.sql("SELECT * FROM realtime.events_outbox WHERE id = $1", event_id)
        assert row["event_key" if name == "key" else name] == stored_as(name, value)


@pytest.mark.parametrize("name", BAD)
async def test_what_is_not_allowed_is_refused_and_named(jobs: Jobs, conn: Any, name: str) -> None:
    """With RT004, the name of the argument, and nothing stored."""
    for value in BAD[name]:
        given = {} if name == "type" else {name: value}
        with pytest.raises(asyncpg.PostgresError) as refused:
            await publish(conn, value if name == "type" else "a.b", **given)
        error = refused.value
        assert (error.sqlstate, error.detail, error.hint) == (
            "RT004", "command.invalid", name,
        ), value  # fmt: skip
        assert str(value)[:20] not in str(error) or value in {None, "", "a", "1"}

    assert await jobs.sql("SELECT FROM realtime.events_outbox") == []


@pytest.mark.parametrize("moment", ["infinity", "-infinity"])
async def test_a_moment_that_never_comes_is_refused(conn: Any, moment: str) -> None:
    """Neither is a time at which something could be delivered."""
    with pytest.raises(asyncpg.PostgresError) as refused:
        await conn.execute(f"SELECT realtime.publish('a.b', deliver_at => '{moment}')")
    assert (refused.value.sqlstate, refused.value.hint) == ("RT004", "deliver_at")


@pytest.mark.parametrize("payload", [r'{"a": "\u0000"}', r'{"a": "\ud800"}', '{"a": NaN}', "{"])
async def test_what_is_no_json_is_refused_by_postgresql(conn: Any, payload: str) -> None:
    """Jsonb has no NUL, no lone surrogates, and no end that is missing."""
    with pytest.raises(asyncpg.DataError):
        await publish(conn, payload=payload)


async def test_a_rollback_leaves_nothing_behind(jobs: Jobs, conn: Any) -> None:
    """Neither the event nor its key."""
    transaction = conn.transaction()
    await transaction.start()
    await publish(conn, key=KEY, payload={"n": 1})
    await transaction.rollback()

    again = await publish(conn, key=KEY, payload={"n": 2})

    [event] = await relay_all(jobs)
    assert json.loads(event.body)["id"] == again


async def test_a_key_is_published_once(jobs: Jobs, conn: Any) -> None:
    """The same content returns the first id; also after it was relayed; other content is refused.

    Content is what jsonb takes for equal: order and spaces in a payload make no difference.
    """
    content: dict[str, Any] = {
        "users": [1, 2],
        "topics": ["crm:a:1"],
        "notify": {"n": 1},
        "deliver_at": NOW,
    }
    first = await publish(conn, key=KEY, payload='{"a": 1, "b": 2}', **content)
    [relayed] = await relay_all(jobs)

    again = await publish(conn, key=KEY, payload='{"b":2,"a":1}', **content)
    other_source = await publish(conn, key=KEY, source="erp", payload={"other": 1})

    assert again == first == json.loads(relayed.body)["id"]
    assert other_source != first
    others: list[dict[str, Any]] = [
        {"payload": {"a": 2}}, {"users": [1]}, {"topics": []}, {"notify": {"n": 2}},
        {"notify": None}, {"deliver_at": NOW + timedelta(seconds=1)}, {"deliver_at": None},
        {"event_type": "work_order.moved"},
    ]  # fmt: skip
    for changed in others:
        given = {"key": KEY, "payload": '{"a": 1, "b": 2}', **content, **changed}
        with pytest.raises(asyncpg.PostgresError) as refused:
            await publish(conn, given.pop("event_type", "work_order.assigned"), **given)
        assert (refused.value.sqlstate, refused.value.detail) == ("RT003", "event.key_reused")


async def test_a_retry_says_the_same_in_another_time_zone(conn: Any) -> None:
    """The digest is of the moment, not of how a session writes it."""
    given: dict[str, Any] = {"key": KEY, "deliver_at": datetime.now(UTC) + timedelta(days=1)}
    first = await publish(conn, **given)
    await conn.execute("SET timezone = 'Asia/Kolkata'")
    await conn.execute("SET datestyle = 'German'")
    await conn.execute("SET extra_float_digits = 0")

    assert await publish(conn, **given) == first


async def test_publishers_of_one_key_at_once_publish_one_event(jobs: Jobs) -> None:
    """The second waits for the first one's COMMIT, and publishes itself after its ROLLBACK."""
    async with jobs.connect() as first, jobs.connect() as second:
        for ends, same in (("rollback", False), ("commit", True)):
            transaction = first.transaction()
            await transaction.start()
            taken = await publish(first, key=f"{KEY}:{ends}", payload={"of": 1})
            waiting = asyncio.create_task(publish(second, key=f"{KEY}:{ends}", payload={"of": 1}))
            await eventually(lambda: waits(jobs, second))
            await getattr(transaction, ends)()
            assert (await waiting == taken) is same

    assert len(await relay_all(jobs)) == 2


async def test_publishers_of_other_keys_wait_for_nobody(jobs: Jobs) -> None:
    """An open transaction that published holds up no other, nor the relay."""
    async with jobs.connect() as first, jobs.connect() as second:
        await second.execute("SET lock_timeout = '1ms'")
        async with first.transaction():
            await publish(first, key="one", users=[1], topics=["crm:a:1"])
            event_id = await publish(second, key="two", users=[1], topics=["crm:a:1"])
            await second.execute("RESET lock_timeout")
            [relayed] = await relay_all(jobs)
            assert json.loads(relayed.body)["id"] == event_id


async def test_a_later_event_waits_for_its_time_and_can_be_cancelled(jobs: Jobs, conn: Any) -> None:
    """By its key, which is free afterwards; what was relayed cannot."""
    later = datetime.now(UTC) + timedelta(hours=1)
    await publish(conn, key="later", deliver_at=later, payload={"n": 1})
    await publish(conn, key="now", payload={"n": 2})
    assert [json.loads(one.body)["payload"] for one in await relay_all(jobs)] == [{"n": 2}]

    cancel = "SELECT realtime.cancel_event($1)"
    assert await conn.fetchval(cancel, "now") is False
    assert await conn.fetchval(cancel, "never") is False
    assert await conn.fetchval("SELECT realtime.cancel_event('later', 'erp')") is False
    assert await conn.fetchval(cancel, "later") is True
    assert await conn.fetchval(cancel, "later") is False
    await publish(conn, key="later", payload={"n": 3})

    assert [json.loads(one.body)["payload"] for one in await relay_all(jobs)] == [{"n": 3}]


async def test_cancelling_and_relaying_at_once_end_in_one_of_the_two(jobs: Jobs) -> None:
    """A relay passes over what is being cancelled; after a rollback it takes it."""
    async with jobs.connect() as crm:
        await publish(crm, key="first", payload={"n": 1})
        await publish(crm, key="second", payload={"n": 2})
        transaction = crm.transaction()
        await transaction.start()
        assert await crm.fetchval("SELECT realtime.cancel_event('first')") is True
        meanwhile = await relay_all(jobs)
        await transaction.rollback()
        afterwards = await relay_all(jobs)

    assert [json.loads(one.body)["key"] for one in meanwhile] == ["second"]
    assert [json.loads(one.body)["key"] for one in afterwards] == ["first"]


async def test_the_crm_needs_no_right_but_to_call(jobs: Jobs, conn: Any) -> None:
    """A role with EXECUTE on the functions publishes and cancels, and reads no table."""
    role = "crm_of_events"
    await conn.execute(f"DROP ROLE IF EXISTS {role}")
    await conn.execute(f"CREATE ROLE {role}")
    try:
        await conn.execute(f"GRANT USAGE ON SCHEMA realtime TO {role}")
        await conn.execute(f"SET ROLE {role}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await publish(conn)
        await conn.execute("RESET ROLE")
        await conn.execute(
            f"GRANT EXECUTE ON FUNCTION realtime.publish, realtime.cancel_event TO {role}"
        )
        await conn.execute(f"SET ROLE {role}")
        await publish(conn, users=[1], key="k", deliver_at=datetime.now(UTC) + timedelta(days=1))
        assert await conn.fetchval("SELECT realtime.cancel_event('k')") is True
        for table in ("events_outbox", "event_keys", "events", "event_head"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.fetch(f"SELECT FROM realtime.{table}")
    finally:
        await conn.execute("RESET ROLE")
        await conn.execute(f"DROP OWNED BY {role}")
        await conn.execute(f"DROP ROLE {role}")


async def test_users_with_text_ids_are_named_by_their_numbers(jobs: Jobs, conn: Any) -> None:
    """As everywhere, by realtime.id_of."""
    await conn.execute(
        "SELECT realtime.publish('a.b', ARRAY[realtime.id_of('employee', 'clx0a1')])"
    )
    [event] = await relay_all(jobs)

    assert event.users == [id_of("employee", "clx0a1")]
    assert (await log_of(jobs))[0]["source"] == "crm"
