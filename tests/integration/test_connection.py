"""A pool's connections know arrays and JSON from the start, and the database is not asked twice."""

from __future__ import annotations

import uuid

import pytest

from gateway import db
from gateway.db import connection


@pytest.fixture
def database(new_database: str) -> str:
    """Give a new database: what is tested here is planned by what a server remembers."""
    return new_database


async def asked(dsn: str) -> tuple[int, list[object]]:
    """Use arrays on a new connection; return how many types were looked up, and what came back."""
    conn = await db.connect(dsn, application_name="test")
    lookups: list[object] = []
    conn.add_query_logger(
        lambda record: lookups.append(record) if "typeinfo_tree" in record.query else None
    )
    try:
        found = await conn.fetchrow(
            "SELECT $1::bigint[], $2::uuid[], $3::boolean[], $4::jsonb[], $5::smallint[]",
            [1, 2],
            [uuid.UUID(int=7)],
            [True],
            [{"a": 1}],
            [],
        )
        assert found is not None
        return len(lookups), list(found)
    finally:
        await conn.close()


async def test_types_are_looked_up_once_for_all_connections(database: str) -> None:
    """The second connection of a process asks nothing, and reads and writes the same."""
    _, first = await asked(database)
    lookups, second = await asked(database)

    assert first == second == [[1, 2], [uuid.UUID(int=7)], [True], [{"a": 1}], []]
    assert lookups == 0


async def test_types_of_one_database_are_not_taken_for_anothers(database: str) -> None:
    """A type that somebody made may be another one elsewhere: nothing of it is remembered."""
    conn = await db.connect(database, application_name="test")
    try:
        await conn.execute("CREATE TYPE public.mood AS ENUM ('calm')")
        assert await conn.fetchval("SELECT ARRAY['calm']::public.mood[]") == ["calm"]
        made: int = await conn.fetchval("SELECT 'public.mood[]'::regtype::oid")
    finally:
        await conn.close()

    assert made not in {oid for asked in connection._known for oid in asked}
