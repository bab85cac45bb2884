"""Jobs that failed for good: look at them, order them again, give them up.

rest, cli ─▶ here. Who ordered what again is noted in the audit, by the same statement.
"""

from __future__ import annotations

from gateway.audit import Act, Origin
from gateway.auth.permissions import JOBS_MANAGE
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
    act = ctx.act("job.retry", subject=f"dead_job:{dead_id}", dead_id=dead_id)
    async with ctx.statement() as tx:
        kind = await queries.retry(tx.conn, dead_id, audit=act)
        if kind is None:
            raise DeadJobNotFound
        tx.due_s = 0.0
    return DeadJobRetried(id=dead_id, kind=kind)


async def retry_by_operator(conn: Conn, dead_id: int) -> str | None:
    """Order a dead job again from the command line; return its kind, None if it is gone."""
    return await queries.retry(conn, dead_id, audit=_of_operator("job.retry", dead_id))


async def discard_by_operator(conn: Conn, dead_id: int) -> str | None:
    """Give a dead job up from the command line; return its kind, None if it is gone."""
    return await queries.discard(conn, dead_id, audit=_of_operator("job.discard", dead_id))


def _of_operator(act: str, dead_id: int) -> Act:
    subject = f"dead_job:{dead_id}"
    return Act(act, Origin("cli"), subject=subject, details={"dead_id": dead_id})
