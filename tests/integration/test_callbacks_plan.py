"""PostgreSQL's plans for lookups and call-backs: never by reading all customers or all calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.db import Conn, connect
from gateway.protocol.callbacks import MissedCallList
from gateway.telephony.callbacks.queries import missed, reached
from gateway.telephony.callbacks.queries.reached import CustomerReached
from gateway.telephony.calls.queries import lookup
from tests.support.query_plans import Explaining

NUMBERS = [f"+38067{place:07d}" for place in range(0, 2_000, 100)]
WATCHED = ("call_sessions", "missed_calls", "clients", "client_contacts")


@pytest.fixture(scope="module")
async def conn(module_database: str) -> AsyncIterator[Conn]:
    """Yield a connection to a database with 10,000 customers, who called twice."""
    conn = await connect(module_database, application_name="test")
    await conn.execute(
        """
        INSERT INTO demo_crm.clients (id, first_name, last_name)
        SELECT 1000 + n, 'A', n::text FROM generate_series(0, 9999) AS n;
        INSERT INTO demo_crm.client_contacts (client_id, kind, value)
        SELECT 1000 + n, 'phone', '+38067' || lpad(n::text, 7, '0')
          FROM generate_series(0, 9999) AS n;
        INSERT INTO realtime.call_sessions
               (id, source, version, direction, status, outcome, number_raw, number_e164,
                started_at, ended_at, first_event_at, last_event_at)
        SELECT gen_random_uuid(), 'main', 1, 'inbound', 'ended', 'missed', 'x',
               '+38067' || lpad((n % 10000)::text, 7, '0'), now() - n * interval '1 s', now(),
               now(), now()
          FROM generate_series(0, 19999) AS n;
        INSERT INTO realtime.missed_calls
        SELECT id, source, 'x', number_e164, 'q' || number_e164, 'missed', started_at, ended_at, 9
          FROM realtime.call_sessions;
        UPDATE realtime.missed_calls SET number_raw = '101', number_e164 = NULL
         WHERE call_id IN (SELECT call_id FROM realtime.missed_calls ORDER BY started_at LIMIT 2);
        UPDATE realtime.missed_calls SET number_raw = 'anonymous', number_e164 = NULL
         WHERE call_id IN (SELECT call_id FROM realtime.missed_calls
                            ORDER BY started_at OFFSET 2 LIMIT 2000);
        ANALYZE;
        """
    )
    yield conn
    await conn.close()


@pytest.fixture
async def changing(conn: Conn) -> AsyncIterator[Conn]:
    """Give the same to a test that changes it: in a transaction, which is rolled back."""
    transaction = conn.transaction()
    await transaction.start()
    yield conn
    await transaction.rollback()


async def rows_read_in_order(conn: Conn) -> int:
    """Return how many rows of the large tables were read without an index."""
    await conn.execute("SELECT pg_stat_force_next_flush()")
    found: int = await conn.fetchval(
        "SELECT sum(seq_tup_read) FROM pg_stat_all_tables WHERE relname = ANY ($1::text[])",
        list(WATCHED),
    )
    return found


async def test_large_tables_are_read_by_index_only(conn: Conn) -> None:
    """The screen pop of twenty calls, a lookup and the lists, with new and cached plans."""
    before = await rows_read_in_order(conn)

    for _ in range(8):
        assert len(await lookup.customers(conn, NUMBERS)) == 20
        contacts = await lookup.contacts(conn, NUMBERS)
        assert [len(one.calls) for one in contacts.values()] == [2] * 20
        found = await lookup.find(conn, [(NUMBERS[3], "exact")], extension=None)
        assert (len(found.candidates), len(found.contacts.calls)) == (1, 2)
        for asked, e164, raw in (
            (MissedCallList(), [NUMBERS[5], "+48670000500"], ["067 000 05 00"]),
            (MissedCallList(queue=f"q{NUMBERS[5]}"), [], []),
            (MissedCallList(), [], ["101"]),
            (MissedCallList(), [], ["101", "nobody"]),
        ):
            page = await missed.page(conn, asked, e164=e164, raw=raw, after=None, limit=51)
            assert len(page) == 2
        newest = await missed.page(conn, MissedCallList(), e164=[], raw=[], after=None, limit=51)
        assert len(newest) == 51

    assert await rows_read_in_order(conn) == before


@pytest.mark.parametrize(
    ("asked", "e164", "raw"),
    [
        (MissedCallList(), [], []),
        (MissedCallList(), [NUMBERS[5]], []),
        (MissedCallList(queue=f"q{NUMBERS[5]}"), [], []),
        (MissedCallList(), [], ["101"]),
        (MissedCallList(), [], ["nobody"]),
        (MissedCallList(), [], ["anonymous", "Private"]),
    ],
)
async def test_a_page_of_missed_calls_reads_no_more_than_it_shows(
    conn: Conn, asked: MissedCallList, e164: list[str], raw: list[str]
) -> None:
    """For every filter, an index leads to the page in the list's order."""
    explaining: Any = Explaining(conn, "force_custom_plan")

    await missed.page(explaining, asked, e164=e164, raw=raw, after=None, limit=51)

    looked_at = {table: rows for table, _, rows in explaining.reads()}
    assert looked_at["missed_calls"] <= 51


async def test_closing_reads_the_missed_calls_of_its_requests_only(changing: Conn) -> None:
    """Forty requests of 4,000, before PostgreSQL has statistics: by index."""
    await changing.execute(
        """
        TRUNCATE realtime.missed_calls;
        INSERT INTO realtime.missed_calls
        SELECT id, source, 'x', number_e164, 'q', 'missed', started_at, ended_at, 9
          FROM realtime.call_sessions ORDER BY started_at LIMIT 4000;
        INSERT INTO realtime.callbacks
               (number, first_missed_at, last_missed_at, last_call_id, customer_id)
        SELECT number_e164, started_at, started_at, call_id, 5000 + row_number() OVER ()
          FROM realtime.missed_calls;
        INSERT INTO realtime.callback_calls SELECT last_call_id, id FROM realtime.callbacks;
        """
    )
    rows = await changing.fetch("SELECT id, number FROM realtime.callbacks ORDER BY id LIMIT 40")
    reach = CustomerReached(5_001, rows[0]["number"], datetime.now(UTC), "call")
    explaining: Any = Explaining(changing, "force_custom_plan")

    await reached.close_reached(explaining, [row["id"] for row in rows], [reach])

    reads = [read for read in explaining.reads() if read[0] in WATCHED]
    assert {table for table, _, _ in reads} == {"missed_calls", "call_sessions"}
    assert all(how != "Seq Scan" and seen <= 4 * len(rows) for _, how, seen in reads), reads
