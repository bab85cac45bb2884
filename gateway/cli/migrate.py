"""`gateway migrate`: bring the schema up to date, or say that it is not."""

from __future__ import annotations

import asyncio

import typer

from gateway import db, demo
from gateway.settings import Settings


def run(*, demo: bool, check: bool) -> None:
    """Apply what is missing, or only say so."""
    settings = Settings()
    if not settings.database_url:
        typer.echo("Set GATEWAY_DATABASE_URL.", err=True)
        raise typer.Exit(2)
    try:
        code = asyncio.run(_run(settings.database_url, with_demo=demo, check=check))
    except (db.MigrationError, OSError) as error:
        typer.echo(f"Not migrated: {error}", err=True)
        raise typer.Exit(1) from None
    raise typer.Exit(code)


async def _run(dsn: str, *, with_demo: bool, check: bool) -> int:
    conn = await db.connect(dsn, application_name="gateway migrate")
    try:
        if check:
            missing = await db.pending(conn)
            typer.echo("\n".join(missing) or "Up to date.")
            return 1 if missing else 0
        applied = await db.migrate(conn)
        typer.echo("\n".join(f"applied {name}" for name in applied) or "Up to date.")
        if with_demo and not await demo.install(conn):
            typer.echo("There is a schema crm already: the demo CRM was not installed.")
        return 0
    finally:
        await conn.close()
