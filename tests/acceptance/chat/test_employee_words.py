"""The search words of employees are made once, and anew when the CRM changes a name."""

from __future__ import annotations

import asyncio

from gateway.client import Connection
from gateway.protocol import EmployeeSearch
from tests.support.desk import IRYNA, OKSANA, Desk

KEPT = "SELECT count(*) AS count FROM realtime.employee_words"


async def found(asker: Connection, text: str) -> list[int]:
    return [one.id for one in (await asker.request(EmployeeSearch(text=text, limit=100))).employees]


async def test_words_are_kept_and_used(small_desk: Desk) -> None:
    """After one search those of everybody are there; later searches read them, and make none."""
    oksana = await small_desk.client(OKSANA)
    everybody = await found(oksana, "")

    assert (await small_desk.sql(KEPT))[0]["count"] == len(everybody)
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
    assert await found(oksana, "нова люд") == [301]
    await small_desk.sql(
        "UPDATE demo_crm.staff SET full_name = 'Хтось Інший', job_title = 'Космонавт'"
        " WHERE id = 301"
    )
    assert await found(oksana, "нова люд") == []
    assert await found(oksana, "хтось інший") == await found(oksana, "космонавт") == [301]
    await small_desk.sql("DELETE FROM demo_crm.staff WHERE id = 301")
    await small_desk.sql("INSERT INTO demo_crm.staff VALUES (302, 'Ще Одна', 1, 'Агент', 1)")
    assert await found(oksana, "хтось") == []
    assert await found(oksana, "ще одна") == [302]
    kept = await small_desk.sql("SELECT employee_id FROM realtime.employee_words")
    assert {row["employee_id"] for row in kept} & {301, 302} == {302}


async def test_many_searches_at_once_keep_each_word_once(small_desk: Desk) -> None:
    """Eight people search while nothing is kept: everybody gets an answer, the same one."""
    searchers = [await small_desk.client(OKSANA) for _ in range(8)]

    answers = await asyncio.gather(*(found(one, "a") for one in searchers))

    assert answers[0]
    assert answers == [answers[0]] * 8


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
