"""`gateway dev`: everything in one command, to try the gateway and to develop clients."""

from __future__ import annotations

import asyncio
import errno
import shlex
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import typer

from gateway import db, demo
from gateway.auth import make_tokens
from gateway.cli.listen import listen, port_of
from gateway.cli.state import keep_secret, running
from gateway.cli.supervisor import Supervisor, make_workers
from gateway.demo.queries import people
from gateway.embedded import EmbeddedError, start_postgres, start_valkey
from gateway.ops import logs
from gateway.settings import Settings

START_S = 120.0
WORKERS = 2  # so that a message crosses from one process to another


def run(*, host: str | None, port: int | None, workers: int | None) -> None:
    """Start servers, database, demo and workers; print the links; stop everything on Ctrl-C."""
    settings = _settings(host=host, port=port, workers=workers)
    logs.configure(level=settings.log_level, json=False)
    began = time.monotonic()
    with ExitStack() as stack:
        try:
            environment = _servers(stack, settings)
            _prepare_database(environment["GATEWAY_DATABASE_URL"])
        except (EmbeddedError, db.MigrationError, OSError) as error:
            typer.echo(f"Cannot start: {error}", err=True)
            raise typer.Exit(1) from None
        shared, own = _sockets(settings.host, settings.port, settings.workers)
        for listener in (shared, *own):
            stack.callback(listener.close)
        supervisor = Supervisor(
            make_workers(
                settings.workers, shared=shared, own=own, node="dev", environment={
                    **environment,
                    "GATEWAY_DEMO": "true",
                    "GATEWAY_DRAIN_S": "3",
                    "GATEWAY_LOG_LEVEL": settings.log_level,
                },
            ),
            stop_s=6.0,
            hang_s=settings.hang_s,
        )  # fmt: skip
        stack.callback(supervisor.stop)
        stack.enter_context(
            running(
                settings.state_dir,
                database_url=environment["GATEWAY_DATABASE_URL"],
                redis_url=environment["GATEWAY_REDIS_URL"],
                port=port_of(shared),
                worker_ports=[port_of(listener) for listener in own],
            )
        )
        supervisor.start()
        if not _wait_ready(settings.host, [port_of(listener) for listener in own]):
            typer.echo("The workers did not become ready. Their messages are above.", err=True)
            raise typer.Exit(1)
        _print_links(settings, port_of(shared), own, environment, time.monotonic() - began)
        supervisor.run()
        typer.echo("\nStopped.")


def _settings(**given: Any) -> Settings:
    """Return the settings: options, then the environment, then defaults for development."""
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    suited = {"workers": WORKERS, "log_level": "warning"}
    return settings.model_copy(
        update={
            name: value for name, value in suited.items() if name not in settings.model_fields_set
        }
    )


def _servers(stack: ExitStack, settings: Settings) -> dict[str, str]:
    """Start the servers that are not configured; return the workers' environment."""
    state = settings.state_dir
    database_url, redis_url = settings.database_url, settings.redis_url
    if database_url is None:
        database_url = stack.enter_context(start_postgres(state)).dsn()
    if redis_url is None:
        redis_url = stack.enter_context(start_valkey(state)).url
    secret = (
        settings.token_secret.get_secret_value()
        if settings.token_secret
        else keep_secret(state, "token_secret")
    )
    pbxs: dict[str, dict[str, Any]] = {
        name: {"secrets": pbx.plain_secrets, "region": pbx.region}
        for name, pbx in settings.pbx_secrets.items()
    }
    pbxs.setdefault("main", {"secrets": [keep_secret(state, "pbx_secret", prefix="whsec_")]})
    kept = {} if settings.s3_bucket else {"GATEWAY_FILES_DIR": str(_files_dir(settings))}
    return {
        **kept,
        "GATEWAY_DATABASE_URL": database_url,
        "GATEWAY_REDIS_URL": redis_url,
        "GATEWAY_TOKEN_SECRET": secret,
        "GATEWAY_PBX_SECRETS": orjson.dumps(pbxs).decode(),
    }


def _files_dir(settings: Settings) -> Path:
    return settings.files_dir or settings.state_dir / "files"


def _prepare_database(dsn: str) -> None:
    async def prepare() -> None:
        conn = await db.connect(dsn, application_name="gateway dev")
        try:
            await db.migrate(conn)
            await demo.install(conn)
        finally:
            await conn.close()

    asyncio.run(prepare())


def _sockets(host: str, port: int, workers: int) -> tuple[socket.socket, list[socket.socket]]:
    """Open the shared port and one more for each worker, on the ports behind it if free."""
    try:
        shared = listen(host, port)
    except OSError as error:
        why = f"{error.strerror}."
        if error.errno == errno.EADDRINUSE:
            other = f"--port {port + 10 if port + 10 < 65_000 else 8080}"
            why = f'it is in use; try: make dev ARGS="{other}"  (or gateway dev {other})'
        typer.echo(f"Cannot listen on {host}:{port}: {why}", err=True)
        raise typer.Exit(1) from None
    own: list[socket.socket] = []
    for number in range(1, workers + 1):
        try:
            own.append(listen(host, port_of(shared) + number if port else 0))
        except OSError:
            own.append(listen(host, 0))
    return shared, own


def _wait_ready(host: str, ports: list[int]) -> bool:
    deadline = time.monotonic() + START_S
    waiting = list(ports)
    while waiting and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://{_shown(host)}:{waiting[0]}/readyz", timeout=2):
                waiting.pop(0)
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    return not waiting


def _print_links(
    settings: Settings,
    port: int,
    own: list[socket.socket],
    environment: Mapping[str, str],
    took_s: float,
) -> None:
    host = settings.host
    tokens = make_tokens(settings, secret=environment["GATEWAY_TOKEN_SECRET"])
    shown = asyncio.run(_employees(environment["GATEWAY_DATABASE_URL"]))
    lines = [
        "",
        f"  The gateway is ready after {took_s:.1f} s:  http://{_shown(host)}:{port}/",
        "",
        "  Sign in as one of these, each in a separate window (each link goes to one worker):",
        "",
    ]
    for index, (employee_id, name) in enumerate(shown):
        worker = own[index % len(own)]
        lines += [
            f"    {name}, worker {index % len(own) + 1}",
            f"      http://{_shown(host)}:{port_of(worker)}/#token={tokens.issue(employee_id)}",
        ]
    if settings.state_dir.absolute() != Path("~/.local/state/crm-gateway").expanduser():
        directory = shlex.quote(str(settings.state_dir.expanduser().resolve()))
        lines += [
            "",
            "  First in every other terminal:",
            f"    export GATEWAY_STATE_DIR={directory}",
        ]
    lines += [
        "",
        "  Replay a recorded call:  .venv/bin/gateway replay tests/recordings/"
        "l01_answered_caller_hangs_up.jsonl.gz --again",
        "  Ctrl-C stops everything.",
        "",
    ]
    typer.echo("\n".join(lines))
    sys.stdout.flush()


async def _employees(dsn: str) -> list[tuple[int, str]]:
    conn = await db.connect(dsn, application_name="gateway dev")
    try:
        return await people.with_telephones(conn, 3)
    finally:
        await conn.close()


def _shown(host: str) -> str:
    return "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound
