"""The search words of employees are made once, and anew when the CRM changes a name."""

from __future__ import annotations

import asyncio

import pytest

from gateway.client import Connection
from gateway.db import connect
from gateway.people import words
from gateway.people.queries.words import LOCK
from gateway.protocol import EmployeeSearch
from tests.support.desk import IRYNA, OKSANA, Desk, employee, eventually

KEPT = "SELECT count(*) AS count FROM realtime.employee_words"
FULL_DISK = """
CREATE FUNCTION realtime.full_disk() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'no space' USING errcode = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE OR DELETE ON realtime.employee_words
   FOR EACH STATEMENT EXECUTE FUNCTION realtime.full_disk();
"""
COUNT_ROWS = """
CREATE TABLE realtime.portions (rows int NOT NULL);
CREATE FUNCTION realtime.count_rows() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO realtime.portions SELECT count(*) FROM fresh; RETURN NULL; END $$;
CREATE TRIGGER count_rows AFTER INSERT ON realtime.employee_words
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION realtime.count_rows();
"""


async def found(asker: Connection, text: str) -> list[int]:
    return [one.id for one in (await asker.request(EmployeeSearch(text=text, limit=100))).employees]


async def execute(desk: Desk, script: str) -> None:
    """Run several statements."""
    conn = await connect(desk.database, application_name="script")
    await conn.execute(script)
    await conn.close()


async def all_kept(desk: Desk, asker: Connection) -> None:
    """Wait until the words of everybody are kept."""
    everybody = len(await found(asker, ""))

    async def done() -> bool:
        return bool((await desk.sql(KEPT))[0]["count"] == everybody)

    await eventually(done)


async def test_words_are_kept_and_used(small_desk: Desk) -> None:
    """After one search those of everybody are there; later searches read them, and make none."""
    oksana = await small_desk.client(OKSANA)
    await all_kept(small_desk, oksana)

    # Different words than the name has: whoever finds by them has read them.
    await small_desk.sql(
        "UPDATE realtime.employee_words SET name_words = 'kept' WHERE employee_id = $1", IRYNA
    )
    assert await found(oksana, "kept") == [IRYNA]
    assert await found(oksana, "") != []


async def test_a_change_in_the_crm_counts_at_once(small_desk: Desk) -> None:
    """A new name, another position, a newcomer, somebody dismissed: the next search knows."""
    oksana = await small_desk.client(OKSANA)
    await found(oksana, "")

    await small_desk.sql("INSERT INTO demo_crm.staff VALUES (301, 'Нова Людина', 1, 'Агент', 1)")
    assert await found(oksana, "нова люд") == [employee(301)]
    await small_desk.sql(
        "UPDATE demo_crm.staff SET full_name = 'Хтось Інший', job_title = 'Космонавт'"
        " WHERE id = 301"
    )
    assert await found(oksana, "нова люд") == []
    assert await found(oksana, "хтось інший") == await found(oksana, "космонавт") == [employee(301)]
    await small_desk.sql("DELETE FROM demo_crm.staff WHERE id = 301")
    await small_desk.sql("INSERT INTO demo_crm.staff VALUES (302, 'Ще Одна', 1, 'Агент', 1)")
    assert await found(oksana, "хтось") == []
    assert await found(oksana, "ще одна") == [employee(302)]

    async def forgotten() -> bool:
        kept = await small_desk.sql("SELECT employee_id FROM realtime.employee_words")
        newcomers = {employee(301), employee(302)}
        return {row["employee_id"] for row in kept} & newcomers == {employee(302)}

    await eventually(forgotten)


async def test_many_searches_at_once_keep_each_word_once(small_desk: Desk) -> None:
    """Eight people search while nothing is kept: everybody gets an answer, the same one."""
    searchers = [await small_desk.client(OKSANA) for _ in range(8)]

    answers = await asyncio.gather(*(found(one, "a") for one in searchers))

    assert answers[0]
    assert answers == [answers[0]] * 8


async def test_a_search_waits_for_nobody_who_keeps_words(small_desk: Desk) -> None:
    """It is answered while the table of words cannot be written."""
    oksana = await small_desk.client(OKSANA)
    other = await connect(small_desk.database, application_name="other")
    try:
        async with other.transaction():
            await other.execute("LOCK TABLE realtime.employee_words IN SHARE MODE")
            assert await found(oksana, "kovalenko") == [OKSANA]
    finally:
        await other.close()


async def test_a_search_survives_every_failure_to_keep_words(
    small_desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """The disk is full: everybody is found all the same, and the log says that nothing is kept."""
    await execute(small_desk, FULL_DISK)
    oksana = await small_desk.client(OKSANA)

    assert await found(oksana, "kovalenko") == [OKSANA]

    async def logged() -> bool:
        return "employee_words.not_kept" in capsys.readouterr().out

    await eventually(logged)
    assert await found(oksana, "kovalenko") == [OKSANA]


async def test_one_keeps_words_at_a_time(small_desk: Desk) -> None:
    """Who finds that another one keeps them leaves it to that one."""
    services = small_desk.nodes[0].node.services
    other = await connect(small_desk.database, application_name="other")
    try:
        async with other.transaction():
            await other.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            assert await words.keep(services) == 0
    finally:
        await other.close()
    assert await words.keep(services) > 0
    assert await words.keep(services) == 0


async def test_words_are_kept_in_portions(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No transaction makes the words of all employees of a large company."""
    monkeypatch.setattr(words, "PORTION", 4)
    await execute(small_desk, COUNT_ROWS)

    kept = await words.keep(small_desk.nodes[0].node.services)

    portions = [row["rows"] for row in await small_desk.sql("SELECT rows FROM realtime.portions")]
    assert kept == sum(portions) == (await small_desk.sql(KEPT))[0]["count"] > 4
    assert max(portions) == 4


async def test_a_standby_is_searched(new_database: str, redis_url: str) -> None:
    """It keeps nothing, and finds everybody all the same."""
    desk = Desk(new_database, redis_url)
    try:
        await desk.start_node()
        oksana = await desk.client(OKSANA)
        await desk.sql(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on',"
            " current_database()); END $$"
        )
        await desk.nodes[0].app.state.gateway.pool.expire_connections()

        assert await found(oksana, "kovalenko") == [OKSANA]
        assert (await desk.sql(KEPT))[0]["count"] == 0
    finally:
        await desk.close()
