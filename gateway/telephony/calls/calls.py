"""Lists of calls: those that are live now, and history.

hello, commands ─▶ here ─▶ call_filter, queries ─▶ screen_pop ─▶ Call.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from uuid import UUID

from gateway import cursors
from gateway.context import Context
from gateway.db import Conn
from gateway.protocol import Call, CallList, CallPage
from gateway.serving import serves
from gateway.telephony.calls import call_filter, notes
from gateway.telephony.calls.queries import calls as queries
from gateway.telephony.calls.screen_pop import ScreenPop
from ingest import (
    FEW_PARTS,
    SHOWN_PARTS,
    CondensedCall,
    condense,
    count_parts,
    load_condensed,
)

PAGE_PARTS, WELCOME_PARTS = 2_000, 400
"""Legs, stints, transfers and times of parking of the calls of one list, or of one welcome, beyond
which each further call shows few of them."""


async def live(conn: Conn, employee_ids: Collection[int]) -> dict[int, list[Call]]:
    """Return employee → the live calls on their telephones, newest first; only who has one."""
    found = await queries.live(conn, employee_ids)
    everyones = [one for theirs in found.values() for one in theirs]
    if not everyones:
        return {employee_id: [] for employee_id in found}
    telephones = {extension for one in everyones for extension in one.extensions}
    loaded = await load_condensed(conn, list({one.call_id for one in everyones}), first=telephones)
    states = [one.state for one in loaded.values()]
    pop = await ScreenPop.read(conn, states, popping=states)
    return {
        employee_id: [
            pop.with_contacts(pop.to_call(one), one.state.number_e164)
            for one in _within(
                # One that is not loaded was merged into another call just now.
                ((loaded[one.call_id], one.extensions) for one in theirs if one.call_id in loaded),
                WELCOME_PARTS,
            )
        ]
        for employee_id, theirs in found.items()
    }


@serves(CallList)
async def list_page(ctx: Context, command: CallList) -> CallPage:
    """Return a page of calls, newest first: one's own, or everyone's with calls.view_all."""
    async with ctx.reading() as conn:
        criteria = await call_filter.parse(ctx, conn, command)
        if criteria is None:
            return CallPage(calls=[])
        found, last = await call_filter.page(conn, criteria, limit=command.limit)
        ids = [call_id for call_id, _ in found]
        telephones = {extension for _, extension in criteria.telephones or ()}
        calls = await _calls(conn, ids, telephones)
        dispositions = await notes.dispositions_of(conn, ids)
    following = cursors.pack(*last) if last else None
    return CallPage(calls=calls, dispositions=dispositions, next=following)


async def _calls(conn: Conn, call_ids: Sequence[UUID], first: AbstractSet[str]) -> list[Call]:
    """Load these calls, in this order; the legs of the telephones in first come first."""
    if not call_ids:
        return []
    loaded = await load_condensed(conn, call_ids, first=first)
    pop = await ScreenPop.read(conn, [one.state for one in loaded.values()])
    shown = [(loaded[call_id], first) for call_id in call_ids if call_id in loaded]
    return [pop.to_call(one) for one in _within(shown, PAGE_PARTS)]


def _within(
    calls: Iterable[tuple[CondensedCall, AbstractSet[str]]], room: int
) -> Iterator[CondensedCall]:
    """Yield calls with their parts as long as there is room, the further ones with few."""
    for call, first in calls:
        shown = condense(call, SHOWN_PARTS, first=first)
        room -= count_parts(shown.state).total
        yield shown if room >= 0 else condense(call, FEW_PARTS, first=first)
