"""How fast clients connect: TCP, upgrade, hello, welcome.

Enough at once that the worker is never idle: its CPU time per hello says how many a core can accept
in a second. PostgreSQL answers each hello too, on a separate core if there is one.
"""

from __future__ import annotations

import asyncio
import time

import uvloop

from loadtests import fleet
from loadtests.fleet import AT_ONCE, NO_LIMITS, FleetClient, allow_files
from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.process_cost import require_proc
from loadtests.report import Figure, Result
from loadtests.test_users import SignedInUser

CLIENTS = 2_000
CONVERSATIONS = 5
"""Groups of five: the size of a welcome grows with the client's conversations."""
WARM = 200


def run(options: Options) -> Result:
    """Start a gateway, let everyone in, stop it."""
    with own_gateway(workers=1, settings=NO_LIMITS) as gateway:
        return measure(gateway, options)


def measure(gateway: OwnGateway, options: Options) -> Result:
    """Let everyone into its first worker."""
    require_proc()
    clients = options.users or CLIENTS
    warm = min(WARM, clients)
    allow_files(clients + warm)
    players = gateway.cast(clients + warm, worker=0)
    gateway.circles(players, CONVERSATIONS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(_measure(gateway, players, warm))
    return Result(
        "connect",
        f"{clients} clients in {CONVERSATIONS} conversations each, {AT_ONCE} at once, one worker",
        figures,
    )


async def _measure(
    gateway: OwnGateway, players: list[SignedInUser], warm: int
) -> dict[str, Figure]:
    worker = gateway.workers[0]
    members = [FleetClient(player) for player in players]
    early, others = members[:warm], members[warm:]
    welcomes = 0

    async def arrive(index: int) -> None:
        nonlocal welcomes
        welcome = await others[index].arrive(index)
        welcomes += len(welcome)

    try:
        await fleet.arrive(early)  # not measured: statements are prepared
        cpu, own, began = worker.cpu_s(), time.process_time(), time.perf_counter()
        await fleet.run_limited(len(others), arrive)
        took, cpu = time.perf_counter() - began, worker.cpu_s() - cpu
        own = time.process_time() - own
    finally:
        await fleet.dismiss(members)
    latencies = Latencies()
    for member in others:
        latencies.add(member.hello_s)
    count = len(others)
    return {
        "connected": count,
        "hellos_per_core_s": round(count / cpu),
        "hellos_per_s": round(count / took),
        "cpu_us_per_hello": round(cpu * 1e6 / count),
        "fleet_cpu_us_per_hello": round(own * 1e6 / count),
        "welcome_bytes": round(welcomes / count),
        **latencies.figures(),
    }
