"""The cost of an idle connection: memory, CPU, and commands to Redis.

Each client is signed in and subscribed to its own topic and 20 conversations. One whole ping cycle
is measured, in which each client is pinged once and answers.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import uvloop
from redis import Redis

from loadtests import fleet
from loadtests.database_watch import database_processes
from loadtests.fleet import NO_LIMITS, FleetClient, allow_files
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.process_cost import MeasuredProcess, cpu_of, require_proc
from loadtests.redis_watch import command_counts
from loadtests.report import Result
from loadtests.test_users import SignedInUser

CLIENTS = 10_000
FEW = 1_000
"""Of many nodes' clients, those of one."""
CONVERSATIONS = 20
SECONDS = 25.0
"""The gateway's default ping_s: a shorter window sees a share of the pings that is chance."""
ALONE_S = 4.0
EARLY = 100
"""Clients connected before memory is first read, and not counted: pools and caches have grown."""
SETTLE_S = 1.0


@dataclass(frozen=True, slots=True)
class IdleCost:
    """Some seconds in a worker's life."""

    cpu_us_per_s: float
    database_cpu_us_per_s: float
    fleet_cpu_us_per_s: float
    redis_cmds_per_s: float


def run(options: Options) -> Result:
    """Start a gateway, measure it with few and with all clients, stop it."""
    with own_gateway(workers=1, settings=NO_LIMITS) as gateway:
        return measure(gateway, options)


def run_spread(options: Options) -> Result:
    """Do the same as one node of many: whom its clients talk to is elsewhere."""
    with own_gateway(workers=1, settings=NO_LIMITS) as gateway:
        return measure(gateway, options, every=CONVERSATIONS)


def measure(gateway: OwnGateway, options: Options, *, every: int = 1) -> Result:
    """Look at its first worker with few and with all clients.

    Of those who sit in a circle every so many are here. With 1 they share their conversations;
    with as many as sit in one, nobody shares any.
    """
    require_proc()
    clients = options.users or (CLIENTS if every == 1 else FEW)
    seconds = options.seconds or SECONDS
    early = min(EARLY, clients)
    allow_files(clients + early)
    everyone = gateway.cast((clients + early) * every, worker=0)
    gateway.circles(everyone, CONVERSATIONS)
    players = everyone[::every]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures, lost = runner.run(_measure(gateway, players, early, seconds))
    return Result(
        "idle" if every == 1 else "spread",
        f"{clients} clients in {CONVERSATIONS} conversations each, silent for {seconds:g} s",
        figures,
        [f"{lost} connections were lost"] if lost else [],
    )


async def _measure(
    gateway: OwnGateway, players: list[SignedInUser], first: int, seconds: float
) -> tuple[dict[str, float], int]:
    worker = gateway.workers[0]
    members = [FleetClient(player) for player in players]
    early, others = members[:first], members[first:]
    try:
        with Redis.from_url(gateway.redis_url) as redis:
            await fleet.arrive(early)
            await asyncio.sleep(min(SETTLE_S, seconds / 3))
            before = await _spell(gateway, redis, min(ALONE_S, seconds))
            kib_before = worker.rss_kib()
            began = time.perf_counter()
            await fleet.arrive(others)
            arrived_s = time.perf_counter() - began
            await asyncio.sleep(min(SETTLE_S, seconds / 3))
            kib = worker.rss_kib() - kib_before
            after = await _spell(gateway, redis, seconds)
        lost = sum(member.lost.done() for member in members)
    finally:
        await fleet.dismiss(members)
    count = len(others)
    return {
        "kib_per_conn": round(kib / count, 2),
        "cpu_us_per_s_conn": round((after.cpu_us_per_s - before.cpu_us_per_s) / count, 2),
        "database_cpu_us_per_s_conn": round(
            (after.database_cpu_us_per_s - before.database_cpu_us_per_s) / count, 2
        ),
        "redis_cmds_per_s": round(after.redis_cmds_per_s, 2),
        "redis_cmds_per_s_before": round(before.redis_cmds_per_s, 2),
        "arrived_s": round(arrived_s, 1),
        "worker_kib_before": kib_before,
        "worker_cpu_us_per_s_before": round(before.cpu_us_per_s),
        "worker_cpu_us_per_s": round(after.cpu_us_per_s),
        "fleet_cpu_us_per_s": round(after.fleet_cpu_us_per_s),
    }, lost


async def _spell(gateway: OwnGateway, redis: Redis, seconds: float) -> IdleCost:
    """Watch a worker for so long."""
    worker: MeasuredProcess = gateway.workers[0]
    database = await database_processes(gateway.database_url)
    busy = cpu_of(database)
    cpu, own = worker.cpu_s(), time.process_time()
    before, began = command_counts(redis), time.perf_counter()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    busier = cpu_of(database)
    return IdleCost(
        (worker.cpu_s() - cpu) * 1e6 / took,
        sum(spent - busy[pid] for pid, spent in busier.items()) * 1e6 / took,
        (time.process_time() - own) * 1e6 / took,
        (command_counts(redis) - before).steps / took,
    )
