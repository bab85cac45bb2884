"""How long single callbacks hold the event loop: `with callback_times() as times: …`.

Counts the CPU time of the loop's thread (time.thread_time) for each callback, each step of a task
and each call of a protocol written in Python, so that a busy machine makes no difference. Protocols
written in C (asyncpg's) are not seen; what they wake is.

    with callback_times() as times:
        await oksana.request(MessageSearch(text="word"))
    print(times.report())
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KEPT = 1_000
"""Callbacks that are remembered: the longest ones."""
CLIENT_SIDE = ("tests/", "loadtests/", "gateway/client/")
"""Whose callbacks are a test's own, or measure: they run in the same loop as the nodes."""
PROTOCOL_METHODS = (
    "connection_made", "connection_lost", "data_received", "buffer_updated", "eof_received",
    "pause_writing", "resume_writing",
)  # fmt: skip
TIMERS = ("call_later", "call_at")


@dataclass(frozen=True, slots=True)
class CallbackTime:
    """One callback's time."""

    cpu_ms: float
    path: str
    """Where its code is, from the root of the tree; empty for a callback that is not Python."""
    name: str


@dataclass
class CallbackTimes:
    """The longest callbacks of a measurement, and how many there were."""

    count: int = 0
    _longest: list[CallbackTime] = field(default_factory=list)
    _floor_ns: int = 0
    """Callbacks that took less are counted only: enough took longer."""

    def longest(self, *, besides: tuple[str, ...] = CLIENT_SIDE) -> CallbackTime:
        """Return the callback that took most, of those whose path begins with none of these."""
        return max(
            (one for one in self._longest if not one.path.startswith(besides)),
            key=lambda one: one.cpu_ms,
            default=CallbackTime(0.0, "", ""),
        )

    def report(self) -> str:
        """Return a line for each of the ten longest callbacks."""
        first = sorted(self._longest, key=lambda one: -one.cpu_ms)[:10]
        return "\n".join(f"{one.cpu_ms:8.2f} ms  {one.path} {one.name}" for one in first)

    def add(self, callback: Callable[..., Any], cpu_ns: int) -> None:
        self.count += 1
        if cpu_ns < self._floor_ns:
            return
        self._longest.append(CallbackTime(cpu_ns / 1e6, *_place_of(callback)))
        if len(self._longest) >= 2 * KEPT:
            self._longest.sort(key=lambda one: -one.cpu_ms)
            del self._longest[KEPT:]
            self._floor_ns = round(self._longest[-1].cpu_ms * 1e6)

    def take(self) -> list[CallbackTime]:
        """Return the ten longest callbacks since the last time, the longest first."""
        taken, self._longest, self._floor_ns, self.count = self._longest, [], 0, 0
        return sorted(taken, key=lambda one: -one.cpu_ms)[:10]


@contextlib.contextmanager
def callback_times() -> Iterator[CallbackTimes]:
    """Measure what the running loop runs until the end of the block.

    Connections made before are measured in their tasks only, because a loop keeps the methods of a
    protocol. The garbage that is there already is left out of collections meanwhile.
    """
    times = CallbackTimes()
    gc.collect()
    gc.freeze()
    with contextlib.ExitStack() as stack:
        stack.callback(gc.unfreeze)
        measure(asyncio.get_running_loop(), times, stack)
        yield times


def measure(loop: Any, times: CallbackTimes, stack: contextlib.ExitStack) -> None:
    """Measure what this loop runs until the stack ends."""
    for name in ("call_soon", "call_soon_threadsafe"):
        _replace(stack, loop, name, _scheduling(getattr(loop, name), times, 0))
    for name in TIMERS:
        _replace(stack, loop, name, _scheduling(getattr(loop, name), times, 1))
    for protocol in _protocols(asyncio.BaseProtocol):
        for name in PROTOCOL_METHODS:
            if name in vars(protocol):
                _replace(stack, protocol, name, _timed(vars(protocol)[name], times))


def _replace(stack: contextlib.ExitStack, owner: Any, name: str, value: Any) -> None:
    """Set an attribute until the stack ends, then restore what was there."""
    if name in vars(owner):
        stack.callback(setattr, owner, name, vars(owner)[name])
    else:
        stack.callback(delattr, owner, name)
    setattr(owner, name, value)


def _scheduling(schedule: Callable[..., Any], times: CallbackTimes, place: int) -> Any:
    """Wrap a method of the loop whose argument at `place` is a callback."""

    def scheduled(*arguments: Any, **options: Any) -> Any:
        given = list(arguments)
        given[place] = _timed(given[place], times)
        return schedule(*given, **options)

    return scheduled


def _timed(callback: Callable[..., Any], times: CallbackTimes) -> Callable[..., Any]:
    if getattr(callback, "is_timed", False):  # uvloop's call_at calls call_later
        return callback

    def run(*arguments: Any) -> Any:
        began = time.thread_time_ns()
        try:
            return callback(*arguments)
        finally:
            times.add(callback, time.thread_time_ns() - began)

    run.is_timed = True  # type: ignore[attr-defined]
    return run


def _protocols(base: type[Any]) -> Iterator[type[Any]]:
    """Return all protocol classes that are written in Python."""
    subclasses: list[type[Any]] = base.__subclasses__()
    for cls in subclasses:
        yield from _protocols(cls)
        if cls.__module__.split(".")[0] not in ("asyncio", "asyncpg", "uvloop"):
            yield cls


def _place_of(callback: Any) -> tuple[str, str]:
    """Return where a callback's code is, and its name; of a step, those of its task."""
    while isinstance(callback, functools.partial):
        callback = callback.func
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        callback = owner.get_coro()
    code = getattr(callback, "__code__", None) or getattr(callback, "cr_code", None)
    name = getattr(callback, "__qualname__", type(callback).__name__)
    if code is None:
        return "", name
    return _from_root(code.co_filename), name


@functools.cache
def _from_root(name: str) -> str:
    path = Path(name)
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
