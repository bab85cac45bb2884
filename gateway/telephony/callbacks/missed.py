"""Keeps call-back requests up to date with missed calls and with customers who were reached.

realtime.callback_news, written with each missed and each answered call ─▶ process_news ─▶
callbacks ─▶ missed_call.created, callback.changed. It runs after ingest's announcement, which does
not wait for it, and every few seconds for news that a dead worker left. One answered call takes
1.4 ms among 1,000,000 calls; in batches 4,500 of them a second are processed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from uuid import UUID

import structlog

from gateway import cursors
from gateway.auth.permissions import CALLBACKS_HANDLE, CALLS_VIEW_ALL
from gateway.context import Context, Services
from gateway.db import Conn
from gateway.errors import Forbidden, GatewayError
from gateway.protocol.callbacks import (
    MissedCall,
    MissedCallList,
    MissedCallPage,
)
from gateway.telephony.callbacks import callbacks
from gateway.telephony.callbacks.queries import callbacks as callback_queries
from gateway.telephony.callbacks.queries import missed as queries
from gateway.telephony.callbacks.queries import reached as reached_queries
from gateway.telephony.callbacks.queries.missed import CallbackNews, MissedCallRow
from gateway.telephony.callbacks.queries.reached import CustomerReached
from gateway.telephony.calls.lookup import numbers_for, texts_for
from gateway.telephony.calls.queries import lookup
from gateway.telephony.calls.queries.lookup import CustomerMatch
from gateway.telephony.stats.rates import SHORT_MS
from ingest import CallChange

log = structlog.get_logger(__name__)

BATCH = 500
RETRY_AFTER_FAILURE_S = 30.0
MAX_AGE_DAYS = 7
"""A call that was missed longer ago, and is reported late or replayed, makes no request."""


async def run(services: Services, *, every_s: float) -> None:
    """Process news and release expired claims every few seconds, until cancelled.

    After an overload or a timeout the next batch is a quarter as large.
    """
    limit, pause_s = BATCH, every_s
    while True:
        await asyncio.sleep(pause_s)
        pause_s = every_s
        try:
            await release_expired_claims(services)
            await process_news(services, limit=limit)
            limit = BATCH
        except GatewayError as error:
            limit = max(1, limit // 4)
            log.debug("callbacks.delayed", error=type(error).__name__)
        except Exception:
            pause_s = max(every_s, RETRY_AFTER_FAILURE_S)
            log.exception("callbacks.failed")


def wake(services: Services, changes: Sequence[CallChange]) -> None:
    """Wake follow() when one of these calls was missed, found not to be missed, or answered."""
    if any(_affects_callbacks(change) for change in changes):
        services.callback_news.set()


async def follow(services: Services) -> None:
    """Process news as soon as this node has stored some, until cancelled."""
    while True:
        await services.callback_news.wait()
        services.callback_news.clear()
        try:
            await process_news(services)
        except GatewayError as error:  # run() does it a few seconds later
            log.debug("callbacks.delayed", error=type(error).__name__)
        except Exception:
            log.exception("callbacks.failed")
            await asyncio.sleep(RETRY_AFTER_FAILURE_S)


async def process_news(services: Services, *, limit: int = BATCH) -> None:
    """Process all news, batch by batch."""
    while await _process_batch(services, limit) == limit:
        pass


async def release_expired_claims(services: Services) -> None:
    """Reopen requests whose claim has expired, and publish them."""
    async with services.connection() as conn:
        if not await callback_queries.any_expired(conn):
            return
        async with conn.transaction():
            await callback_queries.serialise(
                conn
            )  # as all who update several requests: no deadlock
            released = await callback_queries.release_expired(conn)
            changed = await callbacks.load_callbacks(conn, released)
        await callbacks.publish_changes(services, conn, changed)


async def list_page(ctx: Context, command: MissedCallList) -> MissedCallPage:
    """Return a page of missed calls, newest first; with callbacks.handle or calls.view_all."""
    if not ctx.identity.permissions & {CALLBACKS_HANDLE, CALLS_VIEW_ALL}:
        raise Forbidden(f"This needs the permission {CALLBACKS_HANDLE} or {CALLS_VIEW_ALL}.")
    after = cursors.unpack_uuid(command.cursor) if command.cursor else None
    e164 = numbers_for(command.number, ctx.services.regions) if command.number else []
    raw = texts_for(command.number, ctx.services.regions) if command.number else []
    async with ctx.reading() as conn:
        rows = await queries.page(
            conn, command, e164=e164, raw=raw, after=after, limit=command.limit + 1
        )
        page = rows[: command.limit]
        numbers = sorted({row.number_e164 for row in page if row.number_e164})
        customers = await lookup.customers(conn, numbers) if numbers else {}
    calls = [_to_wire(row, customers.get(row.number_e164 or "")) for row in page]
    following = None
    if len(rows) > command.limit:
        following = cursors.pack(page[-1].started_at, page[-1].call_id)
    return MissedCallPage(calls=calls, next=following)


def _to_wire(row: MissedCallRow, match: CustomerMatch | None) -> MissedCall:
    return MissedCall(
        call_id=row.call_id,
        source=row.source,
        number=row.number_e164 or row.number_raw,
        customer=match.customer if match else None,
        queue=row.queue,
        outcome=row.outcome,
        started_at=row.started_at,
        ended_at=row.ended_at,
        wait_ms=row.wait_ms,
        callback_id=row.callback_id,
    )


def _affects_callbacks(change: CallChange) -> bool:
    before, after = change.before, change.after
    missed = after.missed or (before is not None and before.missed)
    return missed or (after.answered_at is not None and (before is None or not before.answered_at))


async def _process_batch(services: Services, limit: int) -> int:
    """Process the oldest news and publish the changes; return how many news there were."""
    async with services.connection() as conn:
        if not await queries.any_news(conn):  # there is nothing nearly every time
            return 0
        if services.crm_views.may_return("customers", "customer_phones"):
            return 0  # whose call it was is stored for good: the news waits
        async with conn.transaction():
            await callback_queries.serialise(conn)
            news = await queries.dequeue(conn, limit=limit)
            missed = await _apply_news(conn, news) if news else set()
            changed = await queries.changed_in_transaction(conn) if news else []
            requests = await callbacks.load_callbacks(conn, changed) if changed else []
        await callbacks.publish_changes(services, conn, requests, missed=missed)
    return len(news)


async def _apply_news(conn: Conn, news: Sequence[CallbackNews]) -> set[int]:
    """Update the requests by these news; return the ids of those with a newly missed call."""
    call_ids = {one.call_id for one in news if one.call_id is not None}
    reached = await reached_queries.by_calls(conn, call_ids)
    reached += [
        CustomerReached(one.customer_id, None, one.at, one.how or "")
        for one in news
        if one.customer_id is not None
    ]
    if reached:
        await reached_queries.record(conn, reached)
    known = await queries.detach(conn, call_ids)  # those still missed are attached again below
    touched, missed = set(known.values()), set[int]()
    pending: Collection[UUID] = call_ids
    owed = set(known)
    while True:
        placed = await _assign_calls(conn, pending, owed)
        touched |= set(placed.values())
        missed |= {placed[call_id] for call_id in placed.keys() - known.keys()}
        if touched:
            await queries.refresh_totals(conn, touched)
        closed, pending = await reached_queries.close_reached(conn, touched, reached)
        if not pending:
            return missed
        await queries.refresh_totals(conn, closed)
        owed.update(pending)
        touched, reached = set(), []


async def _assign_calls(
    conn: Conn, call_ids: Collection[UUID], owed: Collection[UUID]
) -> dict[UUID, int]:
    """Attach missed calls to requests; return call → request. Those in owed were in one before."""
    due = await queries.find_due(conn, call_ids, owed=owed, short_ms=SHORT_MS, days=MAX_AGE_DAYS)
    if not due:
        return {}
    numbers = sorted({one.number for one in due})
    found = await lookup.customers(conn, numbers)
    best = {number: match.customer.id for number, match in found.items()}
    strays = await queries.lock_callbacks(conn, numbers, set(best.values()))
    for callback_id, number in strays.items():
        if number in best:  # no customer had the number when the request was made
            await queries.assign_customer(conn, callback_id, best[number])
    calls = [replace(one, customer_id=best.get(one.number)) for one in due]
    return await queries.attach(conn, calls)
