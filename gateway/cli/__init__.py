"""What an operator can run. `gateway --help` is the manual.

Each command imports its module when it runs: `gateway --help` answers in 0.2 s, not in 1.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from gateway import __version__

app = typer.Typer(
    name="gateway",
    help=(
        "Real-time messaging and telephony gateway for CRMs.\n\n"
        "Settings come from the environment (GATEWAY_DATABASE_URL, GATEWAY_REDIS_URL, "
        "GATEWAY_TOKEN_SECRET …); docs/operations.md lists them all. To try everything at once: "
        "`gateway dev`."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gateway {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Say what all commands have in common."""


@app.command()
def dev(
    port: Annotated[
        int | None,
        typer.Option(help="Port of the page, REST and sockets; GATEWAY_PORT, or 8080."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=16, help="Worker processes; GATEWAY_WORKERS, or 2."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; GATEWAY_HOST, or 127.0.0.1.")
    ] = None,
) -> None:
    """Run everything: PostgreSQL and Valkey of its own, a demo CRM, workers and the page.

    Prints the page's address and sign-in links for three demo employees. With
    GATEWAY_DATABASE_URL or GATEWAY_REDIS_URL set, those servers are used and not started; the
    demo CRM is installed only into a database that has no schema `crm`. Ctrl-C stops everything.

    Data and secrets stay for the next time in GATEWAY_STATE_DIR, by default
    $XDG_STATE_HOME/crm-gateway or ~/.local/state/crm-gateway: one place for all clones of a user.
    To begin anew, stop it and delete that directory.
    """
    from gateway.cli.dev import run

    run(host=host, port=port, workers=workers)


@app.command()
def serve(
    workers: Annotated[
        int | None, typer.Option(min=1, max=128, help="Worker processes; GATEWAY_WORKERS.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; GATEWAY_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; GATEWAY_PORT.")] = None,
    role: Annotated[
        str | None,
        typer.Option(help="What to do: sockets, ingest, background or several; GATEWAY_ROLES."),
    ] = None,
    migrate: Annotated[
        bool, typer.Option(help="Apply missing migrations first; safe on many nodes at once.")
    ] = False,
) -> None:
    """Serve on one port with one or more worker processes.

    A worker that dies is started again, with back-off; one that hangs is ended. SIGTERM drains:
    clients are told to come back elsewhere, commands that have begun are finished. SIGHUP replaces
    the workers one after the other. Needs GATEWAY_DATABASE_URL,
    GATEWAY_REDIS_URL and GATEWAY_TOKEN_SECRET.
    """
    from gateway.cli.serve import run

    run(workers=workers, host=host, port=port, role=role, migrate_first=migrate)


@app.command()
def migrate(
    demo: Annotated[
        bool, typer.Option(help="Also install the demo CRM, if there is no schema crm.")
    ] = False,
    check: Annotated[
        bool, typer.Option(help="Change nothing; exit 1 if migrations are missing.")
    ] = False,
) -> None:
    """Bring the schema `realtime` of GATEWAY_DATABASE_URL up to date.

    Safe to run on several nodes at once. Without that variable, `--check` looks at the database
    of the `gateway dev` that runs on this machine.
    """
    from gateway.cli.migrate import run

    run(demo=demo, check=check)


@app.command()
def token(
    employee: Annotated[int, typer.Argument(help="The employee's id in the CRM.")],
    ttl: Annotated[str, typer.Option(help="How long it is valid: 30m, 8h, 7d.")] = "8h",
) -> None:
    """Print a token for an employee, signed with GATEWAY_TOKEN_SECRET.

    Without that, with the secret that `gateway dev` made for itself. Whether there is such an
    employee is not checked here but when the token is used.
    """
    from gateway.cli.token import run

    run(employee=employee, ttl=ttl)


@app.command()
def replay(
    file: Annotated[
        Path | None, typer.Argument(help="A recording: NAME.jsonl.gz with AMI messages.")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0.1, max=1000, help="How many times faster than it happened.")
    ] = 1.0,
    source: Annotated[
        str | None,
        typer.Option(help="Name of the PBX it pretends to be, or main; of the PBX to rebuild."),
    ] = None,
    keep_times: Annotated[
        bool, typer.Option(help="Keep the recorded times instead of moving the call to now.")
    ] = False,
    again: Annotated[
        bool, typer.Option(help="Make new calls of it, even if it has been replayed before.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option(help="No recording: fold the stored events again into the calls' rows.")
    ] = False,
    since: Annotated[
        str | None, typer.Option(help="Rebuild calls that began then or later: 2026-11-01T00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Rebuild calls that began before.")] = None,
) -> None:
    """Play a recorded PBX dialogue: the calls ring on the agents' screens as they did then.

    Goes through the normaliser and the whole pipeline into the database and the bus of
    GATEWAY_DATABASE_URL and GATEWAY_REDIS_URL, or of the `gateway dev` that runs on this machine.
    Playing the same file twice makes its calls once.

    With `--rebuild` nothing is played: calls with their legs, stays in queues, transfers,
    recordings and missed calls are made anew from the events that are stored, also calls whose row
    is gone, and what stands of agents. Rows that are right are not written, calls whose events are
    gone stay as they are. It may run beside a live gateway, be stopped and run again.
    """
    if rebuild:
        from gateway.cli import rebuild as rebuilding

        if file or again or keep_times:
            typer.echo("--rebuild takes only --since, --until and --source.", err=True)
            raise typer.Exit(2)
        rebuilding.run(since=since, until=until, source=source)
        return
    if file is None or since or until:
        typer.echo("Name a recording, or say --rebuild.", err=True)
        raise typer.Exit(2)
    from gateway.cli.replay import run

    run(file, speed=speed, source=source or "main", keep_times=keep_times, again=again)


def main() -> None:
    """Run the command line; a wrong setting is one line, not a trace."""
    try:
        app()
    except ValidationError as error:
        for wrong in error.errors(include_input=False, include_url=False):
            name = "_".join(str(part) for part in wrong["loc"]).upper()
            typer.echo(f"GATEWAY_{name}: {wrong['msg']}", err=True)
        sys.exit(2)
