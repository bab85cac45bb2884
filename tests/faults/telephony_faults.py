"""The faults of telephony runs: those of the laboratory, and those of PBXs.

telephony ─▶ FAULT_ACTIONS[kind] ─▶ a context during which the fault lasts.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from tests.fakes.asterisk import FakeAsterisk
from tests.faults import injector
from tests.faults.proxy import Mode, Proxy
from tests.faults.schedule import Fault
from tests.faults.stage import FaultStage

FLOOD = 10
"""Factor by which a flood increases calls and posts."""


class ExchangeControl(Protocol):
    """The run: what PBXs say, and the way to the one that is listened to."""

    speed: int
    way: Proxy

    @property
    def exchange(self) -> FakeAsterisk: ...

    async def restart_exchange(self) -> None: ...


FaultAction = Callable[[Any, FaultStage, int, list[int]], AbstractAsyncContextManager[None]]


def _way(mode: Mode) -> FaultAction:
    @asynccontextmanager
    async def fault_action(
        run: ExchangeControl, _: FaultStage, __: int, trace: list[int]
    ) -> AsyncIterator[None]:
        before = run.way.touched
        run.way.set(mode)
        try:
            yield
        finally:
            trace.append(run.way.touched - before)
            run.way.set("open")

    return fault_action


@asynccontextmanager
async def _restart_pbx(
    run: ExchangeControl, _: FaultStage, __: int, trace: list[int]
) -> AsyncIterator[None]:
    trace.append(len(run.exchange.connections))
    await run.restart_exchange()
    yield
    await run.exchange.start()


@asynccontextmanager
async def _flood(
    run: ExchangeControl, _: FaultStage, __: int, trace: list[int]
) -> AsyncIterator[None]:
    run.speed = FLOOD
    try:
        yield
    finally:
        run.speed = 1
        trace.append(FLOOD)


def _of_the_laboratory(kind: str) -> FaultAction:
    @asynccontextmanager
    async def fault_action(
        _: ExchangeControl, stage: FaultStage, worker: int, trace: list[int]
    ) -> AsyncIterator[None]:
        fault = Fault(0, kind, worker, 0.0, 0.0, ())
        async with injector.FAULT_ACTIONS[kind](stage, fault, trace):
            yield

    return fault_action


FAULT_ACTIONS: dict[str, FaultAction] = {
    "pbx_cut": _way("cut"),
    "pbx_half_open": _way("blackhole"),
    "pbx_stall": _way("stall"),
    "pbx_restart": _restart_pbx,
    "flood": _flood,
    "web_cut": _of_the_laboratory("client_cut"),
    "web_mute": _of_the_laboratory("client_mute"),
    "kill_worker": _of_the_laboratory("kill_worker"),
    "stop_worker": _of_the_laboratory("stop_worker"),
    "postgres_cut": _of_the_laboratory("postgres_cut"),
    "terminate_backends": _of_the_laboratory("terminate_backends"),
    "restart_postgres": _of_the_laboratory("restart_postgres"),
}
AIMED = frozenset({"kill_worker", "stop_worker", "postgres_cut"})
"""They affect the worker that listens to the PBX: another one has to take over."""
LASTS_S = {
    "pbx_cut": (0.5, 3.0), "pbx_half_open": (1.0, 4.0), "pbx_stall": (1.0, 2.5),
    "pbx_restart": (0.5, 3.0), "flood": (2.0, 4.0), "web_cut": (0.5, 2.0), "web_mute": (0.5, 2.0),
    "kill_worker": (0.5, 2.0), "stop_worker": (2.0, 7.0), "postgres_cut": (1.0, 3.0),
    "terminate_backends": (0.2, 0.5), "restart_postgres": (0.5, 2.0),
}  # fmt: skip


def choose(seed: int, kinds: set[str]) -> Iterator[tuple[str, float]]:
    """Choose faults without end; each kind has its turn before any comes again."""
    dice = random.Random(seed)
    while True:
        for kind in dice.sample(sorted(kinds), len(kinds)):
            yield kind, round(dice.uniform(*LASTS_S[kind]), 1)
