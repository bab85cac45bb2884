"""From an event that leaves the PBX to the frame that an agent's socket has read.

A fake Asterisk sends the events of calls on a fixed schedule; the gateway is connected to its
manager interface. Each call rings one agent, is answered and ends: PBX → worker → PostgreSQL
(COMMIT) → Redis → worker → socket, three times. Each part is timed from its first event.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import asyncpg
import orjson
import uvloop

from loadtests import fleet
from loadtests.ami_calls import EVENTS, AmiCall
from loadtests.fleet import NO_LIMITS, FleetClient, allow_files
from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.queries import people
from loadtests.report import Figure, Result
from loadtests.test_users import SignedInUser
from tests.fakes import asterisk
from tests.fakes.asterisk import AsteriskConnection, FakeAsterisk

AGENTS = 100
RATE = 200.0
"""Events a second."""
SECONDS = 30.0
WARM_S = 2.0
"""Not measured: connections to PostgreSQL open, statements are prepared."""
LATE_S = 5.0
FIRST = 4_001
TALK_S = 1.0
"""Each of ringing and talking."""
EVENT_OF = {"ringing": "call.offered", "answered": "call.updated", "ended": "call.ended"}
"""Part of a call → the event that the agent receives for it."""
STATUS = {"ringing": "ringing", "answered": "talking", "ended": "ended"}


@dataclass(slots=True)
class CallFindings:
    """The parts of calls that were sent, and how long their events took."""

    began: dict[tuple[str, str], float] = field(default_factory=dict)
    """(caller, part) → when it left the PBX; removed when the agent receives it."""
    took: dict[str, Latencies] = field(default_factory=lambda: defaultdict(Latencies))
    measure_from: float = 0.0
    nothing_due: asyncio.Event = field(default_factory=asyncio.Event)
    told: dict[str, asyncio.Event] = field(default_factory=dict)
    """Caller → set when the part that was sent last has been received."""

    def sent(self, call: AmiCall, part: str) -> None:
        self.began[call.caller, part] = time.perf_counter()
        self.told[call.caller] = asyncio.Event()
        self.nothing_due.clear()

    def received(self, payload: bytes) -> None:
        """Count a frame if it is the first one about a part of a call."""
        at = time.perf_counter()
        if not payload.startswith(b'{"type":"call.'):
            return
        frame = orjson.loads(payload)
        for part, event in EVENT_OF.items():
            if frame["type"] == event and frame["call"]["status"] == STATUS[part]:
                caller = frame["call"]["number"]
                began = self.began.pop((caller, part), None)
                if began is None:
                    continue
                self.told[caller].set()
                if began >= self.measure_from:
                    self.took[part].add(at - began)
        if not self.began:
            self.nothing_due.set()


class AgentClient(FleetClient):
    """An agent whose telephone rings."""

    __slots__ = ("extension",)

    def __init__(self, player: SignedInUser, extension: str, hear: Callable[[bytes], None]) -> None:
        super().__init__(player, on_text=hear)
        self.extension = extension


def run(options: Options) -> Result:
    """Start a PBX and a gateway that is connected to it, measure, stop them."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        pbx = FakeAsterisk()
        runner.run(pbx.start())
        try:
            with own_gateway(settings={**NO_LIMITS, **listening(pbx)}) as gateway:
                return measure(gateway, pbx, runner, options)
        finally:
            runner.run(pbx.stop())


def listening(pbx: FakeAsterisk) -> dict[str, str]:
    """Return the settings with which a gateway connects to it."""
    return {"GATEWAY_PBXS": orjson.dumps({"bench": asterisk.settings(pbx.port)}).decode()}


def measure(
    gateway: OwnGateway, pbx: FakeAsterisk, runner: asyncio.Runner, options: Options
) -> Result:
    """Measure; `--users` is how many agents there are, `--rate` how many events a second."""
    players = gateway.cast(options.users or AGENTS)
    allow_files(len(players))
    rate, seconds = options.rate or RATE, options.seconds or SECONDS
    findings = CallFindings()
    runner.run(_measure(gateway, pbx, players, findings, rate=rate, seconds=seconds))
    took = findings.took
    figures: dict[str, Figure | dict[str, Figure]] = {
        **took["ringing"].figures(),
        **took["answered"].figures("answered_"),
        **took["ended"].figures("ended_"),
        "calls": len(took["ringing"]),
        "not_told": len(findings.began),
    }
    failures = [f"{len(findings.began)} parts of calls did not arrive within {LATE_S:g} s"]
    return Result(
        "calls",
        f"{rate:g} events a second for {seconds:g} s, {len(players)} agents on "
        f"{len(gateway.worker_ports)} workers; from the PBX to call.offered",
        figures,
        failures if findings.began else [],
    )


async def _measure(
    gateway: OwnGateway,
    pbx: FakeAsterisk,
    players: Sequence[SignedInUser],
    findings: CallFindings,
    *,
    rate: float,
    seconds: float,
) -> None:
    agents = [
        AgentClient(player, str(FIRST + place), findings.received)
        for place, player in enumerate(players)
    ]
    conn = await asyncpg.connect(gateway.database_url)
    try:
        await people.give_phones(
            conn, [one.player.employee_id for one in agents], [one.extension for one in agents]
        )
    finally:
        await conn.close()
    line = await pbx.next_connection()
    try:
        await fleet.arrive(agents)
        await _play(line, agents, findings, rate=rate, seconds=seconds)
    finally:
        await fleet.dismiss(agents)


async def _play(
    line: AsteriskConnection,
    agents: Sequence[AgentClient],
    findings: CallFindings,
    *,
    rate: float,
    seconds: float,
) -> None:
    per_s = rate / sum(EVENTS.values())
    began = time.perf_counter()
    findings.measure_from = began + WARM_S
    number, first = 0, round(time.time()) % 10_000 * 1_000  # no call of an earlier run
    async with asyncio.TaskGroup() as group:
        while (due := number / per_s) < WARM_S + seconds:
            await asyncio.sleep(max(0.0, began + due - time.perf_counter()))
            agent = agents[number % len(agents)]
            call = AmiCall(first + number, agent.extension)
            group.create_task(_call(line, call, findings), name="calls.call")
            number += 1
    with suppress(TimeoutError):
        async with asyncio.timeout(LATE_S):
            await findings.nothing_due.wait()


async def _call(line: AsteriskConnection, call: AmiCall, findings: CallFindings) -> None:
    """Play a call at its own pace, but no part before the agent has heard of the one before.

    Two parts that a slow gateway stores together are told as one.
    """
    for part in EVENTS:
        findings.sent(call, part)
        await line.play(getattr(call, part)())
        await asyncio.sleep(TALK_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(LATE_S):
                await findings.told[call.caller].wait()
