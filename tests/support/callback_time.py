"""How long single callbacks hold the event loop: loadtests/callback_time.py, for tests."""

from __future__ import annotations

from loadtests.callback_time import CallbackTime, CallbackTimes, callback_times

HELD_MS = 100.0
"""A callback that takes longer works through all of its input at once. What is meant is 20 ms on a
quiet machine; a processor that two threads share counts double."""

__all__ = ["HELD_MS", "CallbackTime", "CallbackTimes", "callback_times"]
