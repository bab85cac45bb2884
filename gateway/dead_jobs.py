"""Jobs that failed for good: look at them, order them again, give them up.

rest, cli ─▶ here. Who ordered what again is noted in the audit, in the same transaction.
"""

from __future__ import annotations

from gateway.auth.permissions import JOBS_MANAGE
from gateway.chat.queries import audit
from gateway.context import Context
from gateway.db import Conn
from gateway.errors import DeadJobNotFound
from gateway.jobs.queries import dead as queries
from gateway.protocol.jobs import DeadJobPage, DeadJobRetried


async def page(ctx: Context, *, kind: str | None, before: int | None, limit: int) -> DeadJobPage:
    """Return dead jobs with ids below `before`, the newest first."""
    ctx.identity.require(JOBS_MANAGE)
    async with ctx.reading() as conn:
        found = await queries.page(conn, kind=kind, before=before, limit=limit + 1)
    more = len(found) > limit
    return DeadJobPage(jobs=found[:limit], next=found[limit - 1].id if more else None)


async def retry(ctx: Context, dead_id: int) -> DeadJobRetried:
    """Order a dead job again."""
    ctx.identity.require(JOBS_MANAGE)
    async with ctx.transaction() as tx:
        kind = await retry_in(tx.conn, dead_id, actor_id=ctx.user_id)
        if kind is None:
            raise DeadJobNotFound
        tx.due_s = 0.0
    return DeadJobRetried(id=dead_id, kind=kind)


async def retry_in(conn: Conn, dead_id: int, *, actor_id: int | None) -> str | None:
    """Order a dead job again in the caller's transaction; return its kind, None if it is gone."""
    kind = await queries.retry(conn, dead_id)
    if kind is not None:
        await _note(conn, "job.retry", dead_id, kind, actor_id)
    return kind


async def discard_in(conn: Conn, dead_id: int, *, actor_id: int | None) -> str | None:
    """Give a dead job up in the caller's transaction; return its kind, None if it is gone."""
    kind = await queries.discard(conn, dead_id)
    if kind is not None:
        await _note(conn, "job.discard", dead_id, kind, actor_id)
    return kind


async def _note(conn: Conn, act: str, dead_id: int, kind: str, actor_id: int | None) -> None:
    details = {"dead_id": dead_id, "kind": kind}
    await audit.record(conn, act, actor_id=actor_id, details=details)
