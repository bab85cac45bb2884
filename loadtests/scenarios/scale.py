"""The cost of one more worker and of one more node: the constants of docs/scaling.md.

First the same clients in the same conversations, on one worker and spread over two, so that every
event goes to both. Then Redis alone, with up to a hundred nodes that subscribe as ours do.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import uvloop
from redis import Redis

from gateway import topics
from gateway.bus import Announcement
from loadtests import fleet, subscribers
from loadtests.baselines import EVENT_BYTES
from loadtests.baselines.doorbell import event_text
from loadtests.fleet import NO_LIMITS, FleetClient, allow_files
from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.process_cost import MeasuredProcess, require_proc
from loadtests.raw_socket import ByteCounter
from loadtests.report import Figure, Result
from loadtests.subscribers import PREFIX, AwaitedByteCounter, CountingSubscriber

CLIENTS = 1_000
SIZES = (2, 20, 200)
"""People in a conversation."""
ROUNDS, ROUND_S = 5, 6.0
"""How many rounds, and about how long one takes: `--seconds` means that many of them."""
REPEATS = 5
"""Events in each conversation, in a turn."""
NODES = (1, 10, 30, 100)
TOPICS = 200
"""Of each node."""
PUBLISHES = 200
"""One by one, and as many in tens, in a round."""
TOGETHER = 10
REST_S = 0.25
FRAME_BYTES = EVENT_BYTES + 4
ARRIVE_S = 30.0
QUIET = {**NO_LIMITS, "GATEWAY_PING_S": "3600"}


def run(options: Options) -> Result:
    """Start a gateway with two workers and measure it."""
    with own_gateway(workers=2, settings=QUIET) as gateway:
        return measure(gateway, options)


def measure(gateway: OwnGateway, options: Options) -> Result:
    """Measure deliveries by one and by two workers, then what nodes cost Redis."""
    require_proc()
    clients = options.users or CLIENTS
    rounds = max(1, round((options.seconds or ROUNDS * ROUND_S) / ROUND_S))
    nodes = [count for count in NODES if count <= clients]
    allow_files(clients * 2 + max(nodes))
    with (
        ExitStack() as stack,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        redis = stack.enter_context(Redis.from_url(gateway.redis_url))
        crossing = runner.run(_crossing(gateway, redis, clients, rounds))
        subscriber_cost = runner.run(_subscriber_cost(gateway, redis, nodes, rounds))
    deprived = sum(turn.crowd.deprived for turn in crossing)
    return Result(
        "scale",
        f"{EVENT_BYTES}-byte events to {clients} clients on 1 and 2 workers, then to Redis with"
        f" up to {nodes[-1]} subscribers; {rounds} rounds",
        {**_delivery_figures(crossing), **subscriber_cost.figures(), "not_delivered": deprived},
        [f"{deprived} clients got too little or too much"] * bool(deprived)
        + subscriber_cost.failures,
    )


# --- one worker and two --------------------------------------------------------------------------


@dataclass(slots=True)
class ScaleClients:
    """All clients, each in one conversation of every size, and who serves them."""

    name: str
    workers: Sequence[MeasuredProcess]
    members: list[FleetClient]
    rooms: dict[int, list[int]]
    tally: ByteCounter = field(default_factory=ByteCounter)
    events: int = 0
    """Sent to each of them so far."""

    @property
    def deprived(self) -> int:
        return sum(member.counted != self.events * FRAME_BYTES for member in self.members)

    def cpu_s(self) -> float:
        return sum(worker.cpu_s() for worker in self.workers)


@dataclass(slots=True)
class ScaleRound:
    """Events in the conversations of one size, to all clients of a group."""

    crowd: ScaleClients
    size: int
    publish_round: Callable[[Sequence[int]], None]
    us_per_event: list[float] = field(default_factory=list)
    deliveries_per_s: list[float] = field(default_factory=list)

    async def run(self) -> None:
        crowd, rooms = self.crowd, self.crowd.rooms[self.size]
        cpu_s, began = crowd.cpu_s(), time.perf_counter()
        for _ in range(REPEATS):
            crowd.events += 1
            self.publish_round(rooms)  # one event for each socket: nothing leaves together
            wanted = crowd.events * FRAME_BYTES * len(crowd.members)
            await crowd.tally.reach(wanted, ARRIVE_S)
        took_s = time.perf_counter() - began
        self.us_per_event.append((crowd.cpu_s() - cpu_s) * 1e6 / (REPEATS * len(rooms)))
        self.deliveries_per_s.append(REPEATS * len(crowd.members) / took_s)

    @property
    def listeners(self) -> float:
        return len(self.crowd.members) / len(self.crowd.rooms[self.size])


async def _crossing(gateway: OwnGateway, redis: Any, clients: int, rounds: int) -> list[ScaleRound]:
    crowds = [
        await _seat(gateway, "one_worker", clients, worker=0),
        await _seat(gateway, "two_workers", clients, worker=None),
    ]
    publish_round = partial(_publish_round, redis)
    turns = [ScaleRound(crowd, size, publish_round) for crowd in crowds for size in crowd.rooms]
    try:
        for turn in turns:  # not measured: buffers grow, code paths warm up
            await turn.run()
            turn.us_per_event.clear()
            turn.deliveries_per_s.clear()
        for _ in range(rounds):
            for turn in turns:
                await turn.run()
    except TimeoutError:
        pass  # clients that received too little are counted
    finally:
        await fleet.dismiss(member for crowd in crowds for member in crowd.members)
    return turns


async def _seat(
    gateway: OwnGateway, name: str, clients: int, *, worker: int | None
) -> ScaleClients:
    loop = asyncio.get_running_loop()
    players = await loop.run_in_executor(None, partial(gateway.cast, clients, worker=worker))
    rooms = {
        size: await loop.run_in_executor(None, gateway.rooms, players, size)
        for size in SIZES
        if size <= clients
    }
    crowd = ScaleClients(name, gateway.workers, [FleetClient(player) for player in players], rooms)
    await fleet.arrive(crowd.members)
    for member in crowd.members:
        member.count_for(crowd.tally)
    return crowd


def _publish_round(redis: Any, rooms: Sequence[int]) -> None:
    """Publish one event for each conversation, as another node would, in one write."""
    pipeline = redis.pipeline(transaction=False)
    for room in rooms:
        pipeline.publish(f"{PREFIX}{topics.conversation(room)}", _payload())
    pipeline.execute()


def _payload() -> bytes:
    # Neither a change, which would be looked up in the database, nor of a kind that is dropped.
    return b"benchmark\n" + Announcement("", "benchmark.event", event_text().encode()).to_wire()


def _delivery_figures(turns: Sequence[ScaleRound]) -> dict[str, Figure | dict[str, Figure]]:
    measured = [turn for turn in turns if turn.us_per_event]
    costs = {
        (turn.crowd.name, turn.size): statistics.median(turn.us_per_event) for turn in measured
    }
    figures: dict[str, Figure | dict[str, Figure]] = {
        f"{name}_us_per_delivery": {
            f"in_{turn.size}": round(costs[name, turn.size] / turn.listeners, 2)
            for turn in measured
            if turn.crowd.name == name
        }
        for name in ("one_worker", "two_workers")
    }
    for name in ("one_worker", "two_workers"):
        best = [turn for turn in measured if turn.crowd.name == name]
        figures[f"{name}_deliveries_per_s"] = {
            f"in_{turn.size}": round(statistics.median(turn.deliveries_per_s)) for turn in best
        }
        heard = [(turn.listeners, costs[name, turn.size]) for turn in best]
        event, delivery = _line(heard)
        figures[f"{name}_us_per_event"] = round(event, 1)
        figures[f"{name}_us_per_listener"] = round(delivery, 2)
    return figures


# --- Redis and its nodes -------------------------------------------------------------------------


@dataclass(slots=True)
class SubscriberCost:
    """Redis' cost by the number of nodes."""

    alone_us: dict[int, float] = field(default_factory=dict)
    together_us: dict[int, float] = field(default_factory=dict)
    bytes_out: dict[int, float] = field(default_factory=dict)
    latencies: dict[int, Latencies] = field(default_factory=dict)
    bytes_per_subscription: float = 0.0
    failures: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, Figure | dict[str, Figure]]:
        alone, together = _line(self.alone_us.items()), _line(self.together_us.items())
        return {
            "redis_us_per_publish": _named(self.alone_us, 1),
            "redis_us_per_publish_in_tens": _named(self.together_us, 1),
            "redis_us_fixed": round(alone[0], 2),
            "redis_us_per_node": round(alone[1], 3),
            "redis_us_per_node_in_tens": round(together[1], 3),
            "redis_bytes_out_per_publish": _named(self.bytes_out, 0),
            "redis_bytes_per_subscription": round(self.bytes_per_subscription),
            "last_node_p50_ms": _named(
                {count: each.percentile(0.5) for count, each in self.latencies.items()}, 3
            ),
            "last_node_p99_ms": _named(
                {count: each.percentile(0.99) for count, each in self.latencies.items()}, 3
            ),
        }


async def _subscriber_cost(
    gateway: OwnGateway, redis: Any, nodes: Sequence[int], rounds: int
) -> SubscriberCost:
    found, tally, server = (
        SubscriberCost(),
        AwaitedByteCounter(),
        MeasuredProcess(redis.info("server")["process_id"]),
    )
    names = [f"scale:{number}" for number in range(TOPICS, TOPICS * 2)]  # all of one length
    there: list[CountingSubscriber] = []
    try:
        for count in nodes:
            new, memory = count - len(there), redis.info("memory")["used_memory"]
            there += await subscribers.subscribe(gateway.redis_url, new, names, tally)
            grown = redis.info("memory")["used_memory"] - memory
            found.bytes_per_subscription = grown / (new * TOPICS)
            await _load(Load(redis, server, there, tally, names), found, rounds)
    except TimeoutError:
        found.failures.append(f"one of {len(there)} nodes did not receive everything")
    finally:
        for each in there:
            each.close()
    return found


@dataclass(slots=True)
class Load:
    """So many nodes, and what is published to them."""

    redis: Any
    server: MeasuredProcess
    nodes: Sequence[CountingSubscriber]
    tally: AwaitedByteCounter
    names: Sequence[str]
    latencies: Latencies = field(default_factory=Latencies)
    idle_share: float = 0.0
    """Of a core, without us: its cron, the gateway's own probes."""
    _turn: int = 0

    async def rest(self) -> None:
        """Learn what Redis spends while nothing is published."""
        before, began = self.server.cpu_s(), time.perf_counter()
        await asyncio.sleep(REST_S)
        self.idle_share = (self.server.cpu_s() - before) / (time.perf_counter() - began)

    async def publish(self, publishes: int, at_once: int) -> float:
        """Publish, and wait each time until the last node has it; return Redis' CPU for each."""
        before, began = self.server.cpu_s(), time.perf_counter()
        for _ in range(publishes // at_once):
            wanted = self.tally.received + at_once * len(self.nodes) * self._message_bytes()
            reached, start = self.tally.expect(wanted), time.perf_counter()
            self._publish_round(at_once)
            async with asyncio.timeout(ARRIVE_S):
                took_s = await reached - start
            if at_once == 1:
                self.latencies.add(took_s)
        idle_s = self.idle_share * (time.perf_counter() - began)
        return (self.server.cpu_s() - before - idle_s) * 1e6 / publishes

    def _publish_round(self, count: int) -> None:
        pipeline = self.redis.pipeline(transaction=False)
        for _ in range(count):
            self._turn += 1
            pipeline.publish(f"{PREFIX}{self.names[self._turn % TOPICS]}", _payload())
        pipeline.execute()

    def _message_bytes(self) -> int:
        return subscribers.message_bytes(f"{PREFIX}{self.names[0]}".encode(), _payload())


async def _load(load: Load, found: SubscriberCost, rounds: int) -> None:
    count, alone, together = len(load.nodes), [], []
    await load.publish(TOGETHER, TOGETHER)  # not measured: buffers grow
    await load.rest()
    sent = load.redis.info("stats")["total_net_output_bytes"]
    for _ in range(rounds):
        alone.append(await load.publish(PUBLISHES, 1))
        together.append(await load.publish(PUBLISHES, TOGETHER))
    sent = load.redis.info("stats")["total_net_output_bytes"] - sent
    found.alone_us[count] = statistics.median(alone)
    found.together_us[count] = statistics.median(together)
    found.bytes_out[count] = sent / (2 * PUBLISHES * rounds)
    found.latencies[count] = load.latencies


def _line(points: Any) -> tuple[float, float]:
    """Return what is fixed and what each one more adds, by least squares."""
    pairs = list(points)
    if len({x for x, _ in pairs}) < 2:
        return (pairs[0][1], 0.0) if pairs else (0.0, 0.0)
    slope, intercept = statistics.linear_regression(*zip(*pairs, strict=True))
    return intercept, slope


def _named(figures: dict[int, float], digits: int) -> dict[str, Figure]:
    return {str(count): round(value, digits) for count, value in figures.items()}
