"""Lists of calls: those that are live now, and history.

hello, commands ─▶ here ─▶ call_filter, queries ─▶ screen_pop ─▶ Call.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from gateway import cursors
from gateway.context import Context
from gateway.db import Conn
from gateway.protocol import Call, CallList, CallPage
from gateway.serving import serves
from gateway.telephony.calls import call_filter, notes
from gateway.telephony.calls.queries import calls as queries
from gateway.telephony.calls.screen_pop import ScreenPop
from ingest import load_calls


async def live(conn: Conn, employee_ids: Collection[int]) -> dict[int, list[Call]]:
    """Return employee → the live calls on their telephones, newest first."""
    found = await queries.live(conn, employee_ids)
    ids = list({call_id for _, call_id in found})
    loaded = {call.id: call for call in await _calls(conn, ids, popping=True)}
    calls: dict[int, list[Call]] = {}
    for employee_id, call_id in found:
        if call_id in loaded:  # otherwise it was merged into another call just now
            calls.setdefault(employee_id, []).append(loaded[call_id])
    return calls


@serves(CallList)
async def list_page(ctx: Context, command: CallList) -> CallPage:
    """Return a page of calls, newest first: one's own, or everyone's with calls.view_all."""
    async with ctx.reading() as conn:
        criteria = await call_filter.parse(ctx, conn, command)
        if criteria is None:
            return CallPage(calls=[])
        found, last = await call_filter.page(conn, criteria, limit=command.limit)
        ids = [call_id for call_id, _ in found]
        calls = await _calls(conn, ids)
        dispositions = await notes.dispositions_of(conn, ids)
    following = cursors.pack(*last) if last else None
    return CallPage(calls=calls, dispositions=dispositions, next=following)


async def _calls(conn: Conn, call_ids: Sequence[UUID], *, popping: bool = False) -> list[Call]:
    """Load these calls, in this order."""
    if not call_ids:
        return []
    states = await load_calls(conn, call_ids)
    shown = list(states.values())
    pop = await ScreenPop.read(conn, shown, popping=shown if popping else ())
    found = [states[call_id] for call_id in call_ids if call_id in states]
    return [pop.with_contacts(pop.to_call(state), state.number_e164) for state in found]
