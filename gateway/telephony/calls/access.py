"""Whether an employee may see a call; everything that is done with one call begins here.

timeline, notes, recordings, reviews ─▶ require_call ─▶ queries.
"""

from __future__ import annotations

from uuid import UUID

from gateway.auth.permissions import CALLS_VIEW_ALL
from gateway.context import Context
from gateway.db import Conn
from gateway.errors import CallNotFound
from gateway.telephony.calls.queries import lookup
from gateway.telephony.calls.queries import timeline as queries


async def visible_telephones(ctx: Context, conn: Conn) -> list[tuple[str, str]] | None:
    """Return the (source, extension) pairs whose calls the employee may see; None means all."""
    if CALLS_VIEW_ALL in ctx.identity.permissions:
        return None
    return await lookup.telephones(conn, ctx.user_id)


async def require_call(ctx: Context, conn: Conn, call_id: UUID) -> UUID:
    """Return the id of the call, or of the call that it was merged into; CallNotFound otherwise.

    Employees see the calls in which one of their telephones took part; with calls.view_all, all.
    """
    found = await queries.find_visible(
        conn, call_id, telephones=await visible_telephones(ctx, conn)
    )
    if found is None:
        raise CallNotFound
    return found
