"""Ten thousand clients connect and disconnect in every way; the worker must keep nothing of them.

Several hundred at a time. After a first group, which lets pools, caches and the allocator grow, the
idle worker is measured. After all the others it is measured again and must hold as much as before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import orjson
import uvloop

from loadtests import fleet
from loadtests.fleet import NO_LIMITS, FleetClient, allow_files
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.process_cost import CpuMeter, MeasuredProcess, require_proc
from loadtests.raw_socket import OPCODE_CLOSE, OPCODE_TEXT, masked
from loadtests.report import Figure, Result
from loadtests.scrape import Scrape, scraping
from loadtests.test_users import SignedInUser

VISITS = 10_000
PEOPLE = 500
CONVERSATIONS = 5
AT_ONCE = 300
WARM_SHARE = 2
"""The first group is half of the visits: the allocator needs that long to settle."""
QUIET_S = 45.0
"""The longest that anything may remain: pings are due every 4 s here, TCP lingers 2 s."""
LOOK_S = 0.2
MARGIN_KIB = 8_192
"""How much more memory the worker may hold afterwards: the allocator's own waste. 1 KiB kept of
each visit would be 10,000."""
MARGIN_FILES = 5
"""Connections by which the pools to PostgreSQL and Redis may have grown."""
SETTINGS = {**NO_LIMITS, "GATEWAY_PING_S": "4", "GATEWAY_PONG_S": "2", "GATEWAY_HELLO_S": "4"}
HELD = (
    "gateway_connections", "gateway_topics", "gateway_streams", "gateway_presence_watched",
    "gateway_deadlines", "gateway_tasks",
)  # fmt: skip
REFUSED_S = 10.0


async def say_goodbye(member: FleetClient) -> None:
    """Say hello, close with a close frame, wait for the server's."""
    member.write(member.hello())
    await member.served
    member.write(masked((1000).to_bytes(2, "big"), OPCODE_CLOSE))
    await asyncio.wait_for(member.lost, REFUSED_S)


async def vanish(member: FleetClient) -> None:
    """Say hello, and go without a word."""
    member.write(member.hello())
    await member.served


async def vanish_amid_hello(member: FleetClient) -> None:
    """Go before the answer to the hello has come."""
    member.write(member.hello())


async def vanish_unknown(member: FleetClient) -> None:
    """Disconnect before hello."""


async def vanish_amid_a_command(member: FleetClient) -> None:
    """Watch some people, ask for a list, and go before it comes."""
    member.write(member.hello())
    await member.served
    people = list(range(1, 20))
    for frame in (
        {"type": "presence.watch", "id": 2, "employee_ids": people},
        {"type": "conversation.list", "id": 3},
    ):
        member.write(masked(orjson.dumps(frame)))


async def break_the_protocol(member: FleetClient) -> None:
    """Say hello, then a frame without a mask: the server ends it."""
    member.write(member.hello())
    await member.served
    member.write(bytes((0x80 | OPCODE_TEXT, 2)) + b"{}")
    await asyncio.wait_for(member.lost, REFUSED_S)


MANNERS: Sequence[Callable[[FleetClient], Awaitable[None]]] = (
    say_goodbye, vanish, vanish_amid_hello, vanish_unknown, vanish_amid_a_command,
    break_the_protocol,
)  # fmt: skip


def run(options: Options) -> Result:
    """Start a gateway, run all visits, measure it, stop it."""
    with own_gateway(workers=1, settings=SETTINGS) as gateway:
        return measure(gateway, options)


def measure(gateway: OwnGateway, options: Options) -> Result:
    """Have everyone at its first worker; it must ping as often as SETTINGS says."""
    require_proc()
    visits = options.users or VISITS
    allow_files(AT_ONCE)
    players = gateway.cast(min(PEOPLE, visits), worker=0)
    gateway.circles(players, min(CONVERSATIONS, len(players)))
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        scraping(gateway.worker_ports[0]) as scrape,
    ):
        return runner.run(_measure(scrape, gateway.workers[0], players, visits))


async def _measure(
    scrape: Scrape, worker: MeasuredProcess, players: Sequence[SignedInUser], visits: int
) -> Result:
    alone = await _held(scrape, worker)
    await _visit(players, max(1, visits // WARM_SHARE))
    before, left = await _quiet(scrape, worker, alone)
    kib = worker.rss_kib()
    began, cost = time.perf_counter(), CpuMeter(worker)
    if not left:
        await _visit(players, visits)
    cost.stop()
    took_s = time.perf_counter() - began
    after, _ = await _quiet(scrape, worker, before)
    grown = worker.rss_kib() - kib
    failures = [
        f"{name} was {before[name]:g} and is {after[name]:g}"
        for name in before
        if after[name] > before[name] + (MARGIN_FILES if name == "open_files" else 0)
    ]
    failures += left
    if grown > MARGIN_KIB:
        failures.append(f"the worker holds {grown} KiB more than before")
    names = {name: name.removeprefix("gateway_") for name in before}
    figures: dict[str, Figure] = {
        "visits": visits,
        "visits_per_s": round(visits / took_s),
        **cost.figures(visits, "visit"),
        **{f"{shown}_before": int(before[name]) for name, shown in names.items()},
        **{f"{shown}_after": int(after[name]) for name, shown in names.items()},
        "worker_kib": kib,
        "worker_kib_grown": grown,
    }
    setting = f"{visits} visits, {AT_ONCE} at once, that end in {len(MANNERS)} manners"
    return Result("churn", setting, figures, failures)


async def _visit(players: Sequence[SignedInUser], visits: int) -> None:
    async def visit(index: int) -> None:
        member = FleetClient(players[index % len(players)])
        try:
            await member.connect(index % (AT_ONCE * 10))
            await MANNERS[index % len(MANNERS)](member)
        finally:
            await fleet.dismiss([member])

    await fleet.run_limited(visits, visit, at_once=AT_ONCE)


async def _held(scrape: Scrape, worker: MeasuredProcess) -> dict[str, float]:
    """Return what the worker holds just now."""
    found = await scrape.fetch()
    return {**{name: found[name] for name in HELD}, "open_files": worker.open_files()}


async def _quiet(
    scrape: Scrape, worker: MeasuredProcess, wanted: Mapping[str, float]
) -> tuple[dict[str, float], list[str]]:
    """Wait until the worker holds no more than this; return what it holds, and what is too much."""
    until = time.perf_counter() + QUIET_S
    while True:
        held = await _held(scrape, worker)
        left = [f"{name} stayed at {held[name]:g}" for name in HELD if held[name] > wanted[name]]
        if not left or time.perf_counter() > until:
            return held, left
        await asyncio.sleep(LOOK_S)
