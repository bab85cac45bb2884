"""A timeout that a stalled event loop does not use up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

TURNS = 20
"""Parts of the time; a stall uses up one of them."""


@dataclass(slots=True)
class TimeSpent:
    """How much of a timeout has been used up, at most: parts that have begun count as a whole."""

    seconds: float = 0.0


@asynccontextmanager
async def stall_safe_timeout(seconds: float, spent: TimeSpent | None = None) -> AsyncIterator[None]:
    """Raise TimeoutError when the body takes longer than `seconds`.

    After a stall of the event loop (a long computation, a process that gets no processor, a paused
    machine) its timers and the replies that arrived meanwhile are due at the same time, and a plain
    timeout would fire although the reply is there. So the time runs in TURNS parts, and the loop
    reads its sockets between them: one stall, however long, uses up one part.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as bound:
        timer: asyncio.TimerHandle

        def turn(left: int) -> None:
            nonlocal timer
            if spent is not None:
                spent.seconds = seconds * (TURNS - left + 1) / TURNS
            if left:
                timer = loop.call_later(seconds / TURNS, turn, left - 1)
            else:
                bound.reschedule(loop.time())

        turn(TURNS)
        try:
            yield
        finally:
            timer.cancel()
