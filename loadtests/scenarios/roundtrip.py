"""Two users on two workers: the time from sending a message until the other one has it.

The floor (scenarios/floor.py) is measured in the same seconds on the same servers: a slow or busy
machine shows in both.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field

import uvloop

from loadtests.busy_loops import busy_loops
from loadtests.fleet import NO_LIMITS
from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.report import Figure, Result
from loadtests.scenarios.floor import Floor, floor
from loadtests.test_users import SignedInUser
from loadtests.timed_client import TimedClient, timed_client

SECONDS = 10.0
RATE = 200.0
WARM_S = 1.0
"""Not measured: connections to PostgreSQL open and statements are prepared."""
LATE_S = 5.0
TEXT = "Чи можемо передзвонити клієнту сьогодні?"


@dataclass(frozen=True, slots=True)
class SendTimes:
    """When each message is due."""

    begin: float
    rate: float
    seconds: float

    @property
    def warm(self) -> int:
        """How many messages come before those that are measured."""
        return round(WARM_S * self.rate)

    @property
    def count(self) -> int:
        return self.warm + max(1, round(self.seconds * self.rate))

    def due(self, number: float) -> float:
        return self.begin + number / self.rate

    async def wait(self, number: float) -> None:
        await asyncio.sleep(max(0.0, self.due(number) - time.perf_counter()))


@dataclass(slots=True)
class RoundtripTimes:
    """What is under way and what has arrived."""

    sent: dict[str, float] = field(default_factory=dict)
    delivery: Latencies = field(default_factory=Latencies)
    reply: Latencies = field(default_factory=Latencies)
    floor: Latencies = field(default_factory=Latencies)
    warming: set[str] = field(default_factory=set)
    """client_keys of messages that only warm up."""
    nothing_under_way: asyncio.Event = field(default_factory=asyncio.Event)

    def say(self, key: str, *, warming: bool) -> float:
        """Take note of a message that is about to be sent."""
        if warming:
            self.warming.add(key)
        self.nothing_under_way.clear()
        began = self.sent[key] = time.perf_counter()
        return began

    def answered(self, key: str, took_s: float) -> None:
        if key not in self.warming:
            self.reply.add(took_s)

    def received(self, key: str, at: float) -> None:
        began = self.sent.pop(key, None)
        if began is not None and key not in self.warming:
            self.delivery.add(at - began)
        if not self.sent:
            self.nothing_under_way.set()


def run(options: Options) -> Result:
    """Start a gateway, measure, stop it."""
    # Two people write as fast as many would: the limit per connection is out of the way.
    with own_gateway(settings=NO_LIMITS) as gateway:
        return measure(gateway, options)


def measure(gateway: OwnGateway, options: Options) -> Result:
    """Have two people on its two workers write to each other."""
    seconds, rate = options.seconds or SECONDS, options.rate or RATE
    players = gateway.cast(2)
    with (
        busy_loops(options.busy, gateway.directory),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        findings = runner.run(_measure(gateway, players, rate=rate, seconds=seconds))
    lost = len(findings.sent)
    figures: dict[str, Figure] = {
        "delivered": len(findings.delivery),
        "lost": lost,
        **findings.delivery.figures(),
        **findings.reply.figures("reply_"),
        "floor_samples": len(findings.floor),
        **findings.floor.figures("floor_"),
        "p50_per_floor": _per_floor(findings, 0.5),
        "p99_per_floor": _per_floor(findings, 0.99),
    }
    beside = f", beside {options.busy} busy loops" if options.busy else ""
    return Result(
        "roundtrip",
        f"two people on two workers, {rate:g} messages/s for {seconds:g} s{beside}",
        figures,
        [f"{lost} messages were not delivered within {LATE_S:g} s"] if lost else [],
    )


def _per_floor(findings: RoundtripTimes, share: float) -> float:
    """Return a percentile of the deliveries, in those of the floor in the same seconds."""
    return round(findings.delivery.percentile(share) / findings.floor.percentile(share), 2)


async def _measure(
    gateway: OwnGateway, players: list[SignedInUser], *, rate: float, seconds: float
) -> RoundtripTimes:
    findings = RoundtripTimes()
    one, other = players
    async with (
        timed_client(one.url, one.token, findings.received) as first,
        timed_client(other.url, other.token, findings.received) as second,
        floor(gateway.database_url, gateway.redis_url) as ground,
    ):
        opened = await first.request("conversation.open", employee_id=second.user_id)
        conversation_id = opened["conversation"]["id"]
        schedule = SendTimes(time.perf_counter() + 0.1, rate, seconds)
        async with asyncio.TaskGroup() as group:
            talk = _talk(findings, [first, second], conversation_id, schedule)
            group.create_task(talk, name="talk")
            group.create_task(_walk(findings, ground, schedule), name="floor")
        with suppress(TimeoutError):
            await asyncio.wait_for(findings.nothing_under_way.wait(), LATE_S)
    return findings


async def _talk(
    findings: RoundtripTimes, talkers: list[TimedClient], conversation_id: int, schedule: SendTimes
) -> None:
    """Send on a fixed schedule, in turn: a slow answer does not hold back the next message."""
    async with asyncio.TaskGroup() as group:
        for number in range(schedule.count):
            await schedule.wait(number)
            warming = number < schedule.warm
            send = _send(findings, talkers[number % 2], conversation_id, warming=warming)
            group.create_task(send, name=f"send.{number}")


async def _send(
    findings: RoundtripTimes, who: TimedClient, conversation_id: int, *, warming: bool
) -> None:
    key = str(uuid.uuid4())
    began = findings.say(key, warming=warming)
    await who.request("message.send", conversation_id=conversation_id, client_key=key, text=TEXT)
    findings.answered(key, time.perf_counter() - began)


async def _walk(findings: RoundtripTimes, ground: Floor, schedule: SendTimes) -> None:
    """Measure the floor half-way between two messages; leave out turns that a slow step missed."""
    for number in range(schedule.count):
        if schedule.due(number + 1) < time.perf_counter():
            continue
        await schedule.wait(number + 0.5)
        took_s = await ground.step(TEXT)
        if number >= schedule.warm:
            findings.floor.add(took_s)
