"""`gateway migrate`: bring the schema up to date, or list what is missing."""

from __future__ import annotations

import asyncio

import typer

from gateway import db, demo
from gateway.cli.state import require_running
from gateway.crm import check as check_contract
from gateway.settings import Settings

ALL_ROWS = 2**62
READ_S = 60.0
"""For all rows of a view; a node looks at fewer."""


def run(*, demo: bool, check: bool) -> None:
    """Apply missing migrations, or only list them; exit with the command's status."""
    dsn = _database(check=check)
    try:
        code = asyncio.run(_run(dsn, with_demo=demo, check=check))
    except (db.MigrationError, OSError) as error:
        typer.echo(f"Not migrated: {error}", err=True)
        raise typer.Exit(1) from None
    raise typer.Exit(code)


def _database(*, check: bool) -> str:
    """Return the database of the environment; with check, else that of a running `gateway dev`.

    Not without check: an operator who forgot the variable must not believe that the production
    database was migrated.
    """
    settings = Settings()
    if settings.database_url:
        return settings.database_url
    if not check:
        typer.echo("Set GATEWAY_DATABASE_URL.", err=True)
        raise typer.Exit(2)
    running = require_running(settings.state_dir, "database", unset="GATEWAY_DATABASE_URL is")
    typer.echo("The database of the running `gateway dev`:", err=True)
    return str(running["database_url"])


async def _run(dsn: str, *, with_demo: bool, check: bool) -> int:
    conn = await db.connect(dsn, application_name="gateway migrate")
    try:
        if check:
            missing = await db.pending(conn)
            faults, _ = await check_contract(conn, rows=ALL_ROWS, statement_s=READ_S)
            wrong = [f"{one.view.full_name} {one.text}" for one in faults.values()]
            typer.echo("\n".join([*missing, *wrong]) or "Up to date.")
            return 1 if missing or wrong else 0
        applied = await db.migrate(conn)
        typer.echo("\n".join(f"applied {name}" for name in applied) or "Up to date.")
        if with_demo and not await demo.install(conn):
            typer.echo("The database has a schema crm already: the demo CRM was not installed.")
        return 0
    finally:
        await conn.close()
