"""One call with its annotations, recordings and PBX events, for everyone who may see the call.

rest ─▶ read ─▶ access, queries. Events that change no state, such as music and menus, show only
here.
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
    """Return a call that the employee may see; of a merged call, the one it was merged into."""
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
