"""Processes that want a processor all the time, so that everything else gets less of it.

laboratory ─▶ busy_loops ─▶ `python -c "while True: pass"`. They end with the run.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def busy_loops(count: int) -> AsyncIterator[None]:
    """Let this many run."""
    command = sys.executable, "-c", "while True: pass"
    # Sessions of their own: Linux may schedule by session, and they are to be like strangers.
    running = [
        await asyncio.create_subprocess_exec(*command, start_new_session=True) for _ in range(count)
    ]
    try:
        yield
    finally:
        for one in running:
            one.kill()
        await asyncio.gather(*(one.wait() for one in running))
