"""Who is turned away while the database is slow, and when they may come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway.limits import LoadShedder
from gateway.limits.load_shedding import CALM_S, SHED_AT
from gateway.ops.histogram import Histogram
from gateway.ops.loop_lag import LoopLag
from tests.support.desk import eventually


class Clock:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pressure(clock: Clock) -> LoadShedder:
    return LoadShedder(2, now=clock)


@pytest.fixture
def waiting(pressure: LoadShedder) -> Iterator[ExitStack]:
    """Give somebody who waits for a connection until this is closed."""
    with ExitStack() as stack:
        stack.enter_context(pressure.wait())
        yield stack


def let_in(pressure: LoadShedder) -> set[str]:
    return {cost for cost in (*SHED_AT, "session") if not pressure.retry_after_s(cost)}


def test_nobody_is_turned_away_while_connections_come_back(
    pressure: LoadShedder, clock: Clock
) -> None:
    """However many commands there are."""
    for _ in range(1_000):
        with pressure.wait():
            clock.now += 0.01
        with pressure.use():
            clock.now += 0.1

    assert let_in(pressure) == {"passing", "read", "write", "session"}


@pytest.mark.usefixtures("waiting")
def test_the_longer_somebody_waits_the_more_is_refused(pressure: LoadShedder, clock: Clock) -> None:
    """Typing and presence first, then reads, then writes; never what keeps a connection."""
    found = []
    for _ in range(5):
        found.append(let_in(pressure))
        clock.now += 0.26

    assert found == [
        {"passing", "read", "write", "session"},
        {"read", "write", "session"},
        {"write", "session"},
        {"write", "session"},
        {"session"},
    ]


def test_they_come_back_one_after_the_other(
    pressure: LoadShedder, clock: Clock, waiting: ExitStack
) -> None:
    """A second of calm for each: a database that has just recovered is not stormed."""
    clock.now += 1.5
    assert let_in(pressure) == {"session"}
    waiting.close()

    found = []
    for _ in range(4):
        found.append(let_in(pressure))
        clock.now += CALM_S

    assert [len(each) for each in found] == [1, 2, 3, 4]
    assert found[1] == {"write", "session"}


def test_a_level_does_not_flap(pressure: LoadShedder, clock: Clock) -> None:
    """Waits just below what brought it about keep it; only short ones end it."""
    with pressure.wait():
        clock.now += 0.3
        assert not pressure.retry_after_s("write")
        assert pressure.retry_after_s("passing")
    for _ in range(20):
        with pressure.wait():
            clock.now += 0.2
            assert pressure.retry_after_s("passing")

    clock.now += CALM_S

    assert not pressure.retry_after_s("passing")


def test_a_pool_that_gives_nothing_back_is_noticed_without_anybody_waiting(
    pressure: LoadShedder, clock: Clock
) -> None:
    """Whoever came would wait; who comes is told so at once."""
    with pressure.use(), pressure.use():
        clock.now += 1.0
        assert let_in(pressure) == {"session"}


def test_one_slow_statement_beside_a_free_connection_refuses_nobody(
    pressure: LoadShedder, clock: Clock
) -> None:
    """A report that takes seconds is nobody's trouble while others are served."""
    with pressure.use():
        clock.now += 4.0
        assert not pressure.retry_after_s("passing")


def test_a_connection_may_take_its_time_to_open(clock: Clock) -> None:
    """While the pool can grow, a wait is no queue; but one that leads nowhere counts after all."""
    pressure = LoadShedder(2, full=lambda: False, now=clock)
    with pressure.wait():
        clock.now += 1.0
        assert let_in(pressure) == {"passing", "read", "write", "session"}
        clock.now += 0.6
        assert let_in(pressure) == {"write", "session"}


def test_what_waits_elsewhere_counts_too(pressure: LoadShedder) -> None:
    """Messages wait for a statement before that waits for a connection."""
    pressure.add_sources(lambda: 0.6)

    assert let_in(pressure) == {"write", "session"}


def test_what_is_refused_is_counted_and_told_when_to_come_back(
    pressure: LoadShedder, clock: Clock
) -> None:
    """At different times, so that not all come at once."""
    with pressure.wait():
        clock.now += 2.0
        waits = {pressure.retry_after_s("write") for _ in range(20)}

    assert all(1.0 <= wait <= 3.0 for wait in waits)
    assert len(waits) > 10
    assert pressure.shed == {"write": 20}


async def test_a_loop_that_stood_still_is_not_the_databases_fault() -> None:
    """Whoever waited meanwhile could not be answered, and nobody is refused for it; a wait in which
    the loop went round counts.
    """
    lag = LoopLag(Histogram())
    lag.start()
    pressure = LoadShedder(2, now=lag.lived_s)
    with pressure.wait():
        time.sleep(0.6)  # noqa: ASYNC251 - this is the stall
        assert let_in(pressure) == {"passing", "read", "write", "session"}
        await asyncio.sleep(0)
        assert let_in(pressure) == {"passing", "read", "write", "session"}

        await eventually(lambda: let_in(pressure) == {"write", "session"})
    lag.stop()
