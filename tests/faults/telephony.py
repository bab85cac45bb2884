"""Calls under faults: one PBX that the gateway listens to and one that posts.

TelephonyPlan ─▶ run ─▶ TelephonyResult (what PBXs sent, what is stored, findings). After each fault
both PBXs must be received again before the next fault.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from loadtests.ami_calls import AmiCall
from loadtests.generated_events import EventGenerator
from loadtests.poster import Poster, make_secret
from loadtests.process_cost import MeasuredProcess
from tests.fakes import asterisk
from tests.fakes.asterisk import FakeAsterisk
from tests.faults import telephony_faults, telephony_store
from tests.faults.proxy import Proxy
from tests.faults.stage import FaultStage, StageOptions, open_stage
from tests.faults.telephony_truth import (
    OFFICE,
    RECOVERED_S,
    WEB,
    Findings,
    PostedCall,
    Recovery,
    StoredTelephony,
    TelephonyRecord,
    check,
)

TOGETHER = 25
"""Events in a post."""
POSTERS = 4
ANSWER_S = 4.0
RING_S, TALK_S = 0.5, 1.0
CALM_S = 1.0
LOOK_S = 0.2
GIVE_UP_S = 2.5 * RECOVERED_S
WIND_UP_S = 60.0
MODULE = ("tests.faults.broken_calls", "whole")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TelephonyPlan:
    """What is to be done."""

    faults: Sequence[tuple[str, float]]
    """Which kinds, and for how many seconds each."""
    seed: int
    workers: int = 2
    posted: float = 200.0
    """Events a second by webhook."""
    calls: float = 4.0
    """Calls a second of the PBX that is listened to."""
    warm_s: float = 3.0
    module: Sequence[str] = MODULE
    stage: StageOptions | None = None


@dataclass(slots=True)
class TelephonyResult:
    """What came of it."""

    told: TelephonyRecord
    stored: StoredTelephony
    findings: Findings
    seconds: float


class Exchange(FakeAsterisk):
    """An Asterisk with calls in progress, which it knows of when it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, tuple[AmiCall, bool]] = {}

    def live_channels(self) -> list[dict[str, str]] | None:
        """Return the channels of the calls in progress."""
        return [
            one for call, talking in self.live.values() for one in call.channels(talking=talking)
        ]

    def tell(self, data: bytes) -> None:
        """Say it to everybody who has signed in and is still there."""
        for line in self.connections:
            signed_in = any(asked.get("Action") == "Login" for asked in line.actions)
            if signed_in and not line.writer.is_closing():
                line.writer.write(data)

    async def restart(self) -> list[int]:
        """Stop; return the calls that this ended."""
        await self.stop()
        ended = list(self.live)
        self.live.clear()
        self.connections.clear()
        return ended


async def run(plan: TelephonyPlan, say: Say) -> TelephonyResult:
    """Carry it out; whatever fails, everything is stopped."""
    async with AsyncExitStack() as stack:
        exchange = await stack.enter_async_context(Exchange())
        way = await stack.enter_async_context(Proxy(exchange.port))
        secret = make_secret()
        wanted = plan.stage or StageOptions(plan.workers)
        settings = {
            **(wanted.settings or {}),
            "GATEWAY_PBXS": orjson.dumps({OFFICE: asterisk.settings(way.port)}).decode(),
            "GATEWAY_PBX_SECRETS": orjson.dumps({WEB: [secret]}).decode(),
        }
        stage = await stack.enter_async_context(
            open_stage(StageOptions(wanted.workers, (), wanted.servers, plan.module, settings))
        )
        return await _Run(plan, stage, TelephonySetup(exchange, way, secret), say).run()


@dataclass(frozen=True, slots=True)
class TelephonySetup:
    """What is outside of the gateway."""

    exchange: Exchange
    way: Proxy
    """Of the workers to it."""
    secret: str


class _Run:
    def __init__(
        self, plan: TelephonyPlan, stage: FaultStage, world: TelephonySetup, say: Say
    ) -> None:
        self._plan, self._stage, self._say = plan, stage, say
        self.exchange, self.way, self._secret = world.exchange, world.way, world.secret
        self._dice = random.Random(plan.seed)
        self._told = TelephonyRecord()
        self._rung: dict[int, PostedCall] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._over = False
        self.speed = 1
        """Factor by which more calls and posts are made than planned."""
        self._last_acknowledged = 0.0
        self._memory: dict[int, tuple[int, int]] = {}

    async def run(self) -> TelephonyResult:
        began = time.monotonic()
        speaking = [self._spawn(self._post(number)) for number in range(POSTERS)]
        speaking.append(self._spawn(self._ring()))
        try:
            await self._heard_again(time.time())
            await asyncio.sleep(self._plan.warm_s)
            self._measure_growth()
            for number, (kind, lasts_s) in enumerate(self._plan.faults):
                await self._strike(number, kind, lasts_s)
                await asyncio.sleep(CALM_S)
        finally:
            self._over = True
            done, late = await asyncio.wait([*speaking, *self._calls], timeout=WIND_UP_S)
            for task in late:
                task.cancel()
        for task in done:
            task.result()
        self._measure_growth()
        stored = await self._settle()
        findings = check(self._told, stored, faults=len(self._plan.faults))
        return TelephonyResult(self._told, stored, findings, time.monotonic() - began)

    # --- what the PBXs say -----------------------------------------------------------------

    async def _post(self, number: int) -> None:
        """Post whole calls until it is over; each body until it is acknowledged."""
        maker = EventGenerator(self._plan.seed * 1_000 + number, in_progress=10)
        each_s = TOGETHER * POSTERS / self._plan.posted
        while not self._over:
            due = time.monotonic() + each_s / self.speed
            await self._deliver(maker.take(TOGETHER))
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        rest = maker.finish()
        for first in range(0, len(rest), TOGETHER):
            await self._deliver(rest[first : first + TOGETHER])

    async def _deliver(self, events: list[dict[str, Any]]) -> None:
        body = orjson.dumps(events)
        for tries in itertools.count():
            door = self._dice.choice(self._stage.doors)
            poster = Poster(door.port, WEB, self._secret, ANSWER_S)
            try:
                status, answer = await poster.post(body)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            finally:
                poster.close()
                self._told.again += bool(tries)
            if status == 200:
                break
            if status != 503:
                self._told.refused.append(f"{status} {answer}")
                return
            await asyncio.sleep(0.2)
        if answer["accepted"] + answer["duplicates"] != len(events):  # type: ignore[operator]
            self._told.refused.append(f"{answer}")
        self._told.acknowledged += events
        self._last_acknowledged = time.monotonic()

    async def _ring(self) -> None:
        for number in itertools.count(1):
            if self._over:
                return
            self._spawn(self._call(number), self._calls)
            await asyncio.sleep(1 / self._plan.calls / self.speed)

    async def _call(self, number: int) -> None:
        """Ring one telephone; it answers, or the caller gives up."""
        rung = PostedCall(AmiCall(number, str(4_001 + number % 500)), answers=number % 4 != 0)
        self._told.rung.append(rung)
        self._rung[number] = rung
        self.exchange.live[number] = rung.call, False
        self._tell(rung, "ringing")
        await asyncio.sleep(RING_S)
        if rung.answers and not rung.cut:
            self.exchange.live[number] = rung.call, True
            self._tell(rung, "answered")
            await asyncio.sleep(TALK_S)
        if not rung.cut:
            self._tell(rung, "ended" if rung.answers else "given_up")
            del self.exchange.live[number]

    def _tell(self, rung: PostedCall, part: str) -> None:
        rung.told.append((part, datetime.now(UTC)))
        self.exchange.tell(getattr(rung.call, part)())

    async def restart_exchange(self) -> None:
        for number in await self.exchange.restart():
            self._rung[number].cut = True

    # --- faults ----------------------------------------------------------------------------

    async def _strike(self, number: int, kind: str, lasts_s: float) -> None:
        name = f"fault {number}, {kind}"
        self._measure_growth()
        worker = await self._listening() if kind in telephony_faults.AIMED else None
        if worker is None:
            worker = self._dice.randrange(len(self._stage.workers))
        trace: list[int] = []
        async with telephony_faults.FAULT_ACTIONS[kind](self, self._stage, worker, trace):
            await asyncio.sleep(lasts_s)
        took_s = await self._heard_again(time.time())
        self._told.recoveries.append(Recovery(name, sum(trace), took_s))
        shown = "never" if took_s is None else f"{took_s:.1f} s"
        self._say(
            f"{name} for {lasts_s:.1f} s: {sum(trace)} affected, received again after {shown}"
        )

    async def _listening(self) -> int | None:
        """Return the worker that listens to the PBX."""
        async with self._stage.database() as conn:
            holder = await telephony_store.holder(conn)
        found = [one.number for one in self._stage.workers if holder == f"faults-w{one.number + 1}"]
        return found[0] if found else None

    async def _heard_again(self, since: float) -> float | None:
        """Wait until both PBXs are received again; return how long that took."""
        began = time.monotonic()
        while (took_s := time.monotonic() - began) < GIVE_UP_S:
            async with self._stage.database() as conn:
                heard = await telephony_store.heard_at(conn)
            posted = self._last_acknowledged > began
            if posted and heard is not None and heard.timestamp() > since:
                return took_s
            await asyncio.sleep(LOOK_S)
        return None

    def _measure_growth(self) -> None:
        """Note what each worker has grown by since its start."""
        for worker in self._stage.workers:
            now = MeasuredProcess(worker.pid).rss_kib()
            pid, first = self._memory.get(worker.number, (0, now))
            self._memory[worker.number] = worker.pid, now if pid != worker.pid else first
            grown = (now - self._memory[worker.number][1]) / 1024
            most = self._told.grown_mib.get(worker.number, 0.0)
            self._told.grown_mib[worker.number] = max(grown, most)

    # --- afterwards ------------------------------------------------------------------------

    async def _settle(self) -> StoredTelephony:
        """Read what is stored, once every sent event has arrived or its time is over."""
        until = time.monotonic() + RECOVERED_S
        while True:
            async with self._stage.database() as conn:
                stored = await telephony_store.read(conn)
            found = check(self._told, stored, faults=0)
            if time.monotonic() > until or not (found["open"] or found["ungapped"]):
                return stored
            await asyncio.sleep(LOOK_S)

    def _spawn(
        self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]] | None = None
    ) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="faults.speak")
        if among is not None:
            among.add(task)
        return task
