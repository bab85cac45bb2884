"""`gateway jobs list|dead|retry|discard`: background jobs, and those that failed for good."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import orjson
import typer

from gateway import dead_jobs
from gateway.cli.database import print_table, run
from gateway.db import Conn
from gateway.jobs.queries import dead, upkeep

PAGE = 500


def list_jobs() -> None:
    """Print how many jobs of each kind there are."""
    _run(_list)


def list_dead(*, kind: str | None, limit: int) -> None:
    """Print dead jobs, the newest first."""
    _run(lambda conn: _dead(conn, kind, limit))


def retry(ids: list[int], *, kind: str | None) -> None:
    """Order dead jobs again."""
    _run(lambda conn: _end(conn, ids, kind, dead_jobs.retry_by_operator, "ordered again"))


def discard(ids: list[int], *, kind: str | None) -> None:
    """Delete dead jobs."""
    _run(lambda conn: _end(conn, ids, kind, dead_jobs.discard_by_operator, "discarded"))


def _run(work: Callable[[Conn], Awaitable[None]]) -> None:
    run(work, name="gateway jobs")


async def _list(conn: Conn) -> None:
    rows = [("queue", "kind", "due", "in work", "later", "oldest")]
    rows += [
        (one.queue, one.kind, str(one.due), str(one.in_work), str(one.later), _age(one.oldest_s))
        for one in await upkeep.by_kind(conn)
    ]
    print_table(rows)


def _age(seconds: float | None) -> str:
    return "" if seconds is None else str(timedelta(seconds=round(seconds)))


async def _dead(conn: Conn, kind: str | None, limit: int) -> None:
    rows = [("id", "died at", "kind", "error", "attempts", "key", "payload")]
    rows += [
        (
            str(one.id),
            one.died_at.isoformat(timespec="seconds"),
            one.kind,
            one.error_code,
            str(one.attempts),
            one.dedupe_key or "",
            orjson.dumps(one.payload).decode(),
        )
        for one in await dead.page(conn, kind=kind, limit=limit)
    ]
    print_table(rows)


async def _end(
    conn: Conn,
    ids: list[int],
    kind: str | None,
    how: Callable[..., Awaitable[str | None]],
    done: str,
) -> None:
    """Retry or discard these, or all of a kind; exit with 1 when one of these is not there."""
    if bool(ids) == bool(kind):
        typer.echo("Give ids of dead jobs, or --kind.", err=True)
        raise typer.Exit(2)
    missing = 0
    for dead_id in ids or await _ids_of(conn, str(kind)):
        found = await how(conn, dead_id)
        if found is None and ids:
            typer.echo(f"{dead_id}: there is no such dead job.", err=True)
            missing += 1
        elif found is not None:
            typer.echo(f"{dead_id}: {found} {done}.")
    if missing:
        raise typer.Exit(1)


async def _ids_of(conn: Conn, kind: str) -> list[int]:
    """Return the ids of all that are dead now."""
    found: list[int] = []
    while page := await dead.page(conn, kind=kind, before=found[-1] if found else None, limit=PAGE):
        found += [one.id for one in page]
    return found
