"""Whom to call back: list, claim, give back, close, open again.

commands, rest ─▶ one item under its lock ─▶ COMMIT ─▶ callback.changed to all who may handle them,
with how many are open then.
missed.py makes the items and closes those whose customer was reached.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from gateway import cursors, topics
from gateway.auth.permissions import CALLBACKS_HANDLE
from gateway.auth.queries import employees
from gateway.bus import Announcement, announce
from gateway.context import Context, Services
from gateway.db import Conn
from gateway.errors import (
    CallbackAnotherOpen,
    CallbackClaimed,
    CallbackClosed,
    CallbackNotFound,
)
from gateway.protocol.callbacks import (
    Callback,
    CallbackChanged,
    CallbackClaim,
    CallbackClose,
    CallbackIs,
    CallbackList,
    CallbackPage,
    CallbackRelease,
    CallbackReopen,
    MissedCallCreated,
)
from gateway.serving import serves
from gateway.telephony.callbacks.queries import callbacks as queries
from gateway.telephony.callbacks.queries import reached as reached_queries
from gateway.telephony.callbacks.queries.callbacks import CallbackStatus, OpenCount
from gateway.telephony.callbacks.queries.reached import CustomerReached
from gateway.telephony.calls.queries import lookup

READ_BATCH, MAX_BATCHES = 500, 10
"""So many items are read in one go, and so many times in one look."""
CLAIM_S = 15 * 60
"""Long enough to read up on the customer, dial twice and note what came of it."""


@dataclass(frozen=True, slots=True)
class LockedCallback:
    """An item under its lock, and what is to be told of it after the COMMIT."""

    id: int
    conn: Conn
    status: CallbackStatus
    changed: list[Callback] = field(default_factory=list)


@serves(CallbackList)
async def list_page(ctx: Context, command: CallbackList) -> CallbackPage:
    """Return a page of whom to call back."""
    ctx.identity.require(CALLBACKS_HANDLE)
    after = cursors.unpack_int(command.cursor) if command.cursor else None
    find = queries.page_closed if command.state == "closed" else queries.page_waiting
    async with ctx.reading() as conn:
        found = await find(
            conn,
            command,
            mine=ctx.user_id if command.mine else None,
            after=after,
            limit=command.limit + 1,
        )
        page = found[: command.limit]
        by_id = {
            one.id: one for one in await load_items(conn, [callback_id for _, callback_id in page])
        }
        counted = await queries.count_open(conn)
    return CallbackPage(
        callbacks=[by_id[callback_id] for _, callback_id in page if callback_id in by_id],
        open=counted.open,
        open_as_of=counted.open_as_of,
        next=cursors.pack(*page[-1]) if len(found) > command.limit else None,
    )


@serves(CallbackClaim)
async def claim(ctx: Context, command: CallbackClaim) -> CallbackIs:
    """Take one; of two who do at once one gets it, and the other is told who."""
    async with _locked(ctx, command.callback_id) as held:
        await _require_claimable(ctx, held)
        await queries.claim(held.conn, held.id, ctx.user_id, for_s=CLAIM_S)
        return await _record_change(held)


@serves(CallbackRelease)
async def release(ctx: Context, command: CallbackRelease) -> CallbackIs:
    """Give one's own back; one that nobody has stays as it is."""
    async with _locked(ctx, command.callback_id) as held:
        await _require_claimable(ctx, held)
        if held.status.state == "open":
            return await _answer(held)
        await queries.release(held.conn, held.id)
        return await _record_change(held)


@serves(CallbackClose)
async def close(ctx: Context, command: CallbackClose) -> CallbackIs:
    """Close one's own, or one that nobody has; the same again changes nothing."""
    async with _locked(ctx, command.callback_id) as held:
        if (held.status.closed_by, held.status.outcome) == (ctx.user_id, command.outcome):
            return await _answer(held)
        await _require_claimable(ctx, held)
        closed_at = await queries.close(
            held.conn, held.id, ctx.user_id, outcome=command.outcome, note=command.note
        )
        if command.outcome == "reached":  # for calls missed before that are received later
            reach = CustomerReached(held.status.customer_id, None, closed_at, "hand")
            await reached_queries.record(held.conn, [reach])
        return await _record_change(held)


@serves(CallbackReopen)
async def reopen(ctx: Context, command: CallbackReopen) -> CallbackIs:
    """Open a closed one again, unless the same customer is to be called back for newer calls."""
    async with _locked(ctx, command.callback_id, turn=True) as held:
        if held.status.state != "closed":
            return await _answer(held)
        if held.status.outcome in {"mistaken", "merged"}:
            raise CallbackClosed("Nothing was missed: there is nobody to call back.")
        if not await queries.reopen(held.conn, held.id):
            raise CallbackAnotherOpen
        return await _record_change(held)


async def count_open(services: Services) -> OpenCount:
    """Return how many are open and claimed by nobody."""
    async with services.connection() as conn:
        return await queries.count_open(conn)


async def redeliver(
    services: Services,
    deliver: Callable[[Announcement], None],
    since: datetime,
    *,
    until: datetime | None = None,
) -> datetime | None:
    """Tell people on this node anew of items that changed since then; versions sort it out.

    Of too many the first are told; returned is then up to which moment, else None.
    """
    after: tuple[datetime, int] | None = None
    for _ in range(MAX_BATCHES):
        async with services.connection() as conn:
            changed = await queries.changed_since(
                conn, since, until=until, after=after, limit=READ_BATCH
            )
            if not changed:
                return None
            items = await load_items(conn, [item_id for _, item_id in changed])
            counted = await queries.count_open(conn)
        for news in _announcements(items, counted):
            deliver(news)
        if len(changed) < READ_BATCH:
            return None
        after = changed[-1]
    return after[0] if after else None


async def publish_changes(
    services: Services, conn: Conn, items: Collection[Callback], *, missed: Collection[int] = ()
) -> None:
    """Tell people of items that changed, after the COMMIT; of missed ones that they have grown.

    The count belongs to none of the transactions that go on meanwhile, and says when it was made.
    """
    if not items:
        return
    counted = None
    try:
        counted = await queries.count_open(conn)
    finally:  # what is committed is told, whatever becomes of the count
        services.publish(_announcements(items, counted, missed))


async def load_items(conn: Conn, ids: Collection[int]) -> list[Callback]:
    """Return items as clients see them, with the customer and what the CRM has open for them."""
    rows = await queries.load(conn, ids)
    asked = {row["customer_id"] for row in rows if row["customer_id"] is not None}
    customers = await lookup.customers_by_id(conn, asked) if asked else {}
    return [Callback(customer=customers.get(row.pop("customer_id")), **row) for row in rows]


@asynccontextmanager
async def _locked(
    ctx: Context, callback_id: int, *, turn: bool = False
) -> AsyncIterator[LockedCallback]:
    """Begin a transaction with the lock of one item, and tell what came of it; CallbackNotFound."""
    ctx.identity.require(CALLBACKS_HANDLE)
    async with ctx.services.connection() as conn:
        async with conn.transaction():
            if turn:
                await queries.serialise(conn)
            standing = await queries.lock(conn, callback_id)
            if standing is None:
                raise CallbackNotFound
            held = LockedCallback(callback_id, conn, standing)
            yield held
        await publish_changes(ctx.services, conn, held.changed)


async def _require_claimable(ctx: Context, held: LockedCallback) -> None:
    """Raise when it is closed, or somebody else's."""
    standing = held.status
    if standing.state == "closed":
        raise CallbackClosed
    if standing.held_by is not None and standing.held_by != ctx.user_id:
        found = await employees.find(held.conn, standing.held_by)
        who = found.employee.name if found else f"Employee {standing.held_by}"
        raise CallbackClaimed(f"{who} has claimed this call-back request.")


async def _record_change(held: LockedCallback) -> CallbackIs:
    changed = await _answer(held)
    held.changed.append(changed.callback)
    return changed


async def _answer(held: LockedCallback) -> CallbackIs:
    (item,) = await load_items(held.conn, [held.id])
    return CallbackIs(callback=item)


def _announcements(
    items: Collection[Callback], counted: OpenCount | None, missed: Collection[int] = ()
) -> list[Announcement]:
    count: dict[str, Any] = asdict(counted) if counted else {"open": None, "open_as_of": None}
    return [
        announce(
            topics.CALLBACKS,
            MissedCallCreated(callback=one, **count)
            if one.id in missed and one.state != "closed"
            else CallbackChanged(callback=one, **count),
        )
        for one in items
    ]
