"""One call with its annotations, recordings and PBX events, for everyone who may see the call.

rest ─▶ read ─▶ access, queries. Events that change no state, such as music and menus, show only
here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import get_args
from uuid import UUID

from gateway import cursors
from gateway.context import Context
from gateway.db import Conn
from gateway.errors import CallNotFound
from gateway.protocol.timeline import (
    MAX_FACTS,
    MAX_RECORDINGS,
    CallPart,
    CallPartPage,
    CallTimeline,
)
from gateway.telephony.calls import notes, recordings
from gateway.telephony.calls.access import require_call
from gateway.telephony.calls.queries import lookup
from gateway.telephony.calls.queries import timeline as queries
from gateway.telephony.calls.recordings import Templates
from gateway.telephony.calls.screen_pop import ScreenPop, to_stint
from ingest import FEW_PARTS, CallState, condense, condensed_calls, load_condensed


async def read(ctx: Context, call_id: UUID, templates: Templates) -> CallTimeline:
    """Return a call that the employee may see; of a merged call, the one it was merged into."""
    async with ctx.reading() as conn:
        found = await require_call(ctx, conn, call_id)
        mine = {extension for _, extension in await lookup.telephones(conn, ctx.user_id)}
        loaded = await load_condensed(conn, [found], first=mine)
        if found not in loaded:
            raise CallNotFound
        shown = condense(loaded[found], first=mine)
        pop = await ScreenPop.read(conn, [shown.state])
        added = await notes.read(conn, found)
        recorded, recordings_left_out = [], 0
        if await recordings.may_listen(ctx, conn, found):
            recorded = await recordings.list_recordings(
                conn, shown.state, templates, limit=MAX_RECORDINGS
            )
            recordings_left_out = await condensed_calls.count_recordings(conn, found)
            recordings_left_out -= len(recorded)
        facts = await queries.facts(conn, found, limit=MAX_FACTS + 1)
    return CallTimeline(
        call=pop.to_call(shown),
        annotations=added,
        recordings=recorded,
        timeline=facts[:MAX_FACTS],
        more=len(facts) > MAX_FACTS,
        recordings_left_out=recordings_left_out,
    )


async def read_parts(
    ctx: Context,
    call_id: UUID,
    part: CallPart,
    templates: Templates,
    *,
    cursor: str | None,
    limit: int,
) -> CallPartPage:
    """Return a page of the parts of one kind of a call that the employee may see."""
    after = cursors.unpack_position(cursor) if cursor else 0
    async with ctx.reading() as conn:
        found = await require_call(ctx, conn, call_id)
        loaded = await load_condensed(conn, [found], limits=FEW_PARTS)
        if found not in loaded:
            raise CallNotFound
        call = loaded[found].state
        if part == "recordings":
            page = CallPartPage()
            if await recordings.may_listen(ctx, conn, found):
                page = CallPartPage(
                    recordings=await recordings.list_recordings(
                        conn, call, templates, after=after, limit=limit
                    )
                )
        else:
            page = await _READ_PART[part](conn, call, after, limit)
    size = sum(len(getattr(page, name)) for name in get_args(CallPart))
    return replace(page, next=cursors.pack_position(after + size) if size == limit else None)


async def _legs(conn: Conn, call: CallState, after: int, limit: int) -> CallPartPage:
    found = await condensed_calls.page_of_legs(conn, call.id, after, limit)
    pop = await ScreenPop.of_telephones(conn, call.source, {one.extension for one in found})
    return CallPartPage(legs=[pop.to_leg(call.source, one) for one in found])


async def _stints(conn: Conn, call: CallState, after: int, limit: int) -> CallPartPage:
    found = await condensed_calls.page_of_stints(conn, call.id, after, limit)
    return CallPartPage(stints=[to_stint(one) for one in found])


async def _transfers(conn: Conn, call: CallState, after: int, limit: int) -> CallPartPage:
    found = await condensed_calls.page_of_transfers(conn, call.id, after, limit)
    telephones = {one.by_extension for one in found} | {one.to_extension for one in found}
    pop = await ScreenPop.of_telephones(conn, call.source, telephones)
    return CallPartPage(transfers=[pop.to_transfer(call.source, one) for one in found])


async def _parkings(conn: Conn, call: CallState, after: int, limit: int) -> CallPartPage:
    found = await condensed_calls.page_of_parkings(conn, call.id, after, limit)
    telephones = {one.by_extension for one in found} | {one.to_extension for one in found}
    pop = await ScreenPop.of_telephones(conn, call.source, telephones)
    return CallPartPage(parkings=[pop.to_parking(call.source, one) for one in found])


_READ_PART: dict[str, Callable[[Conn, CallState, int, int], Awaitable[CallPartPage]]] = {
    "legs": _legs,
    "stints": _stints,
    "transfers": _transfers,
    "parkings": _parkings,
}
