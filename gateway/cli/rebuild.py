"""`gateway replay --rebuild`: builds the rows of calls again from the stored events."""

from __future__ import annotations

import asyncio
from datetime import datetime

import asyncpg
import typer

from gateway import db
from gateway.cli.state import find_running
from gateway.settings import Settings
from ingest import IngestSettings, RebuildProgress, rebuild

CONNECTIONS = 1


def run(*, since: str | None, until: str | None, source: str | None) -> None:
    """Rebuild and print the progress; each step that was printed is committed."""
    moments = _moment("--since", since), _moment("--until", until)
    dsn = _database()
    try:
        done = asyncio.run(_rebuild(dsn, *moments, source))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        typer.echo(f"Not rebuilt: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(
        f"{done.examined} calls examined, {done.changed} changed, "
        f"{done.skipped} skipped, because some of their events were deleted.\n"
        f"{done.restored} of them had no row and were restored; "
        f"{done.telephones} telephones had wrong logins or pauses, corrected."
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


def _database() -> str:
    """Return the database of the environment, else that of the running `gateway dev`."""
    settings = Settings()
    if settings.database_url:
        return settings.database_url
    running = find_running(settings.state_dir)
    if running is None:
        typer.echo("Set GATEWAY_DATABASE_URL, or start `gateway dev`.", err=True)
        raise typer.Exit(2)
    return str(running["database_url"])


async def _rebuild(
    dsn: str, since: datetime | None, until: datetime | None, source: str | None
) -> RebuildProgress:
    done = printed = RebuildProgress()
    most = IngestSettings().max_call_events
    async with await db.open_pool(
        dsn, application_name="gateway rebuild", max_size=CONNECTIONS
    ) as pool:
        async for done in rebuild(
            pool, since=since, until=until, source=source, max_call_events=most
        ):
            if done != printed:
                in_order = done.down_to != printed.down_to
                where = f"down to {done.down_to}" if in_order else "from events"
                typer.echo(f"{where}: {done.examined} examined, {done.changed} changed")
            printed = done
    return done
