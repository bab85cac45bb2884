"""From missed calls, and from customers who were reached, to whom to call back.

callback_news, written with every missed and every answered call ─▶ settle ─▶ callbacks ─▶
missed_call.created, callback.changed. Looked at after ingest's announcement, which does not wait
for it, and every few seconds: what a worker that died did not say is said then. One answered call
takes 1.4 ms among 1,000,000 calls, in batches 4,500 of them a second.
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
from gateway.telephony.callbacks.queries import callbacks as items
from gateway.telephony.callbacks.queries import missed as queries
from gateway.telephony.callbacks.queries import reached as reaches
from gateway.telephony.callbacks.queries.missed import News
from gateway.telephony.callbacks.queries.reached import Reach
from gateway.telephony.calls.lookup import meant
from gateway.telephony.calls.queries import lookup
from gateway.telephony.stats.rates import SHORT_MS
from ingest import CallChange

log = structlog.get_logger(__name__)

BATCH = 500
AFTER_FAILURE_S = 30.0
DAYS = 7
"""A call missed longer ago, told of late or replayed, becomes nobody's debt any more."""


async def run(services: Services, *, every_s: float) -> None:
    """Settle what is new and give back claims that have ended, until cancelled.

    What could not be done in time is tried again in smaller portions.
    """
    limit, pause_s = BATCH, every_s
    while True:
        await asyncio.sleep(pause_s)
        pause_s = every_s
        try:
            await give_back(services)
            await settle(services, limit=limit)
            limit = BATCH
        except GatewayError as error:
            limit = max(1, limit // 4)
            log.debug("callbacks.delayed", error=type(error).__name__)
        except Exception:
            pause_s = max(every_s, AFTER_FAILURE_S)
            log.exception("callbacks.failed")


def wake(services: Services, changes: Sequence[CallChange]) -> None:
    """Have follow() settle when one of these calls was missed, taken back or answered."""
    if any(_concerns(change) for change in changes):
        services.callback_news.set()


async def follow(services: Services) -> None:
    """Settle what this node has stored, at once, until cancelled."""
    while True:
        await services.callback_news.wait()
        services.callback_news.clear()
        try:
            await settle(services)
        except GatewayError as error:  # the next look does what cannot be done now
            log.debug("callbacks.delayed", error=type(error).__name__)
        except Exception:
            log.exception("callbacks.failed")
            await asyncio.sleep(AFTER_FAILURE_S)


async def settle(services: Services, *, limit: int = BATCH) -> None:
    """Take in all news, however many looks that takes."""
    while await _settle(services, limit) == limit:
        pass


async def give_back(services: Services) -> None:
    """Open what was claimed and not worked on in time."""
    async with services.connection() as conn:
        if not await items.any_ended(conn):
            return
        async with conn.transaction():
            await items.turn(conn)  # whoever updates several items does it in turn: no deadlock
            returned = await items.give_back(conn)
            shown = await callbacks.shown(conn, returned)
        await callbacks.tell(services, conn, shown)


async def list_page(ctx: Context, asked: MissedCallList) -> MissedCallPage:
    """Return a page of missed calls, newest first; with callbacks.handle or calls.view_all."""
    if not ctx.identity.permissions & {CALLBACKS_HANDLE, CALLS_VIEW_ALL}:
        raise Forbidden(f"This needs the permission {CALLBACKS_HANDLE} or {CALLS_VIEW_ALL}.")
    after = cursors.unpack_uuid(asked.cursor) if asked.cursor else None
    e164 = meant(asked.number.strip(), ctx.services.regions) if asked.number else []
    async with ctx.reading() as conn:
        rows = await queries.page(conn, asked, e164=e164, after=after, limit=asked.limit + 1)
        shown = rows[: asked.limit]
        numbers = sorted({row["number_e164"] for row in shown if row["number_e164"]})
        found = await lookup.customers(conn, numbers) if numbers else {}
    calls = [
        MissedCall(
            call_id=row["call_id"],
            source=row["source"],
            number=row["number_e164"] or row["number_raw"],
            customer=found[row["number_e164"]].customer if row["number_e164"] in found else None,
            queue=row["queue"],
            outcome=row["outcome"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            wait_ms=row["wait_ms"],
            callback_id=row["callback_id"],
        )
        for row in shown
    ]
    following = None
    if len(rows) > asked.limit:
        following = cursors.pack(shown[-1]["started_at"], shown[-1]["call_id"])
    return MissedCallPage(calls=calls, next=following)


def _concerns(change: CallChange) -> bool:
    before, after = change.before, change.after
    missed = after.missed or (before is not None and before.missed)
    return missed or (after.answered_at is not None and (before is None or not before.answered_at))


async def _settle(services: Services, limit: int) -> int:
    """Take in some news and tell what came of them; return how many there were."""
    async with services.connection() as conn:
        if not await queries.any_news(conn):  # nearly every look finds nothing
            return 0
        async with conn.transaction():
            await items.turn(conn)
            news = await queries.take(conn, limit=limit)
            missed = await _take_in(conn, news) if news else set()
            changed = await queries.changed_now(conn) if news else []
            shown = await callbacks.shown(conn, changed) if changed else []
        await callbacks.tell(services, conn, shown, missed=missed)
    return len(news)


async def _take_in(conn: Conn, news: Sequence[News]) -> set[int]:
    """Bring the items up to date with these news; return those with a call missed just now."""
    call_ids = {one.call_id for one in news if one.call_id is not None}
    reached = await reaches.by_calls(conn, call_ids)
    reached += [
        Reach(one.customer_id, None, one.at, one.how or "")
        for one in news
        if one.customer_id is not None
    ]
    if reached:
        await reaches.note(conn, reached)
    known = await queries.drop(conn, call_ids)  # what is still missed comes back
    touched, missed = set(known.values()), set[int]()
    pending: Collection[UUID] = call_ids
    owed = set(known)
    while True:
        placed = await _gather(conn, pending, owed)
        touched |= set(placed.values())
        missed |= {placed[call_id] for call_id in placed.keys() - known.keys()}
        if touched:
            await queries.recount(conn, touched)
        closed, pending = await reaches.close(conn, touched, reached)
        if not pending:
            return missed
        await queries.recount(conn, closed)
        owed.update(pending)
        touched, reached = set(), []


async def _gather(
    conn: Conn, call_ids: Collection[UUID], owed: Collection[UUID]
) -> dict[UUID, int]:
    """Put missed calls into items; return call → item. Those owed were in one until now."""
    due = await queries.weigh(conn, call_ids, owed=owed, short_ms=SHORT_MS, days=DAYS)
    if not due:
        return {}
    numbers = sorted({one.number for one in due})
    found = await lookup.customers(conn, numbers)
    best = {number: match.customer.id for number, match in found.items()}
    strays = await queries.hold(conn, numbers, set(best.values()))
    for callback_id, number in strays.items():
        if number in best:  # no customer had it when the item was made
            await queries.adopt(conn, callback_id, best[number])
    whose = [replace(one, customer_id=best.get(one.number)) for one in due]
    return await queries.place(conn, whose)
