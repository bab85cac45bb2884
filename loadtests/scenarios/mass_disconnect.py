"""Ten thousand clients lose their connections at once: what the remaining ones notice.

The clients are on one worker, each subscribed to its own topic and 20 conversations. A hundred
others are there in pairs and write to each other on a fixed schedule. Then the process with the
many clients is killed. Measured are the others' deliveries before and after, the worker's own
figure for the delay of its event loop, and what the worker still holds when all have gone.
"""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
import uvloop

from loadtests import fleet
from loadtests.client_process import ClientProcess
from loadtests.fleet import NO_LIMITS, FleetClient, allow_files
from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.process_cost import require_proc
from loadtests.raw_socket import masked
from loadtests.report import Figure, Result
from loadtests.scrape import Scrape, scraping
from loadtests.test_users import SignedInUser

CLIENTS = 10_000
CONVERSATIONS = 20
OTHERS = 100
MESSAGES_PER_S = 100.0
SECONDS = 5.0
"""Of messages before the cut, and at least so many after it."""
GONE_S = 30.0
"""How long the worker may take to release the clients that were cut."""
LATE_S, LOOK_S = 5.0, 0.1
CPU = "process_cpu_seconds_total"
HELD = ("gateway_connections", "gateway_topics", "gateway_streams")
TEXT = "Чи можемо передзвонити клієнту сьогодні?"


@dataclass(slots=True)
class BystanderTimes:
    """What was delivered to the others in some seconds."""

    latencies: Latencies = field(default_factory=Latencies)
    heard_at: list[float] = field(default_factory=list)

    @property
    def longest_gap_ms(self) -> float:
        """Return the longest time in which none of them received anything."""
        gaps = zip(self.heard_at[1:], self.heard_at, strict=False)
        return round(max((late - early for late, early in gaps), default=0.0) * 1_000, 1)


@dataclass(slots=True)
class Bystanders:
    """Pairs who write to each other all the time."""

    members: list[FleetClient] = field(default_factory=list)
    rooms: list[int] = field(default_factory=list)
    sent: dict[str, float] = field(default_factory=dict)
    spell: BystanderTimes = field(default_factory=BystanderTimes)
    refused: int = 0

    def receive(self, payload: bytes) -> None:
        """Process a frame that one of them receives."""
        at = time.perf_counter()
        frame = orjson.loads(payload)
        for item in frame if isinstance(frame, list) else [frame]:
            if item.get("type") == "message.created":
                began = self.sent.pop(item["message"]["client_key"], None)
                if began is not None:
                    self.spell.latencies.add(at - began)
                    self.spell.heard_at.append(at)
            elif "error" in item:
                self.refused += 1

    async def write(self, done: asyncio.Event) -> None:
        """Write on a fixed schedule, pair after pair."""
        begin = time.perf_counter()
        number = 0
        while not done.is_set():
            self._write(number)
            number += 1
            await asyncio.sleep(max(0.0, begin + number / MESSAGES_PER_S - time.perf_counter()))

    def _write(self, number: int) -> None:
        pair, side = number % len(self.rooms), number // len(self.rooms) % 2
        key = str(uuid.uuid4())
        frame = {
            "type": "message.send",
            "id": number + 2,
            "conversation_id": self.rooms[pair],
            "client_key": key,
            "text": TEXT,
        }
        self.sent[key] = time.perf_counter()
        self.members[2 * pair + side].write(masked(orjson.dumps(frame)))


def run(options: Options) -> Result:
    """Start a gateway, connect all, cut most of them, stop it."""
    with own_gateway(workers=1, settings=NO_LIMITS) as gateway:
        return measure(gateway, options)


def measure(gateway: OwnGateway, options: Options) -> Result:
    """Have everyone at its first worker."""
    require_proc()
    clients, seconds = options.users or CLIENTS, options.seconds or SECONDS
    allow_files(clients + OTHERS)
    players = gateway.cast(clients + OTHERS, worker=0)
    crowd, others = players[OTHERS:], players[:OTHERS]
    gateway.circles(crowd, min(CONVERSATIONS, clients))
    rooms = gateway.rooms(others, 2)
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        scraping(gateway.worker_ports[0]) as scrape,
    ):
        return runner.run(_measure(scrape, crowd, others, rooms, seconds))


async def _measure(
    scrape: Scrape,
    crowd: Sequence[SignedInUser],
    players: Sequence[SignedInUser],
    rooms: list[int],
    seconds: float,
) -> Result:
    others = Bystanders(rooms=rooms)
    others.members = [FleetClient(player, others.receive) for player in players]
    done = asyncio.Event()
    try:
        await fleet.arrive(others.members)
        baseline = await scrape.fetch()
        began = time.perf_counter()
        async with ClientProcess(crowd) as there:
            arrived_s = time.perf_counter() - began
            async with asyncio.TaskGroup() as group:
                group.create_task(others.write(done), name="write")
                await asyncio.sleep(min(seconds, 1.0))  # not measured: statements are prepared
                before, worker_before = await _spell(scrape, others, seconds)
                during, worker_during, gone_s = await _cut(scrape, others, there, baseline, seconds)
                done.set()
        after = await scrape.fetch()
        await _all_heard(others)
    finally:
        await fleet.dismiss(others.members)
    figures: dict[str, Figure] = {
        "clients": len(crowd),
        "arrived_s": round(arrived_s, 1),
        **_figures("before_", before, worker_before),
        **_figures("", during, worker_during),
        "gone_s": round(gone_s, 2),
        "lost": len(others.sent),
    }
    left = [
        f"{name} was {baseline[name]:g} and is {after[name]:g}"
        for name in HELD
        if after[name] > baseline[name]
    ]
    if others.sent or others.refused:
        left.append(f"{len(others.sent)} messages were lost, {others.refused} refused")
    setting = f"{len(crowd)} clients cut at once, {MESSAGES_PER_S:g} messages/s between"
    return Result("mass_disconnect", f"{setting} {len(players)} others", figures, left)


async def _spell(
    scrape: Scrape, others: Bystanders, seconds: float
) -> tuple[BystanderTimes, dict[str, Figure]]:
    """Listen for so long."""
    held = await scrape.fetch()
    others.spell = spell = BystanderTimes()
    await asyncio.sleep(seconds)
    return spell, _worker(held, await scrape.fetch())


async def _cut(
    scrape: Scrape,
    others: Bystanders,
    crowd: ClientProcess,
    baseline: dict[str, float],
    seconds: float,
) -> tuple[BystanderTimes, dict[str, Figure], float]:
    """Cut the clients, and wait until the worker has released them."""
    held = await scrape.fetch()
    others.spell = spell = BystanderTimes()
    began = time.perf_counter()
    await crowd.cut()
    while not _forgotten(await scrape.fetch(), baseline):
        if time.perf_counter() - began > GONE_S:
            break  # what is left is a failure of the result
        await asyncio.sleep(LOOK_S)
    gone_s = time.perf_counter() - began
    await asyncio.sleep(max(0.0, began + seconds - time.perf_counter()))
    return spell, _worker(held, await scrape.fetch()), gone_s


def _forgotten(now: dict[str, float], baseline: dict[str, float]) -> bool:
    return all(now[name] <= baseline[name] for name in HELD)


def _worker(before: dict[str, float], after: dict[str, float]) -> dict[str, Figure]:
    """Return how late the worker's event loop was in between, and what CPU it took.

    `worst_stall_ms` is the bound of the histogram below which all of them were.
    """
    grown = {
        bound: after[bucket] - before[bucket]
        for bucket in after
        if (bound := _bound(bucket)) is not None
    }
    every = grown[math.inf]
    worst = min(bound for bound, count in grown.items() if count == every)
    cpu_s = after[CPU] - before[CPU]
    return {
        "stalls_over_50_ms": int(every - grown[0.05]),
        "worst_stall_ms": worst * 1_000,
        "worker_cpu_s": round(cpu_s, 2),
    }


def _bound(sample: str) -> float | None:
    start = 'gateway_loop_lag_seconds_bucket{le="'
    return float(sample[len(start) : -2]) if sample.startswith(start) else None


def _figures(name: str, spell: BystanderTimes, worker: dict[str, Figure]) -> dict[str, Figure]:
    return {
        f"{name}delivered": len(spell.latencies),
        **spell.latencies.figures(name),
        f"{name}longest_gap_ms": spell.longest_gap_ms,
        **{f"{name}{figure}": value for figure, value in worker.items()},
    }


async def _all_heard(others: Bystanders) -> None:
    """Wait until every message has arrived, with a time limit."""
    until = time.perf_counter() + LATE_S
    while others.sent:
        if time.perf_counter() > until:
            break  # what is left is lost
        await asyncio.sleep(LOOK_S)
