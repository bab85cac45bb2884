"""What somebody who only chats notices of others who attack the same worker.

And how long single callbacks of this worker take meanwhile.

own_gateway, with instrument.py in its worker ─▶ pairs who write to each other, in this process, and
one attack after the other in processes of their own. In turns: alone, beside the attack, and beside
a process that attacks nothing and uses as much CPU as the attacker did.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from loadtests import instrument
from loadtests.attack_process import attack
from loadtests.attacks.plan import AttackPlan, AttackTally
from loadtests.attacks.sockets import NEEDLE
from loadtests.callback_time import CallbackTime
from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.queries import attacks, people
from loadtests.report import Figure, Result
from loadtests.test_users import SignedInUser
from loadtests.timed_client import TimedClient, timed_client

KINDS = ("search", "openapi", "unread_pages", "uploads", "queue_watch")
ROUNDS = 3
SECONDS = 4.0
"""Of one turn."""
SETTLE_S = 1.0
"""Between turns: what the last one left is worked off."""
PAIRS = 4
RATE = 15.0
"""Messages a second of each sender, below the 20 that an employee may send for long."""
TEXT = "Good morning, the customer from yesterday is on line two."
ATTACKERS = 5
LENGTH, LONG_MESSAGES = 8_000, 100
AGENTS, QUEUES_EACH, QUEUES = 500, 100, 1_000
WATCHED = 500
GOAL = 2.0
HELD_MS = 20.0
UNITS = (
    "слово ", "знайд ", "щ", "e\u0301\u0316", "\ufdfa", "\u3316", "«—»", "👩\u200d👩\u200d👧", "ї ",
    "знайди ",
)  # fmt: skip
"""What long messages consist of: whatever is hard to fold, with the word at their end."""


@dataclass(slots=True)
class Turns:
    """What the innocent met in the turns of one attack."""

    alone: list[Latencies] = field(default_factory=list)
    beside: list[Latencies] = field(default_factory=list)
    beside_work: list[Latencies] = field(default_factory=list)
    callbacks: list[CallbackTime] = field(default_factory=list)
    tallies: list[AttackTally] = field(default_factory=list)

    def ratio(self, others: Sequence[Latencies], share: float = 0.99) -> float:
        """Return the median, over the rounds, of the time beside the attack by that of others."""
        ratios = [
            one.percentile(share) / other.percentile(share)
            for one, other in zip(self.beside, others, strict=True)
        ]
        return round(statistics.median(ratios), 2)

    def longest(self) -> CallbackTime:
        return max(self.callbacks, key=lambda one: one.cpu_ms)


def run(options: Options) -> Result:
    """Start a gateway, attack it in every way, stop it."""
    with tempfile.TemporaryDirectory(prefix="gwi-") as made:
        directory = Path(made)
        with own_gateway(workers=1, settings=instrument.environment(directory)) as gateway:
            return measure(gateway, directory, options)


def measure(
    gateway: OwnGateway, directory: Path, options: Options, *, rounds: int = ROUNDS
) -> Result:
    """Attack a gateway whose only worker is measured by way of this directory."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        players = gateway.cast(2 * PAIRS + ATTACKERS + 1, worker=0)
        return runner.run(_measure(gateway, directory, players, options, rounds))


async def _measure(
    gateway: OwnGateway,
    directory: Path,
    players: Sequence[SignedInUser],
    options: Options,
    rounds: int,
) -> Result:
    chatting, hostile = players[: 2 * PAIRS], players[2 * PAIRS :]
    plans = await _prepare(gateway, hostile)
    found: dict[str, Turns] = {}
    async with _innocents(chatting) as innocents:
        await innocents.write(options.seconds or SECONDS)  # what is made once, is made
        for plan in plans:
            found[plan.kind] = await _turns(
                plan, innocents, directory, options.seconds or SECONDS, rounds
            )
    return _result(found, innocents.lost, options.seconds or SECONDS, rounds)


async def _turns(
    plan: AttackPlan, innocents: _Innocents, directory: Path, seconds: float, rounds: int
) -> Turns:
    turns = Turns()
    for _ in range(rounds):
        await asyncio.sleep(SETTLE_S)
        turns.alone.append(await innocents.write(seconds))
        instrument.longest_callbacks(directory)
        async with attack(plan) as tally:
            began = time.perf_counter()
            turns.beside.append(await innocents.write(seconds))
            took_s = time.perf_counter() - began
        await asyncio.sleep(SETTLE_S)
        turns.callbacks += instrument.longest_callbacks(directory)
        turns.tallies.append(tally)
        async with attack(AttackPlan("busy", plan.port, share=min(1.0, tally.cpu_s / took_s))):
            turns.beside_work.append(await innocents.write(seconds))
    return turns


class _Innocents:
    """Pairs of whom one writes to the other, on a schedule that waits for nobody."""

    def __init__(self) -> None:
        self._pairs: list[tuple[TimedClient, int]] = []
        self.lost = 0

    async def add(self, sender: TimedClient, other_id: int) -> None:
        opened = await sender.request("conversation.open", employee_id=other_id)
        self._pairs.append((sender, opened["conversation"]["id"]))

    async def write(self, seconds: float) -> Latencies:
        """Write for so long; return the times from sending until the reply after the COMMIT."""
        latencies = Latencies()
        begin, gap = time.perf_counter() + 0.05, 1 / (RATE * len(self._pairs))
        async with asyncio.TaskGroup() as group:
            for number in range(round(seconds / gap)):
                await asyncio.sleep(max(0.0, begin + number * gap - time.perf_counter()))
                sender, conversation_id = self._pairs[number % len(self._pairs)]
                group.create_task(self._send(sender, conversation_id, latencies))
        return latencies

    async def _send(self, sender: TimedClient, conversation_id: int, latencies: Latencies) -> None:
        began, key = time.perf_counter(), str(uuid.uuid4())
        try:
            await sender.request(
                "message.send", conversation_id=conversation_id, client_key=key, text=TEXT
            )
        except (RuntimeError, TimeoutError):
            self.lost += 1
        latencies.add(time.perf_counter() - began)


@asynccontextmanager
async def _innocents(players: Sequence[SignedInUser]) -> Any:
    innocents = _Innocents()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(timed_client(one.url, one.token, lambda *_: None))
            for one in players
        ]
        for sender, other in zip(clients[::2], clients[1::2], strict=True):
            await innocents.add(sender, other.user_id)
        yield innocents


async def _prepare(gateway: OwnGateway, hostile: Sequence[SignedInUser]) -> list[AttackPlan]:
    """Give the attackers what they make use of."""
    *attackers, supervisor = hostile
    conn = await asyncpg.connect(gateway.database_url)
    try:
        async with timed_client(attackers[0].url, attackers[0].token, lambda *_: None) as one:
            opened = await one.request(
                "conversation.create",
                title="Long",
                employee_ids=[other.employee_id for other in attackers[1:]],
            )
        conversation_id = opened["conversation"]["id"]
        await attacks.write_long_messages(
            conn, conversation_id, attackers[0].employee_id, _long_texts()
        )
        await attacks.log_agents_in(conn, agents=AGENTS, queues_each=QUEUES_EACH, queues=QUEUES)
        await people.make_heads(conn, [supervisor.employee_id])
        watched = await people.hire(conn, WATCHED)
    finally:
        await conn.close()
    port = gateway.worker_ports[0]
    tokens = [one.token for one in attackers]
    return [
        AttackPlan("search", port, tokens[:1], conversation_id),
        AttackPlan("openapi", port),
        AttackPlan("unread_pages", port, tokens, conversation_id),
        AttackPlan("uploads", port, tokens, conversation_id),
        AttackPlan("queue_watch", port, [supervisor.token], employee_ids=watched),
    ]


def _long_texts() -> list[str]:
    texts = []
    for number in range(LONG_MESSAGES):
        unit, room = UNITS[number % len(UNITS)], LENGTH - len(NEEDLE) - 1
        texts.append((unit * (room // len(unit) + 1))[:room] + " " + NEEDLE)
    return texts


def _result(found: dict[str, Turns], lost: int, seconds: float, rounds: int) -> Result:
    worst = max((turns.longest() for turns in found.values()), key=lambda one: one.cpu_ms)
    ratios: dict[str, Figure] = {kind: turns.ratio(turns.alone) for kind, turns in found.items()}
    beside_work: dict[str, Figure] = {
        kind: turns.ratio(turns.beside_work) for kind, turns in found.items()
    }
    figures: dict[str, Figure | dict[str, Figure]] = {
        "p99_ratio": ratios,
        "longest_callback_ms": round(worst.cpu_ms, 1),
        "p99_ratio_beside_equal_cpu": beside_work,
        "longest_callback_ms_of": {
            kind: round(turns.longest().cpu_ms, 1) for kind, turns in found.items()
        },
        "lost": lost,
    }
    for kind, turns in found.items():
        figures[kind] = {
            "p50_ms": _median(turns.beside, 0.5), "p50_alone_ms": _median(turns.alone, 0.5),
            "p99_ms": _median(turns.beside, 0.99), "p99_alone_ms": _median(turns.alone, 0.99),
            "p99_beside_equal_cpu_ms": _median(turns.beside_work, 0.99),
            "served": sum(one.done for one in turns.tallies),
            "refused": sum(one.refused for one in turns.tallies),
            "closed": sum(one.closed for one in turns.tallies),
            "attacker_cpu_s": round(sum(one.cpu_s for one in turns.tallies), 1),
        }  # fmt: skip
    lines = [
        f"{kind}: {one.cpu_ms:.1f} ms  {one.path} {one.name}"
        for kind, turns in found.items()
        for one in sorted(turns.callbacks, key=lambda one: -one.cpu_ms)[:3]
    ]
    return Result(
        "innocent",
        f"{PAIRS} pairs write {PAIRS * RATE:g} messages a second to one worker, alone and beside an"
        f" attack, {rounds} times {seconds:g} s each",
        figures,
        [f"{lost} messages were refused or not answered"] if lost else [],
        "The longest callbacks beside each attack:\n" + "\n".join(lines) + "\n",
    )


def _median(turns: Sequence[Latencies], share: float) -> float:
    return round(statistics.median(one.percentile(share) for one in turns), 2)
