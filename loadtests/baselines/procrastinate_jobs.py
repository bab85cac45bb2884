"""procrastinate with its own defaults: what a team would take instead of gateway/jobs."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

MISSING = "the package procrastinate is not installed: uv sync --group load"


def is_installed() -> bool:
    """Say whether it can run here."""
    return importlib.util.find_spec("procrastinate") is not None


class ProcrastinateJobs:
    """Its tables in a database, and a task that does nothing."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.ran = 0

        @app.task(name="bench")  # type: ignore[untyped-decorator]
        async def task(number: int) -> None:  # noqa: ARG001 - as a job has something to name
            self.ran += 1

        self._task = task

    async def order(self, jobs: int) -> None:
        """Order so many."""
        await self._task.batch_defer_async(*({"number": number} for number in range(jobs)))

    async def drain(self, *, at_once: int) -> float:
        """Run all that wait; return the seconds it took."""
        began = time.perf_counter()
        await self._app.run_worker_async(
            concurrency=at_once, wait=False, listen_notify=False, install_signal_handlers=False
        )
        return time.perf_counter() - began


@asynccontextmanager
async def open_procrastinate(dsn: str, *, connections: int) -> AsyncIterator[ProcrastinateJobs]:
    """Make its tables, and connect."""
    from procrastinate import App, PsycopgConnector  # noqa: PLC0415 - it may be missing

    app = App(connector=PsycopgConnector(conninfo=dsn, min_size=1, max_size=connections))
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        yield ProcrastinateJobs(app)
