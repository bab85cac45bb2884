"""One client stops reading: how much the others notice.

Events go to a conversation at a steady rate, each together with a large one to one member's own
topic. That member alternately reads and does not, until the kernel's buffers and its queue are full
and the gateway disconnects it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import uvloop
from redis.asyncio import Redis

from gateway import topics
from gateway.bus import Announcement
from loadtests import fleet
from loadtests.fleet import NO_LIMITS, FleetClient, allow_files
from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.process_cost import require_proc
from loadtests.report import Result
from loadtests.test_users import SignedInUser

READERS = 1_000
SECONDS = 4.0
"""Of each spell; there are two with and two without the stalled reader."""
EVENTS_PER_S = 25.0
EVENT_BYTES = 1_024
BALLAST_BYTES = 2_400_000
"""What else the one client is sent in a spell: twice what its queue (1 MiB) and the kernel's
buffers hold, so that it is let go in the middle of it."""
KERNEL_BYTES = 65_536
"""The receive buffer of that client; left alone, the kernel would make it 6 MB."""
SPELLS = 2
ARRIVE_S = 10.0
HEAD = b'{"type":"benchmark.event","number":'


@dataclass(slots=True)
class DeliveryTimer:
    """When each event was sent, and how long each delivery took."""

    readers: int
    sent: list[float] = field(default_factory=list)
    received: int = 0
    all_received: asyncio.Event = field(default_factory=asyncio.Event)
    latencies: Latencies = field(default_factory=Latencies)

    @property
    def lost(self) -> int:
        """Deliveries that have not arrived."""
        return len(self.sent) * self.readers - self.received

    def receive(self, payload: bytes) -> None:
        """Take an event at a reader."""
        if payload.startswith(HEAD):
            number = int(payload[len(HEAD) : len(HEAD) + 8])
            self.latencies.add(time.perf_counter() - self.sent[number - 10_000_000])
            self.received += 1
            if not self.lost:
                self.all_received.set()

    def event(self, topic: str) -> Announcement:
        """Make the next event and note the time."""
        number = 10_000_000 + len(self.sent)
        start = HEAD + str(number).encode() + b',"text":"'
        payload = start + b"x" * (EVENT_BYTES - len(start) - 2) + b'"}'
        self.all_received.clear()
        self.sent.append(time.perf_counter())
        return Announcement(topic, "benchmark.event", payload)


def run(options: Options) -> Result:
    """Start a gateway, measure in turns, stop it."""
    with own_gateway(workers=1, settings=NO_LIMITS) as gateway:
        return measure(gateway, options)


def measure(gateway: OwnGateway, options: Options) -> Result:
    """Have its first worker serve many who read, and one who does not."""
    require_proc()
    readers, seconds = options.users or READERS, options.seconds or SECONDS
    allow_files(readers + 1)
    players = gateway.cast(readers + 1, worker=0)
    room = gateway.rooms(players, len(players))[0]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(gateway, players, topics.conversation(room), seconds))


async def _measure(
    gateway: OwnGateway, players: Sequence[SignedInUser], topic: str, seconds: float
) -> Result:
    reading, stalled = DeliveryTimer(len(players) - 1), DeliveryTimer(len(players) - 1)
    clock = reading

    def receive(payload: bytes) -> None:
        clock.receive(payload)

    one, others = players[0], players[1:]
    members = [FleetClient(player, receive) for player in others]
    large = topics.user(one.employee_id)
    let_go = 0
    try:
        await fleet.arrive(members)
        own, began = time.process_time(), time.perf_counter()
        async with Redis.from_url(gateway.redis_url) as redis:
            for number in range(2 * SPELLS):
                stalls = number % 2 == 1
                clock = stalled if stalls else reading
                member = FleetClient(one)
                await member.arrive(len(others))
                member.limit_receive_buffer(KERNEL_BYTES)
                if stalls:
                    member.pause_reading()
                await _spell(redis, clock, topic=topic, large=large, seconds=seconds)
                with suppress(TimeoutError):
                    await asyncio.wait_for(clock.all_received.wait(), ARRIVE_S)
                let_go += stalls and await _ended(member)
                await fleet.dismiss([member])
        share = (time.process_time() - own) / (time.perf_counter() - began)
    finally:
        await fleet.dismiss(members)
    lost = reading.lost + stalled.lost
    failures = [f"{lost} events were not delivered within {ARRIVE_S:g} s"] if lost else []
    if let_go < SPELLS:
        failures.append("a client that read nothing was not let go")
    return Result(
        "slow",
        f"{EVENT_BYTES}-byte events, {EVENTS_PER_S:g} a second, to {len(members)} readers, beside"
        " one who reads and then one who does not",
        {
            **reading.latencies.figures(),
            **stalled.latencies.figures("stalled_"),
            "delivered": reading.received + stalled.received,
            "lost": lost,
            "let_go": let_go,
            "fleet_cpu_share": round(share, 2),
        },
        failures,
    )


async def _spell(
    redis: Redis, clock: DeliveryTimer, *, topic: str, large: str, seconds: float
) -> None:
    """Publish on a fixed schedule, as another worker would."""
    events = max(1, round(seconds * EVENTS_PER_S))
    text = b"x" * (BALLAST_BYTES // events)
    ballast = Announcement(large, "benchmark.ballast", b'{"text":"%b"}' % text)
    begin = time.perf_counter()
    for number in range(events):
        await asyncio.sleep(max(0.0, begin + number / EVENTS_PER_S - time.perf_counter()))
        pipeline = redis.pipeline(transaction=False)
        for announcement in (ballast, clock.event(topic)):
            pipeline.publish(
                f"gateway:{announcement.topic}", b"benchmark\n" + announcement.to_wire()
            )
        await pipeline.execute()


async def _ended(member: FleetClient) -> bool:
    """Say whether the gateway has ended this connection, once it is read again."""
    member.resume_reading()
    await asyncio.wait([member.lost], timeout=ARRIVE_S)
    return member.lost.done()
