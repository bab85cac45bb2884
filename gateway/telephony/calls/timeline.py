"""One call with all that was told of it: whoever may see the call may see that.

rest ─▶ timeline ─▶ queries. What no state is made of, music and menus, shows only here.
"""

from __future__ import annotations

from uuid import UUID

from gateway.context import Context
from gateway.errors import CallNotFound
from gateway.protocol.timeline import MAX_FACTS, CallTimeline
from gateway.telephony.calls import notes, recordings
from gateway.telephony.calls.access import require_call
from gateway.telephony.calls.queries import timeline as queries
from gateway.telephony.calls.recordings import Templates
from gateway.telephony.calls.screen_pop import ScreenPop
from ingest import load_calls


async def read(ctx: Context, call_id: UUID, templates: Templates) -> CallTimeline:
    """Return a call of mine, anybody's with calls.view_all; of a merged one, what it became."""
    async with ctx.reading() as conn:
        found = await require_call(ctx, conn, call_id)
        states = await load_calls(conn, [found])
        if found not in states:
            raise CallNotFound
        pop = await ScreenPop.read(conn, list(states.values()))
        added = await notes.read(conn, found)
        recorded = await recordings.list_recordings(ctx, conn, states[found], templates)
        facts = await queries.facts(conn, found, limit=MAX_FACTS + 1)
    return CallTimeline(
        call=pop.to_call(states[found]),
        annotations=added,
        recordings=recorded,
        timeline=facts[:MAX_FACTS],
        more=len(facts) > MAX_FACTS,
    )
