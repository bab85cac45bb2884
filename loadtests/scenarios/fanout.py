"""One event to a thousand sockets: CPU time of the server per delivery.

The gateway is compared with what it is built from, with alternatives, and with the floor, a loop of
send(2) in C (rivals.py). All run with their clients connected and are measured in turn, so that
other load on the machine affects all alike.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import uvloop
from redis import Redis

from gateway import topics
from gateway.bus import Announcement
from loadtests import fleet
from loadtests.baselines import EVENT_BYTES
from loadtests.baselines.doorbell import event_text
from loadtests.competitor import Competitor
from loadtests.fleet import NO_LIMITS, FleetClient, allow_files
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.process_cost import MeasuredProcess, require_proc
from loadtests.raw_socket import ByteCounter, LeanSocket
from loadtests.report import Result
from loadtests.rivals import start_rivals

CLIENTS = 1_000
ROUNDS, ROUND_S = 5, 3.0
"""How many rounds, and about how long one takes: `--seconds` means that many of them."""
EVENTS = 20
"""Of each server in a round: 20,000 deliveries, 60 to 300 ms of CPU."""
FEW_EVENTS = {"socketio": 4}
"""80 µs a delivery are measured well enough with fewer."""
BURSTS = (1, 4, 10)
"""Events that reach the gateway in one turn of its event loop."""
FRAME_BYTES = EVENT_BYTES + 4
ARRIVE_S = 30.0
QUIET = {**NO_LIMITS, "GATEWAY_PING_S": "3600"}


@dataclass(slots=True)
class ContestClients:
    """The clients of one server."""

    sockets: Sequence[LeanSocket]
    tally: ByteCounter = field(default_factory=ByteCounter)
    events: int = 0
    """Sent to each of them so far."""

    def __post_init__(self) -> None:
        for socket in self.sockets:
            socket.count_for(self.tally)

    async def receive(self, events: int, send_events: Callable[[int], None]) -> None:
        """Have events sent and wait until everyone has them."""
        self.events += events
        send_events(events)
        await self.tally.reach(self.events * FRAME_BYTES * len(self.sockets), ARRIVE_S)

    @property
    def deprived(self) -> int:
        """How many have not received exactly what was sent."""
        return sum(socket.counted != self.events * FRAME_BYTES for socket in self.sockets)


@dataclass(slots=True)
class Contestant:
    """One server, and how events reach it."""

    name: str
    process: MeasuredProcess
    crowd: ContestClients
    send_events: Callable[[int], None]
    burst: int = 1
    us_per_delivery: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Take one turn."""
        before = self.process.cpu_s()
        bursts = FEW_EVENTS.get(self.name, EVENTS) // self.burst
        for _ in range(bursts):
            await self.crowd.receive(self.burst, self.send_events)
        deliveries = bursts * self.burst * len(self.crowd.sockets)
        self.us_per_delivery.append((self.process.cpu_s() - before) * 1e6 / deliveries)


def run(options: Options) -> Result:
    """Start a gateway and everyone else, let them take turns, stop them."""
    with own_gateway(workers=1, settings=QUIET) as gateway:
        return measure(gateway, options)


def measure(gateway: OwnGateway, options: Options) -> Result:
    """Start everyone else, and let its first worker take turns with them."""
    require_proc()
    clients = options.users or CLIENTS
    rounds = max(1, round((options.seconds or ROUNDS * ROUND_S) / ROUND_S))
    allow_files(clients * 5)
    with ExitStack() as stack:
        rivals, skipped = start_rivals(stack, clients)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            contestants = runner.run(_contest(stack, gateway, rivals, clients, rounds))
    deprived = {each.name: each.crowd.deprived for each in contestants}
    costs = {each.name: statistics.median(each.us_per_delivery) for each in contestants}
    return Result(
        "fanout",
        f"{EVENT_BYTES}-byte events to {clients} clients, {rounds} rounds of {EVENTS} events each",
        {
            "us_per_delivery": {name: round(cost, 3) for name, cost in costs.items()},
            **_ratios(costs),
            "not_delivered": sum(deprived.values()),
        },
        [f"{name}: {count} clients got too little" for name, count in deprived.items() if count],
        skipped=skipped,
    )


def _ratios(costs: dict[str, float]) -> dict[str, float]:
    """Divide what the gateway costs by what the others do, those that are there."""
    pairs = {
        "gateway_1_per_floor": ("gateway_1", "send_floor"),
        "gateway_4_per_floor": ("gateway_4", "send_floor"),
        "gateway_10_per_floor": ("gateway_10", "send_floor"),
        "gateway_1_per_picows": ("gateway_1", "picows"),
        "gateway_1_per_websockets": ("gateway_1", "websockets"),
        "gateway_1_per_fastapi": ("gateway_1", "fastapi"),
        "gateway_1_per_ws": ("gateway_1", "ws"),
        "gateway_1_per_socketio": ("gateway_1", "socketio"),
    }
    return {
        name: round(costs[ours] / costs[theirs], 3)
        for name, (ours, theirs) in pairs.items()
        if theirs in costs
    }


async def _contest(
    stack: ExitStack, gateway: OwnGateway, rivals: dict[str, Competitor], clients: int, rounds: int
) -> list[Contestant]:
    contestants = await _gateway(stack, gateway, clients)
    for name, server in rivals.items():
        crowd = ContestClients(await server.connect(clients))
        contestants.append(Contestant(name, server.process, crowd, server.send_events))
    try:
        for each in contestants:  # not measured: buffers grow, code paths warm up
            await each.run()
            each.us_per_delivery.clear()
        for _ in range(rounds):
            for each in contestants:
                await each.run()
    except TimeoutError:
        pass  # clients that received too little are counted
    finally:
        await fleet.dismiss(socket for each in contestants for socket in each.crowd.sockets)
    return contestants


async def _gateway(stack: ExitStack, gateway: OwnGateway, clients: int) -> list[Contestant]:
    """Seat everyone in one conversation, and ring at their worker as another worker would."""
    loop = asyncio.get_running_loop()
    players = await loop.run_in_executor(None, partial(gateway.cast, clients, worker=0))
    rooms = await loop.run_in_executor(None, gateway.rooms, players, clients)
    topic = topics.conversation(rooms[0])
    members = [FleetClient(player) for player in players]
    await fleet.arrive(members)
    # Neither a change, which would be looked up in the database, nor of a kind that is dropped.
    event = Announcement(topic, "benchmark.event", event_text().encode())
    redis = stack.enter_context(Redis.from_url(gateway.redis_url))

    def send_events(events: int) -> None:
        pipeline = redis.pipeline(transaction=False)  # one write, read in one turn
        for _ in range(events):
            pipeline.publish(f"gateway:{topic}", b"benchmark\n" + event.to_wire())
        pipeline.execute()

    crowd = ContestClients(members)
    return [
        Contestant(f"gateway_{burst}", gateway.workers[0], crowd, send_events, burst)
        for burst in BURSTS
    ]
