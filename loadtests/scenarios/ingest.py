"""How many call events are stored a second: by COPY alone, by the store, through the webhook.

In turns on one PostgreSQL: raw COPY into a table like call_events, the product's store with batches
of 100, 1,000 and 5,000, signed posts to a gateway, and one transaction of statements per event.
Then the worker's memory over a million posted events, and the cost of an event with five million
already stored and with none, in turns on two databases.
"""

from __future__ import annotations

import asyncio
import gc
import re
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from uuid import uuid4

import asyncpg
import orjson
import uvloop

from gateway import db
from gateway.cli.worker import GC_THRESHOLDS
from ingest import CallEvent, IngestMetrics, IngestSettings, parse_events
from ingest.storing.store import EventStore
from loadtests.generated_events import EventGenerator
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.poster import Poster, make_secret
from loadtests.process_cost import require_proc
from loadtests.queries import ingest as queries
from loadtests.queries import quiet
from loadtests.report import Figure, Result

SOURCES = ("main", "second")
SECRET = make_secret()
SETTINGS = {"GATEWAY_PBX_SECRETS": orjson.dumps({name: [SECRET] for name in SOURCES}).decode()}
BATCHES = (100, 1_000, 5_000)
POSTED, AT_ONCE = 1_000, 8
"""Events in a request, and requests at the same time."""
TURNS = 3
TURN_S = 4.0
ROWS = 5_000_000
REMEMBERED = 1_000_000
REGION = "UA"

Way = Callable[[float], Awaitable[float]]
"""Store events for this many seconds; return events per second."""


@dataclass(slots=True)
class IngestBench:
    """What all ways of storing use."""

    gateway: OwnGateway
    pool: db.Pool
    plain: asyncpg.Connection[asyncpg.Record]
    """A connection without codecs: jsonb is copied as text."""
    failures: list[str] = field(default_factory=list)
    _seeds: Iterator[int] = field(default_factory=lambda: count(1_000))
    posted: dict[str, EventGenerator] = field(
        default_factory=lambda: {
            name: EventGenerator(seed) for seed, name in enumerate(SOURCES, 100)
        }
    )

    def events_of(self, maker: EventGenerator, count: int, source: str) -> list[CallEvent]:
        """Make events as a webhook would."""
        parsed = parse_events(maker.take(count), source=source, region=REGION)
        if parsed.rejected:
            self.failures.append(f"made an event that is refused: {parsed.rejected[0]}")
        return parsed.events

    def raw(self, size: int) -> Way:
        maker, call_id = EventGenerator(1), uuid4()

        async def way(seconds: float) -> float:
            stored, took = 0, 0.0
            while took < seconds:
                rows = queries.raw_rows(self.events_of(maker, size, "raw"), call_id)
                began = time.perf_counter()
                await queries.copy_raw(self.plain, rows)
                took += time.perf_counter() - began
                stored += size
            return stored / took

        return way

    def store(self, size: int, *, into: db.Pool | None = None) -> Way:
        """Let the product store: known or new, which call, what it is now, COMMIT."""
        maker, source = EventGenerator(next(self._seeds)), f"store{size}"
        store = EventStore(into or self.pool, settings=IngestSettings(), metrics=IngestMetrics())

        async def way(seconds: float) -> float:
            stored, took = 0, 0.0
            while took < seconds:
                events = self.events_of(maker, size, source)
                began = time.perf_counter()
                answer = await store.store(events)
                took += time.perf_counter() - began
                if answer.outcomes != ["accepted"] * size:
                    self.failures.append(f"{source}: not every event was accepted")
                stored += size
            return stored / took

        return way

    def webhook(self, *sources: str) -> Way:
        """Post to a worker for each source."""

        async def way(seconds: float) -> float:
            rate = await self.post(AT_ONCE, *sources)  # how fast, more or less
            return await self.post(round(rate * seconds / POSTED / len(sources)), *sources)

        return way

    async def post(self, times: int, *sources: str, ahead: bool = True) -> float:
        """Post this many bodies from each source; return events per second."""
        times = max(times, AT_ONCE)
        bodies = {source: _bodies(self.posted[source], times) for source in sources}
        if ahead:  # made before the clock runs
            bodies = {source: iter(list(made)) for source, made in bodies.items()}
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number, source in enumerate(sources):
                for _ in range(AT_ONCE):
                    port = self.gateway.worker_ports[number]
                    poster = Poster(port, source, SECRET)
                    group.create_task(self._post(poster, bodies[source]), name=f"post.{source}")
        return times * POSTED * len(sources) / (time.perf_counter() - began)

    async def _post(self, poster: Poster, bodies: Iterator[bytes]) -> None:
        wanted = {"accepted": POSTED, "duplicates": 0, "rejected": [], "warnings": []}
        for body in bodies:
            status, answer = await poster.post(body)
            while status == 503:
                await asyncio.sleep(0.2)
                status, answer = await poster.post(body)
            if answer != wanted:
                self.failures.append(f"webhook: {status} {answer}")
        poster.close()

    def one_by_one(self) -> Way:
        maker = EventGenerator(3)

        async def way(seconds: float) -> float:
            events = self.events_of(maker, round(5_000 * seconds), "query")
            began = time.perf_counter()
            for stored, event in enumerate(events, 1):
                await queries.one_by_one(self.plain, event)
                took = time.perf_counter() - began
                if took >= seconds:
                    return stored / took
            return len(events) / took

        return way

    async def check(self) -> None:
        """Find everything that was posted, once."""
        for source, maker in self.posted.items():
            events, calls = await queries.stored(self.plain, source)
            begun_before = maker.in_progress  # of some of these only the last event was posted
            if events != maker.events or not maker.calls - begun_before <= calls <= maker.calls:
                self.failures.append(
                    f"{source}: {events:,} events and {calls:,} calls are stored, of "
                    f"{maker.events:,} and {maker.calls:,}"
                )


def _bodies(maker: EventGenerator, times: int) -> Iterator[bytes]:
    for _ in range(times):
        yield orjson.dumps(maker.take(POSTED))


def run(options: Options) -> Result:
    """Start a gateway, measure, stop it."""
    with own_gateway(settings=SETTINGS) as gateway:
        return measure(gateway, options)


def measure(gateway: OwnGateway, options: Options) -> Result:
    """Measure; `--rows` is how many events there are in the end, and a fifth of them is posted."""
    require_proc()
    before = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)  # as in a worker
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_measure(gateway, options))
    finally:
        gc.set_threshold(*before)


async def _measure(gateway: OwnGateway, options: Options) -> Result:
    rows, seconds = options.rows or ROWS, options.seconds or TURN_S
    async with _bench(gateway) as bench:
        rates = await _turns(bench, seconds)
        memory = await _memory(bench, min(REMEMBERED, rows // 5))
        await bench.check()
        there = await _grow(bench, rows)
        async with _empty(gateway.database_url) as empty:
            us = await _cost(bench, {"at_0": empty, f"at_{there}": bench.pool}, seconds)
        rate = {name: statistics.median(found) for name, found in rates.items()}
        figures: dict[str, Figure | dict[str, Figure]] = {
            "events_per_s": {name: round(value) for name, value in rate.items()},
            "growth": round(us[f"at_{there}"] / us["at_0"], 3),
            "us_per_event": {name: round(value, 1) for name, value in us.items()},
            "memory": memory,
            "store_1000_per_raw_copy": round(rate["store_1000"] / rate["raw_copy"], 3),
            "webhook_per_query_per_event": round(rate["webhook"] / rate["query_per_event"], 1),
        }
        return Result(
            "ingest",
            f"{TURNS} turns of {seconds:g} s; 200 calls in progress, 15 events each; posts of "
            f"{POSTED:,}, {AT_ONCE} at once; {rows:,} rows in the end",
            figures,
            bench.failures,
        )


@asynccontextmanager
async def _bench(gateway: OwnGateway) -> AsyncIterator[IngestBench]:
    plain = await asyncpg.connect(gateway.database_url)
    pool = await db.open_pool(gateway.database_url, application_name="loadtests", max_size=2)
    try:
        await quiet.no_autovacuum(plain)
        await queries.make_tables(plain)
        yield IngestBench(gateway, pool, plain)
    finally:
        await pool.close()
        await plain.close()


async def _turns(bench: IngestBench, seconds: float) -> dict[str, list[float]]:
    ways: dict[str, Way] = {
        "raw_copy": bench.raw(1_000),
        **{f"store_{size}": bench.store(size) for size in BATCHES},
        "webhook": bench.webhook(SOURCES[0]),
        "webhook_two_pbxs": bench.webhook(*SOURCES),
        "query_per_event": bench.one_by_one(),
    }
    rates: dict[str, list[float]] = defaultdict(list)
    for way in ways.values():
        await way(seconds / 10)  # plans, caches, connections
    for _ in range(TURNS):
        for name, way in ways.items():
            rates[name].append(await way(seconds))
    return rates


async def _memory(bench: IngestBench, events: int) -> dict[str, Figure]:
    """Post that many events to one worker; it is warm already."""
    worker = bench.gateway.workers[0]
    before = worker.rss_kib()
    rate = await bench.post(events // POSTED, SOURCES[0], ahead=False)
    after = worker.rss_kib()
    return {
        "events": events,
        "before_mib": round(before / 1024, 1),
        "after_mib": round(after / 1024, 1),
        "growth_mib": round((after - before) / 1024, 1),
        "events_per_s": round(rate),
    }


@asynccontextmanager
async def _empty(database_url: str) -> AsyncIterator[db.Pool]:
    """Give a database like the other, on the same server, with nothing in it."""
    name = "loadtest_empty"
    plain = await asyncpg.connect(database_url)
    try:
        await queries.make_database(plain, name)
        empty = re.sub(r"/[^/?]*(\?|$)", rf"/{name}\1", database_url, count=1)
        conn = await asyncpg.connect(empty)
        try:
            await db.migrate(conn)
            await quiet.no_autovacuum(conn)
        finally:
            await conn.close()
        async with await db.open_pool(empty, application_name="loadtests", max_size=1) as pool:
            yield pool
        await queries.drop_database(plain, name)
    finally:
        await plain.close()


async def _cost(bench: IngestBench, pools: dict[str, db.Pool], seconds: float) -> dict[str, float]:
    """Return microseconds an event into each of the databases, in turns, as things are now."""
    await queries.settle(bench.plain)
    ways = {name: bench.store(1_000, into=pool) for name, pool in pools.items()}
    took: dict[str, list[float]] = defaultdict(list)
    for way in ways.values():
        await way(seconds / 10)
    for _ in range(TURNS):
        await queries.checkpoint(bench.plain)
        for name, way in ways.items():
            took[name].append(1e6 / await way(seconds))
    return {name: statistics.median(found) for name, found in took.items()}


async def _grow(bench: IngestBench, rows: int) -> int:
    """Fill up to this many events; return the number stored."""
    missing = rows - await queries.events(bench.plain)
    if missing > 0:
        await queries.fill(bench.plain, missing)
    return await queries.events(bench.plain)
