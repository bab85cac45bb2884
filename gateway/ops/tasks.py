"""Named background tasks with an owner, which cancels them when it ends and logs their failures."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import structlog

log = structlog.get_logger(__name__)

AGAIN_S = 0.2


class Tasks:
    """Tasks of one owner; leaving the context cancels those still running."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Tasks:
        return self

    async def __aexit__(self, *exc: object) -> None:
        while self._running:
            # Again and again: on Python 3.11 redis-py's wait_for may swallow a cancellation
            # (https://github.com/python/cpython/issues/86296).
            for task in self._running:
                task.cancel()
            await asyncio.wait(self._running, timeout=AGAIN_S)

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str) -> None:
        """Run work; an exception is logged once, with its trace."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)

    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        """Iterate over the running tasks."""
        return iter(tuple(self._running))

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task.failed", task=task.get_name(), exc_info=error)
