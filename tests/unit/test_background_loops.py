"""A loop in the background outlives every error, also one that nobody thought of."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import gateway.app
from gateway.context import Services
from gateway.crm import ContractWatch
from gateway.events.relay import Relay
from gateway.files import Files, Limits
from gateway.jobs import Queue, Upkeep, Worker
from gateway.people import words
from gateway.telephony.agents import on_call
from gateway.telephony.callbacks import missed

EVERY_S = 0.001
TIMES = 3

LOOPS: dict[str, Callable[[Services], Coroutine[Any, Any, None]]] = {
    "on_call": lambda services: on_call.run(services, every_s=EVERY_S),
    "callbacks.news": missed.follow,
    "callbacks": lambda services: missed.run(services, every_s=EVERY_S),
    "jobs.upkeep": lambda services: upkeep_of(services).run(every_s=EVERY_S),
    "employee_words": words.follow,
    "events.relay": lambda services: relay_of(services).run(),
    "events.backlog": lambda services: relay_of(services).watch(every_s=EVERY_S),
    "contract": lambda services: watch_of(services).run(every_s=EVERY_S),
}


def upkeep_of(services: Services) -> Upkeep:
    worker = Worker(services.connection, services.doorbell, kinds=[], queues=[Queue("any", 1.0)])
    return Upkeep(services.connection, worker)


def relay_of(services: Services) -> Relay:
    return Relay(services.connection, services.publish, poll_s=EVERY_S)


class Lender:
    """Lends connections of a pool with `async with`, as asyncpg's own pool does."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        yield await self._pool.acquire()


def watch_of(services: Services) -> ContractWatch:
    return ContractWatch(Lender(services.pool), services.crm_views)  # type: ignore[arg-type]


class BrokenPool:
    """Fails in a way that is neither an outage nor an error of ours."""

    def __init__(self) -> None:
        self.services = Services(self, list, None, None, files=Files(object(), Limits()))  # type: ignore[arg-type]
        self.asked = 0
        self.asked_often = asyncio.Event()

    async def acquire(self, **_options: float) -> None:
        self.services.callback_news.set()
        self.services.unkept_words.set()
        self.asked += 1
        if self.asked == TIMES:
            self.asked_often.set()
        raise ValueError("nobody expects this")


@pytest.mark.parametrize("name", LOOPS)
async def test_a_loop_outlives_any_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks the database again and again, although every attempt fails."""
    monkeypatch.setattr(missed, "RETRY_AFTER_FAILURE_S", EVERY_S)
    monkeypatch.setattr(words, "RETRY_AFTER_FAILURE_S", EVERY_S)
    broken = BrokenPool()
    broken.services.callback_news.set()
    broken.services.unkept_words.set()

    loop = asyncio.create_task(LOOPS[name](broken.services))
    often = asyncio.create_task(broken.asked_often.wait())
    async with asyncio.timeout(10):
        await asyncio.wait({loop, often}, return_when=asyncio.FIRST_COMPLETED)

    assert not loop.done()
    assert broken.asked >= TIMES
    loop.cancel()
    await asyncio.wait({loop})


def test_every_loop_of_a_worker_is_tried() -> None:
    """Those that gateway/app.py starts, by their names."""
    source = Path(gateway.app.__file__).read_text(encoding="utf-8")
    started = set(re.findall(r'node\.spawn\([^\n]*name="([\w.]+)"', source))

    assert len(started) > 3
    assert started <= LOOPS.keys()
