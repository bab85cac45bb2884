"""Call-back requests: list, claim, release, close, reopen.

commands, rest ─▶ one request under its lock ─▶ COMMIT ─▶ callback.changed to everyone with
callbacks.handle, with how many are open then. missed.py makes the requests, and closes those whose
customer was reached.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

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
"""Requests read by one statement, and statements of one redelivery."""
CLAIM_S = 15 * 60
"""A claim ends after 15 minutes: enough to read about the customer, dial twice and write a note."""


@dataclass(frozen=True, slots=True)
class LockedCallback:
    """A request under its lock, and what to announce after the COMMIT."""

    id: int
    conn: Conn
    status: CallbackStatus
    changed: list[Callback] = field(default_factory=list)


@serves(CallbackList)
async def list_page(ctx: Context, command: CallbackList) -> CallbackPage:
    """Return a page of call-back requests."""
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
        ids = [callback_id for _, callback_id in page]
        by_id = {one.id: one for one in await load_callbacks(conn, ids)}
        counted = await queries.count_open(conn)
    return CallbackPage(
        callbacks=[by_id[callback_id] for callback_id in ids if callback_id in by_id],
        open=counted.open,
        open_as_of=counted.open_as_of,
        next=cursors.pack(*page[-1]) if len(found) > command.limit else None,
    )


@serves(CallbackClaim)
async def claim(ctx: Context, command: CallbackClaim) -> CallbackIs:
    """Claim a request; of two employees at once one gets it, the other CallbackClaimed with who."""
    async with _locked(ctx, command.callback_id) as locked:
        await _require_claimable(ctx, locked)
        await queries.claim(locked.conn, locked.id, ctx.user_id, for_s=CLAIM_S)
        return await _record_change(locked)


@serves(CallbackRelease)
async def release(ctx: Context, command: CallbackRelease) -> CallbackIs:
    """Release one's own claim; an unclaimed request stays as it is."""
    async with _locked(ctx, command.callback_id) as locked:
        await _require_claimable(ctx, locked)
        if locked.status.state == "open":
            return await _answer(locked)
        await queries.release(locked.conn, locked.id)
        return await _record_change(locked)


@serves(CallbackClose)
async def close(ctx: Context, command: CallbackClose) -> CallbackIs:
    """Close a request that one has claimed or nobody has; the same again changes nothing."""
    async with _locked(ctx, command.callback_id) as locked:
        if (locked.status.closed_by, locked.status.outcome) == (ctx.user_id, command.outcome):
            return await _answer(locked)
        await _require_claimable(ctx, locked)
        closed_at = await queries.close(
            locked.conn, locked.id, ctx.user_id, outcome=command.outcome, note=command.note
        )
        if command.outcome == "reached":  # for calls missed before that are received later
            reach = CustomerReached(locked.status.customer_id, None, closed_at, "hand")
            await reached_queries.record(locked.conn, [reach])
        return await _record_change(locked)


@serves(CallbackReopen)
async def reopen(ctx: Context, command: CallbackReopen) -> CallbackIs:
    """Reopen a closed request, unless the customer has another open one for newer calls."""
    async with _locked(ctx, command.callback_id, serialise=True) as locked:
        if locked.status.state != "closed":
            return await _answer(locked)
        if locked.status.outcome in {"mistaken", "merged"}:
            raise CallbackClosed("This request has no missed call any more.")
        if not await queries.reopen(locked.conn, locked.id):
            raise CallbackAnotherOpen
        return await _record_change(locked)


async def redeliver(
    services: Services,
    deliver: Callable[[Announcement], None],
    since: datetime,
    *,
    until: datetime | None = None,
) -> datetime | None:
    """Deliver requests on this node again that changed after since; versions make that harmless.

    Of too many the first are delivered, and the moment is returned up to which they are; otherwise
    None.
    """
    after: tuple[datetime, int] | None = None
    for _ in range(MAX_BATCHES):
        async with services.connection() as conn:
            changed = await queries.changed_since(
                conn, since, until=until, after=after, limit=READ_BATCH
            )
            if not changed:
                return None
            requests = await load_callbacks(conn, [callback_id for _, callback_id in changed])
            counted = await queries.count_open(conn)
        for announcement in _announcements(requests, counted):
            deliver(announcement)
        if len(changed) < READ_BATCH:
            return None
        after = changed[-1]
    return after[0] if after else None


async def publish_changes(
    services: Services, conn: Conn, requests: Collection[Callback], *, missed: Collection[int] = ()
) -> None:
    """Publish requests that changed, after the COMMIT; those in missed as missed_call.created.

    The count is read outside any transaction, and carries the moment at which it was true.
    """
    if not requests:
        return
    counted = None
    try:
        counted = await queries.count_open(conn)
    finally:  # what is committed is published, also when the count fails
        services.publish(_announcements(requests, counted, missed))


async def load_callbacks(conn: Conn, ids: Collection[int]) -> list[Callback]:
    """Return requests as clients see them, with the customer and the CRM's open work for them."""
    rows = await queries.load(conn, ids)
    customer_ids = {row.customer_id for row in rows if row.customer_id is not None}
    customers = await lookup.customers_by_id(conn, customer_ids) if customer_ids else {}
    return [
        row.callback
        if row.customer_id is None
        else replace(row.callback, customer=customers.get(row.customer_id))
        for row in rows
    ]


@asynccontextmanager
async def _locked(
    ctx: Context, callback_id: int, *, serialise: bool = False
) -> AsyncIterator[LockedCallback]:
    """Begin a transaction with the lock of one request, and publish its change.

    CallbackNotFound when there is none.
    """
    ctx.identity.require(CALLBACKS_HANDLE)
    async with ctx.services.connection() as conn:
        async with conn.transaction():
            if serialise:
                await queries.serialise(conn)
            status = await queries.lock(conn, callback_id)
            if status is None:
                raise CallbackNotFound
            locked = LockedCallback(callback_id, conn, status)
            yield locked
        await publish_changes(ctx.services, conn, locked.changed)


async def _require_claimable(ctx: Context, locked: LockedCallback) -> None:
    """Raise CallbackClosed, or CallbackClaimed when another employee has claimed it."""
    status = locked.status
    if status.state == "closed":
        raise CallbackClosed
    if status.claimed_by is not None and status.claimed_by != ctx.user_id:
        found = await employees.find(locked.conn, status.claimed_by)
        who = found.employee.name if found else f"Employee {status.claimed_by}"
        raise CallbackClaimed(f"{who} has claimed this call-back request.")


async def _record_change(locked: LockedCallback) -> CallbackIs:
    changed = await _answer(locked)
    locked.changed.append(changed.callback)
    return changed


async def _answer(locked: LockedCallback) -> CallbackIs:
    (callback,) = await load_callbacks(locked.conn, [locked.id])
    return CallbackIs(callback=callback)


def _announcements(
    requests: Collection[Callback], counted: OpenCount | None, missed: Collection[int] = ()
) -> list[Announcement]:
    count = counted.open if counted else None
    as_of = counted.open_as_of if counted else None
    return [
        announce(
            topics.CALLBACKS,
            MissedCallCreated(callback=one, open=count, open_as_of=as_of)
            if one.id in missed and one.state != "closed"
            else CallbackChanged(callback=one, open=count, open_as_of=as_of),
        )
        for one in requests
    ]
