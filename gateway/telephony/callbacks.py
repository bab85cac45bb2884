"""Whom to call back: list, claim, give back, close, open again.

commands, rest ─▶ one item under its lock ─▶ callback.changed to everyone who may handle them.
missed.py makes the items and closes those whose customer was reached.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import datetime

from gateway import cursors, topics
from gateway.bus import Announcement, announce
from gateway.context import Context, Services, Transaction
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
)
from gateway.telephony.queries import callbacks as queries
from gateway.telephony.queries import lookup
from gateway.telephony.queries.callbacks import Standing

HANDLE = topics.HANDLE_CALLBACKS
CLAIM_S = 15 * 60
"""Long enough to read up on the customer, dial twice and note what came of it."""


async def list_page(ctx: Context, command: CallbackList) -> CallbackPage:
    """Return a page of whom to call back."""
    ctx.identity.require(HANDLE)
    after = cursors.unpack_int(command.cursor) if command.cursor else None
    find = queries.closed if command.state == "closed" else queries.waiting
    async with ctx.reading() as conn:
        found = await find(
            conn,
            command,
            mine=ctx.user_id if command.mine else None,
            after=after,
            limit=command.limit + 1,
        )
        page = found[: command.limit]
        by_id = {one.id: one for one in await shown(conn, [callback_id for _, callback_id in page])}
        open_now = await queries.count_open(conn)
    return CallbackPage(
        callbacks=[by_id[callback_id] for _, callback_id in page if callback_id in by_id],
        open=open_now,
        next=cursors.pack(*page[-1]) if len(found) > command.limit else None,
    )


async def claim(ctx: Context, command: CallbackClaim) -> CallbackIs:
    """Take one; of two who do at once one gets it, and the other is told who."""
    async with _locked(ctx, command.callback_id) as (tx, standing):
        await _require_free(ctx, tx, standing)
        await queries.claim(tx.conn, command.callback_id, ctx.user_id, for_s=CLAIM_S)
        return await _tell(tx, command.callback_id)


async def release(ctx: Context, command: CallbackRelease) -> CallbackIs:
    """Give one's own back; one that nobody has stays as it is."""
    async with _locked(ctx, command.callback_id) as (tx, standing):
        await _require_free(ctx, tx, standing)
        if standing.state == "open":
            return await _unchanged(tx, command.callback_id)
        await queries.release(tx.conn, command.callback_id)
        return await _tell(tx, command.callback_id)


async def close(ctx: Context, command: CallbackClose) -> CallbackIs:
    """Close one's own, or one that nobody has; the same again changes nothing."""
    async with _locked(ctx, command.callback_id) as (tx, standing):
        if (standing.closed_by, standing.outcome) == (ctx.user_id, command.outcome):
            return await _unchanged(tx, command.callback_id)
        await _require_free(ctx, tx, standing)
        await queries.close(
            tx.conn, command.callback_id, ctx.user_id, outcome=command.outcome, note=command.note
        )
        return await _tell(tx, command.callback_id)


async def reopen(ctx: Context, command: CallbackReopen) -> CallbackIs:
    """Open a closed one again, unless the same customer is to be called back for newer calls."""
    async with _locked(ctx, command.callback_id, turn=True) as (tx, standing):
        if standing.state != "closed":
            return await _unchanged(tx, command.callback_id)
        if standing.outcome in {"mistaken", "merged"}:
            raise CallbackClosed("Nothing was missed: there is nobody to call back.")
        if not await queries.reopen(tx.conn, command.callback_id):
            raise CallbackAnotherOpen
        return await _tell(tx, command.callback_id)


async def count_open(services: Services) -> int:
    """Return how many are open and claimed by nobody."""
    async with services.connection() as conn:
        return await queries.count_open(conn)


async def again(
    services: Services, deliver: Callable[[Announcement], None], since: datetime
) -> None:
    """Tell people on this node anew of items that changed since then; versions sort it out."""
    async with services.connection() as conn:
        changed = await queries.changed_since(conn, since)
        items = await shown(conn, changed) if changed else []
        open_now = await queries.count_open(conn) if changed else 0
    for item in items:
        deliver(announce(topics.CALLBACKS, CallbackChanged(callback=item, open=open_now)))


async def shown(conn: Conn, ids: Collection[int]) -> list[Callback]:
    """Return items as clients see them, with the customer and what the CRM has open for them."""
    rows = await queries.load(conn, ids)
    asked = {row["customer_id"] for row in rows if row["customer_id"] is not None}
    customers = await lookup.customers_by_id(conn, asked) if asked else {}
    return [Callback(customer=customers.get(row.pop("customer_id")), **row) for row in rows]


@asynccontextmanager
async def _locked(
    ctx: Context, callback_id: int, *, turn: bool = False
) -> AsyncIterator[tuple[Transaction, Standing]]:
    """Begin a transaction with the lock of one item; CallbackNotFound."""
    ctx.identity.require(HANDLE)
    async with ctx.transaction() as tx:
        if turn:
            await queries.turn(tx.conn)
        standing = await queries.lock(tx.conn, callback_id)
        if standing is None:
            raise CallbackNotFound
        yield tx, standing


async def _require_free(ctx: Context, tx: Transaction, standing: Standing) -> None:
    """Raise when it is closed, or somebody else's."""
    if standing.state == "closed":
        raise CallbackClosed
    if standing.held_by not in {None, ctx.user_id}:
        assert standing.held_by is not None
        who = await queries.name(tx.conn, standing.held_by) or f"Employee {standing.held_by}"
        raise CallbackClaimed(f"{who} has claimed this call-back request.")


async def _tell(tx: Transaction, callback_id: int) -> CallbackIs:
    changed = await _unchanged(tx, callback_id)
    open_now = await queries.count_open(tx.conn)
    tx.announce(topics.CALLBACKS, CallbackChanged(callback=changed.callback, open=open_now))
    return changed


async def _unchanged(tx: Transaction, callback_id: int) -> CallbackIs:
    (item,) = await shown(tx.conn, [callback_id])
    return CallbackIs(callback=item)
