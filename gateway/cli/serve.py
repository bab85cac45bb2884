"""`gateway serve`: workers on one port, with an existing database and Redis."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import typer

from gateway.cli.listen import listen, worker_ports
from gateway.cli.supervisor import Supervisor, make_workers
from gateway.db import MigrationError, migrate
from gateway.ops import logs
from gateway.settings import Settings


def run(
    *,
    workers: int | None,
    host: str | None,
    port: int | None,
    role: str | None,
    migrate_first: bool,
) -> None:
    """Serve until a signal."""
    given: dict[str, Any] = {"workers": workers, "host": host, "port": port, "roles": role}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    logs.configure(level=settings.log_level, json=settings.log_format == "json")
    if settings.demo:
        typer.echo(
            "GATEWAY_DEMO lets anyone sign in as any employee: only `gateway dev` may set it.",
            err=True,
        )
        raise typer.Exit(2)
    missing = [
        name
        for name, value in (
            ("GATEWAY_DATABASE_URL", settings.database_url),
            ("GATEWAY_REDIS_URL", settings.redis_url),
            ("GATEWAY_TOKEN_SECRET", settings.token_secret),
        )
        if not value
    ]
    if missing:
        typer.echo(
            f"Set {', '.join(missing)}, or run `gateway dev`, which needs no settings.", err=True
        )
        raise typer.Exit(2)
    assert settings.database_url is not None
    if migrate_first:
        try:
            asyncio.run(migrate(settings.database_url))
        except MigrationError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None
    answers = settings.takes("sockets", "ingest")
    shared = _listen(settings.host, settings.port) if answers else None
    own = [_listen(settings.worker_host, port) for port in worker_ports(settings)]
    supervisor = Supervisor(
        make_workers(
            settings.workers,
            shared=shared,
            own=own,
            node=settings.node,
            environment={"GATEWAY_ROLES": ",".join(settings.roles)},
        ),
        stop_s=settings.drain_s + 5,
        hang_s=settings.hang_s,
    )
    supervisor.start()
    supervisor.run()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        typer.echo(f"Cannot listen on {host}:{port}: {error.strerror}.", err=True)
        raise typer.Exit(1) from None
