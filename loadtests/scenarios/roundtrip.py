"""Two people on two workers: how long from sending a message until the other one has it.

Beside it, in the same seconds and on the same servers, the floor (scenarios/floor.py): a machine
that is slow or busy shows in both.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field

import uvloop

from loadtests.cast import Player
from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.report import Figure, Result
from loadtests.scenarios.floor import Floor, floor
from loadtests.talker import Talker, talker

SECONDS = 10.0
RATE = 50.0
WARM_S = 1.0
"""Not measured: connections to PostgreSQL open and statements are prepared."""
LATE_S = 5.0
TEXT = "Чи можемо передзвонити клієнту сьогодні?"


@dataclass(slots=True)
class Findings:
    """What is under way and what has arrived."""

    sent: dict[str, float] = field(default_factory=dict)
    delivery: Latencies = field(default_factory=Latencies)
    reply: Latencies = field(default_factory=Latencies)
    floor: Latencies = field(default_factory=Latencies)
    measured_from: float = 0.0
    nothing_under_way: asyncio.Event = field(default_factory=asyncio.Event)

    def say(self, key: str) -> float:
        began = self.sent[key] = time.perf_counter()
        self.nothing_under_way.clear()
        return began

    def heard(self, key: str, at: float) -> None:
        began = self.sent.pop(key, None)
        if not self.sent:
            self.nothing_under_way.set()
        if began is not None and began >= self.measured_from:
            self.delivery.add(at - began)


def run(options: Options) -> Result:
    """Start a gateway, measure, stop it."""
    seconds, rate = options.seconds or SECONDS, options.rate or RATE
    # Two people write as fast as many would: the limit per connection is out of the way.
    unlimited = {"GATEWAY_COMMANDS_PER_S": "1000000", "GATEWAY_COMMANDS_BURST": "1000000"}
    with own_gateway(settings=unlimited) as gateway:
        players = gateway.cast(2)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            findings = runner.run(_measure(gateway, players, rate=rate, seconds=seconds))
    lost = len(findings.sent)
    figures: dict[str, Figure] = {
        "delivered": len(findings.delivery),
        "lost": lost,
        **findings.delivery.figures(),
        **findings.reply.figures("reply_"),
        "floor_samples": len(findings.floor),
        **findings.floor.figures("floor_"),
    }
    return Result(
        "roundtrip",
        f"two people on two workers, {rate:g} messages/s for {seconds:g} s",
        figures,
        [f"{lost} messages were not delivered within {LATE_S:g} s"] if lost else [],
    )


async def _measure(
    gateway: OwnGateway, players: list[Player], *, rate: float, seconds: float
) -> Findings:
    findings = Findings()
    one, other = players
    async with (
        talker(one.url, one.token, findings.heard) as first,
        talker(other.url, other.token, findings.heard) as second,
        floor(gateway.database_url, gateway.redis_url) as ground,
    ):
        opened = await first.request("conversation.open", employee_id=second.user_id)
        conversation_id = opened["conversation"]["id"]
        begin = time.perf_counter() + 0.1
        findings.measured_from = begin + WARM_S
        end = findings.measured_from + seconds
        async with asyncio.TaskGroup() as group:
            talk = _talk(
                findings, [first, second], conversation_id, begin=begin, end=end, every_s=1 / rate
            )
            group.create_task(talk, name="talk")
            walk = _walk(findings, ground, begin=begin + 0.5 / rate, end=end, every_s=1 / rate)
            group.create_task(walk, name="floor")
        with suppress(TimeoutError):
            await asyncio.wait_for(findings.nothing_under_way.wait(), LATE_S)
    return findings


async def _talk(
    findings: Findings,
    talkers: list[Talker],
    conversation_id: int,
    *,
    begin: float,
    end: float,
    every_s: float,
) -> None:
    """Send on a fixed schedule, in turn: a slow answer does not hold back the next message."""
    async with asyncio.TaskGroup() as group:
        number, due = 0, begin
        while due < end:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            send = _send(findings, talkers[number % 2], conversation_id)
            group.create_task(send, name=f"send.{number}")
            number += 1
            due = begin + number * every_s


async def _send(findings: Findings, who: Talker, conversation_id: int) -> None:
    key = str(uuid.uuid4())
    began = findings.say(key)
    await who.request("message.send", conversation_id=conversation_id, client_key=key, text=TEXT)
    if began >= findings.measured_from:
        findings.reply.add(time.perf_counter() - began)


async def _walk(
    findings: Findings, ground: Floor, *, begin: float, end: float, every_s: float
) -> None:
    """Measure the floor half-way between two messages; a late step leaves its turn out."""
    due = begin
    while due < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        took_s = await ground.step(TEXT)
        if began >= findings.measured_from:
            findings.floor.add(took_s)
        missed = int((time.perf_counter() - due) / every_s)
        due += (1 + missed) * every_s
