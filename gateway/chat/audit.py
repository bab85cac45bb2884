"""Reading the audit: all acts of moderation, of every conversation; needs `audit.read`.

rest ─▶ page. members.py, edits.py, export.py and retention.py write it.
"""

from __future__ import annotations

from gateway.auth.permissions import AUDIT_READ
from gateway.chat.queries import audit as queries
from gateway.chat.queries.audit import AuditFilter
from gateway.context import Context
from gateway.protocol.audit import AuditPage


async def page(ctx: Context, sought: AuditFilter, *, before: int | None, limit: int) -> AuditPage:
    """Return a page of acts with ids below `before`, the newest first."""
    ctx.identity.require(AUDIT_READ)
    async with ctx.reading() as conn:
        found = await queries.page(conn, sought, before=before, limit=limit + 1)
    more = len(found) > limit
    return AuditPage(records=found[:limit], next=found[limit - 1].id if more else None)
