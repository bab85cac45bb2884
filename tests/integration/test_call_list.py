"""Lists of calls: the right ones, in order, by the cheapest access path."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import pytest

from gateway.db import Conn, Pool, connect
from gateway.protocol.calls import Direction, Outcome
from gateway.telephony.calls import call_filter
from gateway.telephony.calls.queries import access_paths, call_list
from gateway.telephony.calls.queries.access_paths import CallFilter
from ingest import Pipeline, parse_events
from loadtests.generated_calls import CallGenerator, GeneratedRows
from loadtests.queries import callstats
from tests.integration.test_rebuild import rebuilt
from tests.support.ingest_tools import SETTINGS, RecordedAnnouncements
from tests.support.query_plans import Explaining

LARGE = {"call_sessions", "queue_stints", "call_legs", "call_annotations"}
CALLS = 4_000
HERS = [("main", "101"), ("two", "101"), ("main", "102")]
NUMBER = "+380670000007"
ASKED: dict[str, list[dict[str, Any]]] = {
    "telephones": [{}, {"telephones": HERS}],
    "live": [{}, {"live": True}, {"live": False}],
    "kind": [{}, {"direction": "internal"}, {"outcome": "failed"},
             {"direction": "outbound", "outcome": "answered"}],
    "queue": [{}, {"queue": "sales"}, {"queue": "nowhere"}, {"ring_group": "600"}],
    "numbers": [{}, {"e164": [NUMBER, "+380670000008"], "raw": [NUMBER]},
                {"e164": [], "raw": ["anonymous"]}],
    "disposition": [{}, {"disposition": "sale"}],
    "did": [{}, {"did": ["+380441112233", "0441112233"]}],
    "durations": [{}, {"wait_ms": (20_000, None)}, {"talk_ms": (60_000, 130_000)},
                  {"wait_ms": (None, 7_999), "talk_ms": (1, None)},
                  {"ended_by": "agent", "talk_ms": (1, None)}],
}  # fmt: skip


@pytest.fixture(scope="module")
async def conn(module_database: str) -> AsyncIterator[Conn]:
    """Give a connection to a database that all tests of this module read."""
    conn = await connect(module_database, application_name="test")
    yield conn
    await conn.close()


@pytest.fixture(scope="module")
async def made(conn: Conn) -> list[GeneratedRows]:
    """Store calls of four days, some without a number, some with a disposition."""
    batches = list(
        CallGenerator(5, datetime.now(UTC) - timedelta(days=4), 4, numbers=20).batches(CALLS)
    )
    for batch in batches:
        await callstats.store(conn, batch)
    await conn.execute(
        """
        UPDATE realtime.call_sessions SET number_raw = 'anonymous' WHERE number_e164 IS NULL;
        UPDATE realtime.call_sessions SET did = '+380441112233' WHERE wait_ms % 2 = 0;
        UPDATE realtime.call_sessions SET ring_group = '600' WHERE talk_ms % 7 = 0;
        UPDATE realtime.call_sessions SET ended_by = 'agent'
         WHERE talk_ms % 5 = 0 AND ended_at IS NOT NULL;
        INSERT INTO realtime.call_annotations (call_id, version, disposition, set_by, set_at)
        SELECT id, 1, CASE WHEN talk_ms % 2 = 0 THEN 'sale' ELSE 'resolved' END, 1, now()
          FROM realtime.call_sessions WHERE talk_ms % 3 = 0 AND merged_into IS NULL
        """
    )
    await callstats.settle(conn)
    return batches


def criteria(**chosen: Any) -> CallFilter:
    """Return a filter with these criteria."""
    directions, outcomes = get_args(Direction), get_args(Outcome)
    direction, outcome = chosen.get("direction"), chosen.get("outcome")
    nothing = dict.fromkeys(("live", "outcome", "direction", "queue", "disposition", "telephones"))
    kinds = {
        "directions": [direction] if direction else directions,
        "outcomes": [outcome] if outcome else outcomes,
    }
    return CallFilter(**{
        **nothing, "before": call_filter.END, "since": call_filter.EARLIEST,
        "e164": None, "raw": (),
        **(kinds if direction or outcome or "ended_by" in chosen else {}), **chosen,
    })  # fmt: skip


def within(value: int | None, bounds: tuple[int | None, int | None]) -> bool:
    """Return whether a duration is in a range, both ends included; none is in no range."""
    low, high = bounds
    if low is None and high is None:
        return True
    return value is not None and (low or 0) <= value <= (value if high is None else high)


@dataclass(slots=True)
class ListedCall:
    """A call, and the properties by which lists filter."""

    call: dict[str, Any]
    said: str | None
    queues: set[str] = field(default_factory=set)
    phones: set[tuple[str, str]] = field(default_factory=set)

    @property
    def ended_by_agent(self) -> bool:
        talk_ms = self.call["talk_ms"]
        return talk_ms is not None and talk_ms % 5 == 0 and self.call["ended_at"] is not None

    def fits(self, asked: dict[str, Any]) -> bool:
        call = self.call
        numbers = asked.get("raw", ()) if call["number_e164"] is None else asked.get("e164", ())
        return (
            asked.get("live") in {None, call["ended_at"] is None}
            and asked.get("outcome") in {None, call["outcome"]}
            and asked.get("direction") in {None, call["direction"]}
            and ("queue" not in asked or asked["queue"] in self.queues)
            and ("e164" not in asked or (call["number_e164"] or "anonymous") in numbers)
            and asked.get("disposition") in {None, self.said}
            and ("did" not in asked or (call["wait_ms"] is not None and call["wait_ms"] % 2 == 0))
            and ("ended_by" not in asked or self.ended_by_agent)
            and (
                "ring_group" not in asked
                or (call["talk_ms"] is not None and call["talk_ms"] % 7 == 0)
            )
            and within(call["wait_ms"], asked.get("wait_ms", access_paths.ANY))
            and within(call["talk_ms"], asked.get("talk_ms", access_paths.ANY))
            and ("telephones" not in asked or not self.phones.isdisjoint(asked["telephones"]))
        )


def listed_calls(made: list[GeneratedRows]) -> list[ListedCall]:
    """Return all calls that a list may show, newest first."""
    found = {}
    for call in (call for batch in made for call in batch.calls if call["merged_into"] is None):
        talk = call["talk_ms"]
        said = None if talk is None or talk % 3 else "sale" if talk % 2 == 0 else "resolved"
        found[call["id"]] = ListedCall(call, said)
    for batch in made:
        for stint in batch.stints:
            if stint["call_id"] in found:
                found[stint["call_id"]].queues.add(stint["queue"])
        for leg in batch.legs:
            if leg["call_id"] in found:
                found[leg["call_id"]].phones.add((leg["source"], leg["extension"]))
    newest = sorted(found.values(), key=lambda one: (one.call["started_at"], one.call["id"]))
    return newest[::-1]


def matching(calls: list[ListedCall], **asked: Any) -> list[UUID]:
    """Filter all calls in Python."""
    return [one.call["id"] for one in calls if one.fits(asked)]


def combinations(together: int) -> Iterator[dict[str, Any]]:
    """Return every combination of up to so many criteria."""
    for parts in itertools.product(*ASKED.values()):
        if sum(map(bool, parts)) <= together:
            yield {name: value for part in parts for name, value in part.items()}


PAIRS = list(combinations(2))
SHARES = 8
"""Tests among which all combinations are dealt, in 6 s of CPU each."""
ALL = [
    list(itertools.islice(combinations(len(ASKED)), share, None, SHARES)) for share in range(SHARES)
]


async def listed(conn: Conn, asked: CallFilter, *, limit: int) -> list[UUID]:
    """Read page after page to the end."""
    found: list[UUID] = []
    last: tuple[datetime, UUID] | None = asked.before
    while last is not None:
        page, last = await call_filter.page(
            conn, CallFilter(**{**_fields(asked), "before": last}), limit=limit
        )
        assert len(page) <= limit
        found += [call_id for call_id, _ in page]
    return found


def _fields(asked: CallFilter) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in CallFilter.__slots__}


@pytest.mark.parametrize(
    "some",
    [
        pytest.param(PAIRS, id="pairs"),
        *(
            pytest.param(dealt, id=f"all {share}", marks=pytest.mark.slow)
            for share, dealt in enumerate(ALL)
        ),
    ],
)
async def test_every_combination_finds_the_matching_calls_by_any_access_path(
    conn: Conn,
    made: list[GeneratedRows],
    monkeypatch: pytest.MonkeyPatch,
    some: list[dict[str, Any]],
) -> None:
    """Page by page, and in steps too short for a page, exactly what Python finds."""
    seen, calls = 0, listed_calls(made)
    for asked in some:
        wanted = matching(calls, **asked)
        monkeypatch.setattr(call_filter, "SCAN_LIMITS", (100, 400))
        seen += len(wanted)
        assert await listed(conn, criteria(**asked), limit=2_000) == wanted, asked
    monkeypatch.undo()
    for asked in ({}, {"telephones": HERS}, {"telephones": HERS, "queue": "sales"}):
        assert await listed(conn, criteria(**asked), limit=40) == matching(calls, **asked), asked
    assert seen > len(some)  # they are not all lists of nothing


async def test_a_list_is_limited_by_since_and_until(conn: Conn, made: list[GeneratedRows]) -> None:
    """A call that began at since is in it, one that began at until is not."""
    times = {call["id"]: call["started_at"] for batch in made for call in batch.calls}
    wanted = matching(listed_calls(made), telephones=HERS)
    first, last = wanted[10], wanted[20]

    asked = criteria(telephones=HERS, since=times[last], before=(times[first], UUID(int=0)))

    assert await listed(conn, asked, limit=3) == wanted[11:21]


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_a_list_reads_a_page_and_not_the_history(
    conn: Conn, made: list[GeneratedRows], mode: str
) -> None:
    """On each path an index is read in the list's order, and no further than the page."""
    explaining: Any = Explaining(conn, mode)
    paths: dict[str, dict[str, Any]] = {
        "live": {"live": True},
        "telephones": {"telephones": HERS},
        "numbers": {"e164": [NUMBER], "raw": ["anonymous"]},
        "kind": {"direction": "outbound"},
        "queue": {"queue": "sales"},
        "ring_group": {"ring_group": "600"},
        "disposition": {"disposition": "sale"},
        "did": {"did": ["+380441112233"]},
        "wait": {"wait_ms": (32_000, None)},
        "talk": {"talk_ms": (None, 3_999)},
    }

    await call_list.newest(explaining, criteria(), limit=21)
    reads = [("newest", *read) for read in explaining.reads()]
    for path, asked in paths.items():
        await call_filter.LISTINGS[path](explaining, criteria(**asked), limit=21)  # type: ignore[index]
        reads += [(path, *read) for read in explaining.reads()]
        await access_paths.estimate(explaining, criteria(**asked), most=50)
        reads += [(f"estimate {path}", *read) for read in explaining.reads()]

    for path, table, how, rows in reads:
        assert not (table in LARGE and how == "Seq Scan"), (path, table, how)
        page_of_each_class = 21 * 17 if path in {"wait", "talk"} else 0
        assert rows <= max(250, page_of_each_class), (path, table, how, rows)


async def test_telephones_are_found_by_their_pbx(conn: Conn, made: list[GeneratedRows]) -> None:
    """One of any PBX counts for every PBX with calls, unless another employee has it there."""
    insertion = conn.transaction()
    await insertion.start()
    await conn.execute("INSERT INTO demo_crm.desk_phones VALUES ('two', '102', 15)")

    found = {who: sorted(await access_paths.telephones(conn, who)) for who in (1, 2, 14, 15)}
    await insertion.rollback()  # other tests read the same database

    assert found == {
        1: [("main", "101"), ("two", "101")], 2: [("main", "102")], 14: [], 15: [("two", "102")]
    }  # fmt: skip


def event(call: str, at: datetime, **fields: Any) -> list[Any]:
    parsed = parse_events(
        [{"call_key": call, "occurred_at": at.isoformat(), **fields}], source="main", region="UA"
    )
    assert not parsed.rejected
    return parsed.events


async def keys_of(pool: Pool) -> list[tuple[Any, ...]]:
    """Return the started_at and dispositions of calls; legs and stints must agree with them."""
    rows = await pool.fetch(
        """
        SELECT c.started_at,
               (SELECT array_agg(DISTINCT (l.source, l.started_at)::text)
                  FROM realtime.call_legs AS l WHERE l.call_id = c.id) AS legs,
               (SELECT array_agg(DISTINCT s.started_at)
                  FROM realtime.queue_stints AS s WHERE s.call_id = c.id) AS stints,
               (SELECT array_agg(a.started_at)
                  FROM realtime.call_annotations AS a WHERE a.shown_with = c.id) AS said,
               (SELECT DISTINCT (c.source, c.started_at)::text) AS own
          FROM realtime.call_sessions AS c
         WHERE c.merged_into IS NULL
        """
    )
    for row in rows:
        assert set(row["legs"] or [row["own"]]) == {row["own"]}
        assert set(row["stints"] or [row["started_at"]]) == {row["started_at"]}
        assert set(row["said"] or [row["started_at"]]) == {row["started_at"]}
    return [(row["started_at"], len(row["said"] or ())) for row in rows]


async def test_a_late_event_moves_a_call_with_all_its_list_keys(pool: Pool) -> None:
    """It began earlier, then it is merged into another; a rebuild repairs wrong keys."""
    now = datetime.now(UTC) - timedelta(minutes=10)
    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        await pipeline.submit([
            *event("a", now, type="queue.entered", leg_key="a1", queue="sales"),
            *event("a", now, type="leg.ringing", leg_key="a2", extension="101"),
            *event("b", now - timedelta(minutes=2), type="leg.ringing", leg_key="b1",
                  extension="102"),
        ])  # fmt: skip
        await pool.execute(
            "INSERT INTO realtime.call_annotations (call_id, version, disposition, set_at)"
            " SELECT id, 1, 'sale', now() FROM realtime.call_sessions"
        )
        assert len(await keys_of(pool)) == 2

        early = now - timedelta(minutes=1)
        await pipeline.submit(event("a", early, type="call.started", leg_key="a1"))
        assert (early, 1) in await keys_of(pool)
        await pipeline.submit(event("a", now, type="call.linked", leg_key="a2", peer_leg_key="b1"))

    ((began, said),) = await keys_of(pool)
    assert (began, said) == (now - timedelta(minutes=2), 2)
    assert (await rebuilt(pool)).changed == 0
    await pool.execute(
        "UPDATE realtime.call_legs SET source = 'x', started_at = now();"
        "UPDATE realtime.queue_stints SET started_at = now()"
    )
    assert (await rebuilt(pool)).changed == 1
    assert await keys_of(pool) == [(began, said)]
    assert (await rebuilt(pool)).changed == 0
