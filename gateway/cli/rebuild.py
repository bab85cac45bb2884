"""`gateway replay --rebuild`: builds the rows of calls again from the stored events.

ingest.rebuild ─▶ here ─▶ a progress bar; cached statistics of the days of corrected calls go.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import asyncpg
import typer

from gateway import __version__, db
from gateway.bus import RedisConfig
from gateway.cli.progress import ProgressDisplay
from gateway.cli.state import require_running
from gateway.settings import Settings
from gateway.telephony.stats.stats_cache import RedisStatsCache, late_days
from ingest import IngestSettings, RebuildProgress, rebuild

CONNECTIONS = 1

STAGES = {"calls": "calls", "missing": "calls with events", "agents": "telephones"}


@dataclass(slots=True)
class _Interruption:
    """Which signal has stopped the rebuild."""

    signal: int | None = None
    progress: RebuildProgress = field(default_factory=RebuildProgress)


def run(*, since: str | None, until: str | None, source: str | None, restart: bool = False) -> None:
    """Rebuild and print the progress; each step that was printed is committed."""
    moments = _moment("--since", since), _moment("--until", until)
    settings = _settings()
    stopped = _Interruption()
    try:
        asyncio.run(_rebuild(settings, *moments, source, stopped, restart=restart))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        typer.echo(
            f"Not rebuilt to the end: {error}\nThe same command goes on after the last step.",
            err=True,
        )
        raise typer.Exit(1) from None
    except asyncio.CancelledError:
        if stopped.signal is None:
            raise
        typer.echo(
            f"Interrupted. {_counts(stopped.progress)}\nThe same command goes on there.", err=True
        )
        raise typer.Exit(128 + stopped.signal) from None
    done = stopped.progress
    if not done.finished:
        typer.echo("Another process has ended this rebuild, or begun it anew. Until then:")
    typer.echo(
        f"{_counts(done)}\n{done.restored} of them had no row and were restored; "
        f"{done.telephones} telephones had wrong logins or pauses, corrected."
    )


def _counts(done: RebuildProgress) -> str:
    return (
        f"{done.examined} calls examined, {done.changed} changed, "
        f"{done.skipped} skipped, because some of their events were deleted."
    )


def _moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not 1900 < moment.year < 9999:
        typer.echo(f"{option}: a time with its UTC offset, such as 2026-11-01T00:00Z.", err=True)
        raise typer.Exit(2)
    return moment


def _settings() -> Settings:
    """Return settings with the servers of the environment, else of the running `gateway dev`.

    Without Redis nothing is dropped from the cache of statistics; it expires by itself.
    """
    settings = Settings()
    if settings.database_url:
        return settings
    running = require_running(settings.state_dir, "database", unset="GATEWAY_DATABASE_URL is")
    return settings.model_copy(
        update={"database_url": running["database_url"], "redis_url": running["redis_url"]}
    )


async def _rebuild(
    settings: Settings,
    since: datetime | None,
    until: datetime | None,
    source: str | None,
    stopped: _Interruption,
    *,
    restart: bool,
) -> None:
    _cancel_on_signals(stopped)
    assert settings.database_url is not None
    most = IngestSettings().max_call_events
    display = ProgressDisplay(sys.stdout, time.monotonic)
    try:
        async with (
            await db.open_pool(
                settings.database_url, application_name="gateway rebuild", max_size=CONNECTIONS
            ) as pool,
            _stats_cache(settings) as cache,
            aclosing(
                rebuild(
                    pool, since=since, until=until, source=source, max_call_events=most,
                    rules=__version__, anew=restart,
                )
            ) as steps,
        ):  # fmt: skip
            first = True
            async for done in steps:
                stopped.progress = done
                if first and done.resumed_from:
                    began = done.resumed_from.astimezone(UTC)
                    typer.echo(f"Going on with the rebuild of {began:%Y-%m-%d %H:%M} UTC.")
                first = False
                if not done.finished:
                    total = done.total if done.stage == "calls" else 0
                    display.show(STAGES[done.stage], done.done, total, f"{done.changed:,} changed")
                await _drop_statistics(cache, done.corrected)
    finally:
        display.end()


def _cancel_on_signals(stopped: _Interruption) -> None:
    """Cancel this task at SIGINT and SIGTERM: its transaction is rolled back, the rest is kept."""
    task = asyncio.current_task()
    assert task is not None

    def stop(number: int) -> None:
        stopped.signal = number
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, partial(stop, number))


@asynccontextmanager
async def _stats_cache(settings: Settings) -> AsyncIterator[RedisStatsCache | None]:
    if settings.redis_url is None:
        yield None
        return
    redis = RedisConfig.of(settings).key_client()
    try:
        yield RedisStatsCache(redis)
    finally:
        await redis.aclose()


async def _drop_statistics(cache: RedisStatsCache | None, corrected: Iterable[datetime]) -> None:
    if cache is not None:
        await cache.invalidate_days(late_days(corrected, datetime.now(UTC)))
