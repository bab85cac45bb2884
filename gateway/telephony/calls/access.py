"""Whether somebody may see a call: what every act on one call begins with.

reading, notes, recordings, reviews ─▶ require_call ─▶ queries.
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
    """Return the (source, extension) pairs whose calls somebody sees; None is everyone's."""
    if CALLS_VIEW_ALL in ctx.identity.permissions:
        return None
    return await lookup.telephones(conn, ctx.user_id)


async def require_call(ctx: Context, conn: Conn, call_id: UUID) -> UUID:
    """Return what this call now is, itself or what it was merged into; CallNotFound otherwise.

    A call is seen by who took part in it, and with calls.view_all by anybody.
    """
    found = await queries.find_visible(
        conn, call_id, telephones=await visible_telephones(ctx, conn)
    )
    if found is None:
        raise CallNotFound
    return found
