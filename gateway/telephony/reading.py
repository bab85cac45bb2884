"""One call with all that was told of it: whoever may see the call may see that.

rest ─▶ timeline ─▶ queries. What no state is made of, transfers and music, shows only here.
"""

from __future__ import annotations

from uuid import UUID

from gateway.context import Context
from gateway.errors import CallNotFound
from gateway.protocol.timeline import MAX_FACTS, CallTimeline
from gateway.telephony.calls import VIEW_ALL
from gateway.telephony.queries import lookup
from gateway.telephony.queries import reading as queries
from gateway.telephony.screen_pop import ScreenPop
from ingest import load_calls


async def timeline(ctx: Context, call_id: UUID) -> CallTimeline:
    """Return a call of mine, anybody's with calls.view_all; of a merged one, what it became."""
    async with ctx.reading() as conn:
        telephones = None
        if VIEW_ALL not in ctx.identity.permissions:
            telephones = await lookup.telephones(conn, ctx.user_id)
        found = await queries.visible(conn, call_id, telephones=telephones)
        states = await load_calls(conn, [found]) if found else {}
        if found is None or found not in states:
            raise CallNotFound
        pop = await ScreenPop.read(conn, list(states.values()))
        facts = await queries.facts(conn, found, limit=MAX_FACTS + 1)
    return CallTimeline(
        call=pop.call(states[found]), timeline=facts[:MAX_FACTS], more=len(facts) > MAX_FACTS
    )
