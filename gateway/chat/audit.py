"""Reading the audit: all acts of moderation, of every conversation; needs `audit.read`.

rest ─▶ page. gateway/audit is what writes it.
"""

from __future__ import annotations

from datetime import datetime

from gateway import cursors
from gateway.audit.queries import audit as queries
from gateway.audit.queries.audit import AuditFilter
from gateway.auth.permissions import AUDIT_READ
from gateway.context import Context
from gateway.db import Conn
from gateway.errors import Invalid
from gateway.protocol.audit import AuditPage


async def page(
    ctx: Context, sought: AuditFilter, *, cursor: str | None, before: int | None, limit: int
) -> AuditPage:
    """Return a page of acts after `cursor`, or before the act with the id `before`, newest first.

    Ids are in the order of the acts but for those of the same moment: with a `before` that is no
    act's id, or not any more, all with smaller ids follow.
    """
    ctx.identity.require(AUDIT_READ)
    if cursor is not None and before is not None:
        raise Invalid("Give cursor or before, not both.", path="query.before")
    place = cursors.unpack_int(cursor) if cursor else None
    async with ctx.reading() as conn:
        if before is not None:
            place = await _place_of(conn, before)
        below = before if place is None else None
        found = await queries.page(conn, sought, before=place, below=below, limit=limit + 1)
    shown = found[:limit]
    if len(found) <= limit:
        return AuditPage(records=shown)
    last = shown[-1]
    return AuditPage(records=shown, next=last.id, cursor=cursors.pack(last.at, last.id))


async def _place_of(conn: Conn, audit_id: int) -> tuple[datetime, int] | None:
    moment = await queries.moment_of(conn, audit_id)
    return None if moment is None else (moment, audit_id)
