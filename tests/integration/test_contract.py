"""The check of the CRM's views finds whatever is wrong with one, and blames no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager

import pytest
import structlog

from gateway.crm import MAX_ID, VIEWS, ContractWatch, check, watched_views
from gateway.crm.contract import BY_NAME
from gateway.db import Conn, connect, open_pool
from gateway.errors import ContractUnavailable
from tests.support.crm_views import reshaped, row_of
from tests.support.desk import eventually

COLUMNS = [(view, column) for view in VIEWS for column in view.columns]


@pytest.fixture
async def crm(database: str) -> AsyncIterator[Conn]:
    """Give a connection to a database whose views a test may change."""
    connection = await connect(database, application_name="test")
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


async def faults(conn: Conn) -> dict[str, str]:
    """Return view → what is wrong with it."""
    found, unknown = await check(conn)
    assert unknown == set()
    return {name: fault.what for name, fault in found.items()}


@asynccontextmanager
async def undone(conn: Conn) -> AsyncIterator[None]:
    """Undo what is done to the views in here."""
    savepoint = conn.transaction()
    await savepoint.start()
    try:
        yield
    finally:
        await savepoint.rollback()


async def test_the_demo_keeps_the_contract(crm: Conn) -> None:
    """Nothing is wrong with any of its views."""
    assert await check(crm) == ({}, set())


async def test_a_view_that_is_missing_is_named(crm: Conn) -> None:
    """An optional one may be."""
    for view in VIEWS:
        async with undone(crm):
            await crm.execute(f"DROP VIEW {view.full_name}")

            assert await faults(crm) == ({view.name: "is missing"} if view.required else {})


async def test_a_column_that_is_missing_is_named(crm: Conn) -> None:
    """Whatever else the view has; an optional one may be missing."""
    for view, column in COLUMNS:
        async with undone(crm):
            await crm.execute(reshaped(view, {column.name: None, "more": "7"}))

            what = {view.name: f"has no column {column.name}"}
            assert await faults(crm) == ({} if column.optional else what)


async def test_a_column_of_another_type_is_named(crm: Conn) -> None:
    """With both types; text ids are told here, not at every hello."""
    for view, column in COLUMNS:
        other = "uuid" if column.type == "text" else "text"
        async with undone(crm):
            await crm.execute(reshaped(view, {column.name: f"NULL::{other}"}))

            what = f"has {column.name} as {other}, not {column.type}"
            assert await faults(crm) == {view.name: what}


async def test_a_smaller_type_of_id_is_as_good(crm: Conn) -> None:
    """Ids below 2^31 are ids, and a domain is the type that it is of."""
    await crm.execute("CREATE DOMAIN crm.number AS integer")
    for view in VIEWS:
        for kind in ("integer", "smallint", "crm.number"):
            async with undone(crm):
                ids = {one.name: f"1::{kind}" for one in view.columns if one.is_id}
                await crm.execute(reshaped(view, ids))

                assert await faults(crm) == {}


async def test_an_id_of_2_to_the_53_is_found(crm: Conn) -> None:
    """The last one below it is not."""
    for view, column in COLUMNS:
        if column.is_id:
            for value in (MAX_ID, MAX_ID + 1):
                async with undone(crm):
                    await crm.execute(reshaped(view, {column.name: f"{value}::bigint"}))

                    what = f"has the id {value}, which is not below 2^53"
                    assert await faults(crm) == ({view.name: what} if value > MAX_ID else {})


async def test_a_row_that_is_there_twice_is_found(crm: Conn) -> None:
    """It is named, and the view stays on."""
    for view in VIEWS:
        async with undone(crm):
            await crm.execute(f"{reshaped(view, {})} UNION ALL SELECT {', '.join(row_of(view))}")

            found, _ = await check(crm)

            named = " ".join(view.unique)
            said = {f"{fault.what.rpartition(named)[0]}, {fault.off}" for fault in found.values()}
            assert said == ({"has rows twice: , False"} if view.unique else set())


async def test_rows_without_an_id_are_counted(crm: Conn) -> None:
    """A person nobody can refer to switches off nothing."""
    await crm.execute(reshaped(BY_NAME["employees"], {"id": "NULL::bigint"}))

    assert await faults(crm) == {"employees": "has 1 rows without an id"}


async def test_a_view_that_fails_is_named_with_its_error(crm: Conn) -> None:
    """The others are examined nevertheless."""
    for view in VIEWS:
        first = next(one for one in view.columns if one.is_id)
        async with undone(crm):
            broken = f"(1 / (random() * 0)::int)::{first.type}"
            await crm.execute(reshaped(view, {first.name: broken}))

            assert await faults(crm) == {view.name: "cannot be read: division by zero"}


async def test_a_view_that_may_not_be_read_says_what_to_grant(crm: Conn) -> None:
    """A right to the view, and one to the schema."""
    await crm.execute("CREATE ROLE reading_nothing; SET ROLE reading_nothing")
    assert {what.partition(":")[0] for what in (await faults(crm)).values()} == {"cannot be read"}

    await crm.execute("RESET ROLE; GRANT USAGE ON SCHEMA crm TO reading_nothing")
    await crm.execute("GRANT SELECT ON ALL TABLES IN SCHEMA crm TO reading_nothing")
    await crm.execute("SET ROLE reading_nothing")

    assert await faults(crm) == {}


async def test_a_slow_view_is_off_and_the_others_are_not(crm: Conn) -> None:
    """It is slow by the column that the gateway reads it by, too."""
    slow = "(SELECT 1::bigint FROM pg_sleep(30))"
    await crm.execute(reshaped(BY_NAME["customers"], {"id": slow}))

    found, _ = await check(crm, statement_s=0.2)

    assert {name: fault.slow for name, fault in found.items()} == {"customers": True}


async def test_a_view_that_is_slow_only_as_a_whole_is_kept(crm: Conn) -> None:
    """The gateway reads it by an index."""
    await crm.execute(
        """
        CREATE TABLE demo_crm.many AS SELECT n::bigint AS id FROM generate_series(1, 50) AS n;
        CREATE INDEX ON demo_crm.many (id);
        CREATE OR REPLACE VIEW crm.customers AS
        SELECT id, concat('one', pg_sleep(0.1)) AS name, NULL AS company, NULL::bigint AS owner_id
          FROM demo_crm.many WHERE id = 1 OR (SELECT pg_sleep(0.1) IS NOT NULL FROM demo_crm.many
                                              AS again WHERE again.id = many.id)
        """
    )

    assert await check(crm, statement_s=1.0) == ({}, set())


async def test_a_locked_view_is_neither_good_nor_bad(database: str) -> None:
    """While the CRM's migration holds it, what was known before counts."""
    checking = await connect(database, application_name="test")
    locking = await connect(database, application_name="test")
    async with locking.transaction():
        await locking.execute("LOCK TABLE demo_crm.clients IN ACCESS EXCLUSIVE MODE")
        found, unknown = await check(checking)
    await locking.close()
    await checking.close()

    assert found == {}
    assert unknown == {"customers"}


async def test_a_check_writes_nothing(watch: tuple[ContractWatch, Conn]) -> None:
    """A view that would write is refused by the server."""
    watching, conn = watch
    await conn.execute(
        """
        CREATE TABLE crm.marks (at timestamptz);
        CREATE FUNCTION crm.mark() RETURNS bigint LANGUAGE sql AS
        'INSERT INTO crm.marks VALUES (now()) RETURNING 1::bigint';
        """
    )
    await conn.execute(reshaped(BY_NAME["customers"], {"id": "crm.mark()"}))

    await watching.look()

    assert "read-only" in watching.report()["crm.customers"]


@pytest.fixture
async def watch(database: str) -> AsyncIterator[tuple[ContractWatch, Conn]]:
    views = watched_views()
    async with await open_pool(database, application_name="test", crm_views=views) as pool:
        conn = await connect(database, application_name="test")
        yield ContractWatch(pool, views), conn
        await conn.close()


def lines(logged: Iterable[Mapping[str, object]]) -> Iterator[tuple[object, object]]:
    return ((one["event"], one["view"]) for one in logged)


async def test_a_change_is_logged_once(watch: tuple[ContractWatch, Conn]) -> None:
    """One line as a view breaks, one as it is mended, none in between."""
    watching, conn = watch
    await conn.execute("ALTER VIEW crm.customers RENAME TO clients")
    with structlog.testing.capture_logs() as logged:
        await watching.look()
        await watching.look()
        assert watching.report() == {
            "crm.customers": "is missing; off: " + BY_NAME["customers"].needed_for
        }
        await conn.execute("ALTER VIEW crm.clients RENAME TO customers")
        await watching.look()
        await watching.look()

    assert list(lines(logged)) == [
        ("contract.broken", "crm.customers"),
        ("contract.kept", "crm.customers"),
    ]
    assert logged[0]["fault"] == "is missing; off: " + BY_NAME["customers"].needed_for
    assert watching.report() == {}


async def test_a_view_is_slow_twice_before_it_is_off(
    watch: tuple[ContractWatch, Conn], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy minute switches nothing off; crm.employees is never off for that."""
    watching, conn = watch
    monkeypatch.setattr(
        "gateway.crm.comparison.check.__kwdefaults__", {"rows": 1, "statement_s": 0.1}
    )
    await watching.look()
    slow = "(SELECT 1::bigint FROM pg_sleep(30))"
    for name in ("customers", "employees"):
        await conn.execute(reshaped(BY_NAME[name], {"id": slow}))

    await watching.look()
    first = watching.report()
    await watching.look()

    assert first == {}
    assert watching.report().keys() == {"crm.customers"}


async def test_what_cannot_be_known_stays_as_it_was(watch: tuple[ContractWatch, Conn]) -> None:
    """Neither a lock nor an outage switches a view on or off."""
    watching, conn = watch
    await conn.execute(reshaped(BY_NAME["customers"], {"id": f"{MAX_ID + 1}::bigint"}))
    await watching.look()
    before = watching.report()
    assert before.keys() == {"crm.customers"}

    async with conn.transaction():
        await conn.execute("LOCK TABLE crm.customers IN ACCESS EXCLUSIVE MODE")
        await watching.look()

    assert watching.report() == before


async def test_a_statement_reads_nothing_of_a_view_that_is_off(database: str) -> None:
    """With or without an alias, and the others as ever; of employees it is refused."""
    views = watched_views()
    async with (
        await open_pool(database, application_name="test", crm_views=views) as pool,
        pool.acquire() as conn,
    ):
        for view in VIEWS:
            columns = ", ".join(one.name for one in view.columns if not one.optional)
            plain = f"SELECT {columns} FROM {view.full_name} WHERE {view.read_by} IS NOT NULL"
            aliased = f"SELECT v.{view.read_by} FROM {view.full_name} AS v"
            assert await conn.fetch(plain)

            views.switch({view.name: "is missing"})

            other = "teams" if view.name != "teams" else "customers"
            assert await conn.fetch(f"SELECT id FROM crm.{other}")
            if view.name == "employees":
                with pytest.raises(ContractUnavailable, match=r"crm\.employees is missing"):
                    await conn.fetch(plain)
            else:
                assert await conn.fetch(plain) == []
                assert await conn.fetchval(aliased) is None
            views.switch({})


async def test_a_failed_statement_brings_the_next_check_forward(
    watch: tuple[ContractWatch, Conn], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a minute later, and not as often as statements fail."""
    watching, conn = watch
    monkeypatch.setattr("gateway.crm.watch.FASTEST_S", 0.01)
    running = asyncio.create_task(watching.run(every_s=600.0))
    await conn.execute("DROP VIEW crm.open_work")

    watching._views.doubted.set()

    await eventually(watching.report)
    running.cancel()
    assert watching.report().keys() == {"crm.open_work"}
