"""What commands that only need the database share: a connection, and a table of what they found.

cli.jobs, cli.service ─▶ here ─▶ GATEWAY_DATABASE_URL, or the database of a running `gateway dev`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn, TypeVar

import asyncpg
import typer

from gateway import db
from gateway.cli.state import require_running
from gateway.db import Conn
from gateway.settings import Settings

T = TypeVar("T")


def run(work: Callable[[Conn], Awaitable[T]], *, name: str) -> T:
    """Return what work does with a connection; exit with 1 when the database refuses."""
    settings = Settings()
    url = settings.database_url
    if not url:
        unset = "GATEWAY_DATABASE_URL is"
        url = str(require_running(settings.state_dir, "database", unset=unset)["database_url"])
    try:
        return asyncio.run(_with_connection(url, work, name))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        refuse(1, f"The database refused: {error}")


def refuse(status: int, why: str) -> NoReturn:
    """Say why a command does nothing, and exit with this status."""
    typer.echo(why, err=True)
    raise typer.Exit(status)


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print columns as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


async def _with_connection(url: str, work: Callable[[Conn], Awaitable[T]], name: str) -> T:
    conn = await db.connect(url, application_name=name)
    try:
        return await work(conn)
    finally:
        await conn.close()
