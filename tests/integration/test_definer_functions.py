"""Functions that act with their owner's rights: only who was granted them may call them."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

DEFINER = """
    SELECT p.oid::regprocedure::text AS name,
           EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
                    WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE') AS of_public,
           p.proconfig
      FROM pg_proc AS p
     WHERE p.pronamespace = 'realtime'::regnamespace AND p.prosecdef
"""


async def test_no_function_with_its_owners_rights_is_for_everybody(conn: Any) -> None:
    """A new function is, unless its migration revokes it; and its names are those of its owner."""
    found = {row["name"].split("(")[0]: row for row in await conn.fetch(DEFINER)}

    assert {"realtime.send_message", "realtime.compact_jobs"} <= found.keys()
    assert [name for name, row in found.items() if row["of_public"]] == []
    for row in found.values():
        assert "search_path=pg_catalog, pg_temp" in row["proconfig"]


@pytest.mark.parametrize("most", [None, -1, -(2**31)])
async def test_compacting_keeps_jobs_whatever_it_is_asked(conn: Any, most: int | None) -> None:
    """A number that is none is refused."""
    await conn.execute("INSERT INTO realtime.jobs (queue, kind) VALUES ('tests', 'tests.run')")
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await conn.fetchval("SELECT realtime.compact_jobs($1)", most)

    assert await conn.fetchval("SELECT count(*) FROM realtime.jobs") == 1


@pytest.mark.parametrize(("jobs", "most", "done"), [
    (0, 0, True), (1, 0, False), (1, 1, True), (2, 2**31 - 1, True),
])  # fmt: skip
async def test_compacting_goes_by_the_number_of_jobs(
    conn: Any, jobs: int, most: int, done: bool
) -> None:
    """From none to the largest number there is."""
    await conn.execute(
        "INSERT INTO realtime.jobs (queue, kind)"
        " SELECT 'tests', 'tests.run' FROM generate_series(1, $1)",
        jobs,
    )

    assert await conn.fetchval("SELECT realtime.compact_jobs($1)", most) is done
    assert await conn.fetchval("SELECT count(*) FROM realtime.jobs") == jobs


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_compacting_is_refused_under_an_old_snapshot(
    conn: Any, database: str, isolation: Any
) -> None:
    """It would not see what was ordered since, and delete it."""
    other = await asyncpg.connect(database)
    try:
        async with other.transaction(isolation=isolation):
            await other.fetchval("SELECT count(*) FROM realtime.schedules")
            await conn.execute(
                "INSERT INTO realtime.jobs (queue, kind) VALUES ('tests', 'tests.run')"
            )
            with pytest.raises(asyncpg.InvalidTransactionStateError):
                await other.fetchval("SELECT realtime.compact_jobs(5000)")
    finally:
        await other.close()

    assert await conn.fetchval("SELECT count(*) FROM realtime.jobs") == 1
