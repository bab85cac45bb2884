"""SQL for who is at each end of a call: employees and customers, from the CRM's contract views."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.crm.queries.rows import CUSTOMERS
from gateway.db import Conn
from gateway.protocol import Customer, OpenWork
from gateway.protocol.calls import LastCall
from gateway.protocol.lookup import MAX_CANDIDATES, Candidate, Confidence

MAX_OPEN_WORK = 10
MAX_LAST_CALLS = 5
MAX_CALLS_READ = 50
"""Of a number's newest calls, to find who spoke last: a number that calls all day has thousands
of calls that nobody answered."""
MAX_CUSTOMERS = 20
"""Of one number. Without a limit PostgreSQL expects hundreds, and reads all customers for each
number: among 100,000 customers one number took 5.0 ms, and takes 0.2 ms with it."""
MAX_NUMBERS = 50
"""Of one customer."""

OPEN_WORK = f"""(
               SELECT jsonb_agg(jsonb_build_object(
                          'kind', w.kind, 'id', w.id, 'title', w.title, 'status', w.status,
                          'label', w.label, 'external_id', w.external_id, 'url', w.url)
                          ORDER BY w.updated_at DESC) AS open_work
                 FROM (SELECT w.*
                         FROM (VALUES (NULL::text, NULL::text, NULL::text))
                              AS absent (label, external_id, url)
                        CROSS JOIN LATERAL (
                              SELECT w.customer_id, w.kind, w.id, w.title, w.status, w.updated_at,
                                     label::text AS label, external_id::text AS external_id,
                                     url::text AS url
                                FROM crm.open_work AS w) AS w
                        WHERE w.customer_id = c.id
                        ORDER BY w.updated_at DESC
                        LIMIT {MAX_OPEN_WORK}) AS w
               ) AS work"""  # noqa: S608 - ours
"""What the CRM has open for c, a customer; to_customer decodes it."""

LAST_CALLS = f"""(
               SELECT jsonb_agg(to_jsonb(c) - 'rank' ORDER BY c.rank)
                          FILTER (WHERE c.rank <= {MAX_LAST_CALLS}) AS calls,
                      (array_agg(c.employee_id ORDER BY c.rank)
                          FILTER (WHERE c.employee_id IS NOT NULL))[1] AS last_spoke
                 FROM (SELECT s.id AS call_id, s.started_at AS at, s.direction, s.outcome,
                              s.talk_ms, who.employee_id,
                              row_number() OVER (ORDER BY s.started_at DESC, s.id DESC) AS rank
                         FROM (SELECT * FROM realtime.call_sessions AS s
                                WHERE s.number_e164 = given.e164
                                ORDER BY s.started_at DESC, s.id DESC
                                LIMIT {MAX_CALLS_READ}) AS s
                         LEFT JOIN LATERAL (
                              SELECT x.employee_id
                                FROM crm.extensions AS x
                               WHERE x.extension = s.answered_extension
                                 AND x.source IN (s.source, '*')
                               ORDER BY x.source = '*', x.employee_id
                               LIMIT 1) AS who ON true
                        WHERE s.ended_at IS NOT NULL AND s.merged_into IS NULL) AS c
               ) AS last"""  # noqa: S608 - ours
"""The last ended calls with given.e164, and who talked in them last; to_contacts decodes it.

At most 50 rows of call_sessions_number for each number, whatever the number of calls: of 1,000,000
calls 0.2 ms for one number, 1.2 for 20, 0.4 for one that has called 20,000 times.
"""


@dataclass(frozen=True, slots=True)
class CustomerMatch:
    """The best customer for a number, and how many have it."""

    customer: Customer
    found: int


@dataclass(frozen=True, slots=True)
class Contacts:
    """The last calls with a number, newest first, and which employee talked with it last."""

    calls: list[LastCall]
    last_spoke: int | None


@dataclass(frozen=True, slots=True)
class NumberLookup:
    """Who a text may be: customers by its numbers, an employee by their extension."""

    candidates: list[Candidate]
    contacts: Contacts
    employee_id: int | None
    """The employee who has this extension."""


async def employees(
    conn: Conn, telephones: Collection[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """Return (source, extension) → employee; one of a PBX has precedence over one of any PBX."""
    given = list(telephones)
    rows = await conn.fetch(
        """
        -- lookup.employees
        SELECT DISTINCT ON (given.source, given.extension)
               given.source, given.extension, x.employee_id
          FROM unnest($1::text[], $2::text[]) AS given (source, extension)
          JOIN crm.extensions AS x
            ON x.extension = given.extension AND x.source IN (given.source, '*')
         ORDER BY given.source, given.extension, x.source = '*', x.employee_id
        """,
        [source for source, _ in given],
        [extension for _, extension in given],
    )
    return {(row["source"], row["extension"]): row["employee_id"] for row in rows}


async def telephones(conn: Conn, employee_id: int) -> list[tuple[str, str]]:
    """Return the (source, extension) pairs of one employee; source `*` means any PBX."""
    rows = await conn.fetch(
        """
        -- lookup.telephones
        SELECT source, extension FROM crm.extensions WHERE employee_id = $1
        """,
        employee_id,
    )
    return [(row["source"], row["extension"]) for row in rows]


async def customers(conn: Conn, numbers: Sequence[str]) -> dict[str, CustomerMatch]:
    """Return E.164 number → its customer, with the open work that the CRM has for them.

    Of several customers with a number, the first with open work is returned, else the oldest. The
    subquery hides the length of the array, or PostgreSQL would plan each time: half of the cost.
    """
    rows = await conn.fetch(
        f"""
        -- lookup.customers
        SELECT given.e164, c.*, work.open_work
          FROM unnest((SELECT $1::text[])) AS given (e164)
         CROSS JOIN LATERAL (
               SELECT one.*, count(*) OVER () AS found
                 FROM (SELECT DISTINCT customer_id FROM crm.customer_phones
                        WHERE e164 = given.e164
                        ORDER BY customer_id
                        LIMIT {MAX_CUSTOMERS}) AS p
                 JOIN ({CUSTOMERS}) ON one.id = p.customer_id
                ORDER BY EXISTS (SELECT FROM crm.open_work AS w
                                  WHERE w.customer_id = one.id) DESC, one.id
                LIMIT 1
               ) AS c
         CROSS JOIN LATERAL {OPEN_WORK}
        """,  # noqa: S608 - ours
        list(numbers),
    )
    return {row["e164"]: CustomerMatch(to_customer(row), row["found"]) for row in rows}


async def customers_by_id(conn: Conn, ids: Collection[int]) -> dict[int, Customer]:
    """Return customers with the open work that the CRM has for them."""
    rows = await conn.fetch(
        f"""
        -- lookup.customers_by_id
        SELECT c.*, work.open_work
          FROM (SELECT one.* FROM {CUSTOMERS}) AS c
         CROSS JOIN LATERAL {OPEN_WORK}
         WHERE c.id = ANY ($1::bigint[])
        """,  # noqa: S608 - ours
        list(ids),
    )
    return {row["id"]: to_customer(row) for row in rows}


async def numbers(conn: Conn, customer_id: int) -> list[str]:
    """Return the numbers of a customer that are E.164."""
    rows = await conn.fetch(
        """
        -- lookup.numbers
        SELECT DISTINCT e164
          FROM crm.customer_phones
         WHERE customer_id = $1 AND e164 IS NOT NULL
         ORDER BY e164
         LIMIT $2
        """,
        customer_id,
        MAX_NUMBERS,
    )
    return [row["e164"] for row in rows]


async def contacts(conn: Conn, numbers: Sequence[str]) -> dict[str, Contacts]:
    """Return E.164 number → the last ended calls with it, and who talked in them last."""
    rows = await conn.fetch(
        f"""
        -- lookup.contacts
        SELECT given.e164, last.*
          FROM unnest($1::text[]) AS given (e164)
         CROSS JOIN LATERAL {LAST_CALLS}
         WHERE last.calls IS NOT NULL
        """,  # noqa: S608 - ours
        list(numbers),
    )
    return {row["e164"]: to_contacts(row) for row in rows}


async def find(
    conn: Conn, interpretations: Sequence[tuple[str, Confidence]], *, extension: str | None
) -> NumberLookup:
    """Return the customers with these E.164 numbers, the likeliest first, in one round trip.

    The last calls are those with the first number. The CRM's view needs an index only for
    `e164 = …`: with 100,000 telephone numbers and 1,000,000 calls it takes 0.8 ms.
    """
    row = await conn.fetchrow(
        f"""
        -- lookup.find
        WITH readings AS MATERIALIZED (
            SELECT * FROM unnest($1::text[], $2::text[])
                          WITH ORDINALITY AS r (e164, confidence, rank)
        ), candidate AS (
            SELECT DISTINCT ON (one.id) one.*, r.e164, r.confidence, r.rank
              FROM readings AS r
             CROSS JOIN LATERAL (
                   SELECT DISTINCT customer_id FROM crm.customer_phones
                    WHERE e164 = r.e164
                    ORDER BY customer_id
                    LIMIT $3) AS p
              JOIN ({CUSTOMERS}) ON one.id = p.customer_id
             ORDER BY one.id, r.rank
        ), worked AS (
            SELECT c.*, work.open_work
              FROM candidate AS c
             CROSS JOIN LATERAL {OPEN_WORK}
             ORDER BY c.rank, work.open_work IS NULL, c.id
             LIMIT $3
        )
        SELECT (SELECT jsonb_agg(to_jsonb(w) ORDER BY w.rank, w.open_work IS NULL, w.id)
                  FROM worked AS w) AS candidates,
               (SELECT min(x.employee_id) FROM crm.extensions AS x
                 WHERE x.extension = $4) AS employee_id,
               last.calls, last.last_spoke
          FROM (SELECT ($1::text[])[1] AS e164) AS given
         CROSS JOIN LATERAL {LAST_CALLS}
        """,  # noqa: S608 - ours
        [number for number, _ in interpretations],
        [confidence for _, confidence in interpretations],
        MAX_CANDIDATES,
        extension,
    )
    assert row is not None
    candidates = [
        Candidate(customer=to_customer(one), number=one["e164"], confidence=one["confidence"])
        for one in row["candidates"] or ()
    ]
    return NumberLookup(candidates, to_contacts(row), row["employee_id"])


def to_contacts(row: Any) -> Contacts:
    """Return the last calls of a row that has them as JSON."""
    calls = [
        LastCall(
            **{**call, "call_id": UUID(call["call_id"]), "at": datetime.fromisoformat(call["at"])}
        )
        for call in row["calls"] or ()
    ]
    return Contacts(calls, row["last_spoke"])


def to_customer(row: Any) -> Customer:
    """Return the customer of a row that has open_work as JSON."""
    return Customer(
        id=row["id"],
        name=row["name"],
        company=row["company"],
        external_id=row["external_id"],
        url=row["url"],
        open_work=[OpenWork(**item) for item in row["open_work"] or ()],
    )
