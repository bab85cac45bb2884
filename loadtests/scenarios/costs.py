"""What one hello, one return and one lone message cost: CPU of the worker and of its PostgreSQL.

With `--against DIRECTORY` a second gateway runs from another checkout, with its own servers. Both
take turns in every round, so that a busy machine shows in both, and the median of the rounds'
ratios compares them. CPU time is counted, not elapsed time.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson
import uvloop

from loadtests import fleet
from loadtests.database_watch import database_processes
from loadtests.fleet import NO_LIMITS, FleetClient, allow_files
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.process_cost import cpu_of, require_proc
from loadtests.report import Figure, Result
from loadtests.scenarios.send import BenchWriter
from loadtests.test_users import SignedInUser

CLIENTS = 400
CONVERSATIONS = 5
"""Groups of five, as in `connect`."""
ROUNDS = 7
MESSAGES = 100
"""Sent one after the other in each round, while nothing else waits."""
MISSED_BY = 10
"""One in so many writes while the others are away: nearly everybody misses something."""
SETTLE_S = 0.3
"""What a phase left to be done, such as publishing arrivals, is counted with it."""


class Cost(NamedTuple):
    """CPU microseconds for one of what was done."""

    worker: float
    database: float


@dataclass(slots=True)
class MeasuredGateway:
    """One gateway, its users, and what each round cost."""

    gateway: OwnGateway
    players: list[SignedInUser]
    rooms: list[int]
    costs: dict[str, list[Cost]] = field(default_factory=dict)
    positions: dict[int, dict[str, int]] = field(default_factory=dict)
    """Place of a client → conversation → the last change that it has."""

    async def spend(self, name: str, count: int, work: Callable[[], Awaitable[None]]) -> None:
        """Do it, and note what it cost."""
        database = await database_processes(self.gateway.database_url)
        busy, cpu = cpu_of(database), self.gateway.workers[0].cpu_s()
        await work()
        await asyncio.sleep(SETTLE_S)
        cpu = self.gateway.workers[0].cpu_s() - cpu
        busier = cpu_of(database)
        spent = sum(after - busy[pid] for pid, after in busier.items())
        self.costs.setdefault(name, []).append(Cost(cpu * 1e6 / count, spent * 1e6 / count))


def run(options: Options) -> Result:
    """Start one gateway, or two, measure, stop them."""
    with ExitStack() as stack:
        checkouts = [None, *([options.against] if options.against else [])]
        gateways = [
            stack.enter_context(own_gateway(workers=1, settings=NO_LIMITS, checkout=checkout))
            for checkout in checkouts
        ]
        return measure(gateways, options)


def measure(gateways: Sequence[OwnGateway], options: Options) -> Result:
    """Measure the first worker of each in turn; the first gateway is compared with the second."""
    require_proc()
    clients = max(options.users or CLIENTS, 2 * CONVERSATIONS)
    allow_files(2 * clients * len(gateways))
    sides = []
    for gateway in gateways:
        players = gateway.cast(clients, worker=0)
        sides.append(MeasuredGateway(gateway, players, gateway.circles(players, CONVERSATIONS)))
    rounds = round(options.seconds) if options.seconds else ROUNDS
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_rounds(sides, rounds))
    figures: dict[str, Figure] = {}
    for name in sides[0].costs:
        figures |= _figures(name, sides)
    return Result(
        "costs",
        f"{rounds} rounds: {clients} clients in {CONVERSATIONS} conversations each, "
        f"{fleet.AT_ONCE} at once and one by one, {MESSAGES} messages one by one",
        figures,
    )


async def _rounds(sides: Sequence[MeasuredGateway], rounds: int) -> None:
    for number in range(rounds + 1):
        for side in sides if number % 2 else [*reversed(sides)]:
            await _round(side)
            if not number:  # statements are prepared, plans made, pools have grown
                side.costs.clear()


async def _round(side: MeasuredGateway) -> None:
    """Everybody says hello, is cut, and returns; then somebody writes while nothing else waits."""
    writing = range(0, len(side.players), MISSED_BY)
    writers = {place: BenchWriter(side.players[place], side.rooms[place]) for place in writing}
    away = [place for place in range(len(side.players)) if place not in writers]
    try:
        await fleet.arrive([*writers.values()])
        members = [FleetClient(side.players[place]) for place in away]

        async def arrive(index: int) -> None:
            welcome = orjson.loads(await members[index].arrive(index))["ok"]
            listed = welcome["conversations"]
            side.positions[away[index]] = {str(one["id"]): one["last_change"] for one in listed}

        async def come_back(index: int) -> None:
            await members[index].arrive(index, side.positions[away[index]])

        async def all_of(do: Callable[[int], Awaitable[None]], at_once: int) -> None:
            await fleet.run_limited(len(away), do, at_once=at_once)

        async def write() -> None:
            for _ in range(MESSAGES):
                await writers[0].send()

        await side.spend("hello", len(away), lambda: all_of(arrive, fleet.AT_ONCE))
        for name, at_once in (("return", fleet.AT_ONCE), ("return_alone", 1)):
            await fleet.dismiss(members)
            await asyncio.sleep(SETTLE_S)
            members = [FleetClient(side.players[place]) for place in away]
            for writer in writers.values():
                await writer.send()
            await side.spend(name, len(away), lambda: all_of(come_back, at_once))  # noqa: B023
        await side.spend("message_alone", MESSAGES, write)
    finally:
        await fleet.dismiss([*members, *writers.values()])
    await asyncio.sleep(SETTLE_S)


def _figures(name: str, sides: Sequence[MeasuredGateway]) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for label, side in zip(("", "before_"), sides, strict=False):
        for part in Cost._fields:
            spent = [getattr(cost, part) for cost in side.costs[name]]
            figures[f"{label}{name}_{part}_us"] = round(statistics.median(spent))
    if len(sides) > 1:
        pairs = list(zip(sides[0].costs[name], sides[1].costs[name], strict=True))
        for part in Cost._fields:
            ratios = [getattr(ours, part) / getattr(before, part) for ours, before in pairs]
            figures[f"{name}_{part}_ratio"] = round(statistics.median(ratios), 3)
    return figures
