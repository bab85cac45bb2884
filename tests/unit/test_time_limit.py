"""A test that hangs is ended, one that is over is not."""

from __future__ import annotations

import queue
from typing import Any

import pytest_timeout

from tests.support.time_limit import TimeLimit

NEVER = pytest_timeout.Settings(3_600.0, "thread", False, False)
AT_ONCE = NEVER._replace(timeout=0.0)


def test_whichever_test_hangs_is_ended_once() -> None:
    """Neither one that has time left, nor one that is over, nor the same one again."""
    ended: queue.Queue[Any] = queue.Queue()
    limit = TimeLimit(lambda item, settings: ended.put((item, settings)), looks_s=0.001)
    patient, over, first, second = (object() for _ in range(4))

    limit.pytest_timeout_set_timer(patient, NEVER)
    assert limit.pytest_timeout_cancel_timer()
    limit.pytest_timeout_set_timer(over, NEVER)
    limit.pytest_timeout_cancel_timer()
    limit.pytest_timeout_set_timer(first, AT_ONCE)
    assert ended.get(timeout=60) == (first, AT_ONCE)
    limit.pytest_timeout_set_timer(second, AT_ONCE)
    assert ended.get(timeout=60) == (second, AT_ONCE)

    assert ended.empty()


def test_a_signal_is_left_to_the_plugin() -> None:
    """Only threads are what one thread can stand for."""
    limit = TimeLimit()

    assert limit.pytest_timeout_set_timer(object(), NEVER._replace(method="signal")) is None
    assert limit.pytest_timeout_cancel_timer() is None
