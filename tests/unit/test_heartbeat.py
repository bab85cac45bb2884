"""The timing wheel: one timer for every deadline."""

from __future__ import annotations

import asyncio

from gateway.sockets.session.timing_wheel import TimingWheel
from tests.support.desk import eventually


class Alarm:
    """Notes when it was asked, and asks again as often as told."""

    def __init__(self, every_s: float | None = None, times: int = 1) -> None:
        self.rang: list[float] = []
        self._every_s = every_s
        self._times = times

    def due(self, now: float) -> float | None:
        self.rang.append(now)
        if self._every_s is None or len(self.rang) >= self._times:
            return None
        return now + self._every_s


async def test_nobody_is_asked_early_and_everybody_soon() -> None:
    """Deadlines within the first round, beyond it, and in the past."""
    wheel = TimingWheel(tick_s=0.01, slots=8)
    wheel.start()
    now = asyncio.get_running_loop().time()
    alarms = {wait: Alarm() for wait in (-1.0, 0.0, 0.03, 0.079, 0.081, 0.3)}
    for wait, alarm in alarms.items():
        wheel.add(now + wait, alarm)

    await eventually(lambda: all(alarm.rang for alarm in alarms.values()))
    wheel.stop()

    for wait, alarm in alarms.items():
        assert len(alarm.rang) == 1
        assert alarm.rang[0] >= now + wait


async def test_an_entry_may_name_its_next_deadline() -> None:
    """It comes again until it says no more."""
    wheel = TimingWheel(tick_s=0.01, slots=4)
    wheel.start()
    alarm = Alarm(every_s=0.05, times=3)
    wheel.add(asyncio.get_running_loop().time(), alarm)

    await eventually(lambda: len(alarm.rang) == 3)
    wheel.stop()

    assert alarm.rang[1] - alarm.rang[0] >= 0.05
    assert alarm.rang[2] - alarm.rang[1] >= 0.05


async def test_an_entry_that_fails_harms_no_other() -> None:
    """An exception in one deadline does not stop the hand."""

    class Broken:
        def due(self, now: float) -> float | None:
            raise RuntimeError(now)

    wheel = TimingWheel(tick_s=0.01, slots=4)
    wheel.start()
    now = asyncio.get_running_loop().time()
    alarm = Alarm()
    wheel.add(now, Broken())
    wheel.add(now, alarm)

    await eventually(lambda: alarm.rang)
    wheel.stop()


async def test_a_deadline_that_has_passed_waits_for_no_whole_round() -> None:
    """A round of the wheel takes a minute; what is late already comes with the next tick."""
    wheel = TimingWheel(tick_s=0.01, slots=100_000)
    wheel.start()
    now = asyncio.get_running_loop().time()
    first, late = Alarm(), Alarm()
    wheel.add(now + 0.05, first)
    await eventually(lambda: first.rang)

    wheel.add(now, late)
    await eventually(lambda: late.rang)
    wheel.stop()

    assert len(late.rang) == 1
