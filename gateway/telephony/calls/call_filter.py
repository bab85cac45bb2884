"""What is asked of a list of calls ─▶ what the calls have to be, and where the list begins.

calls ─▶ understood, page ─▶ queries. Whatever is asked together, a list begins at the place from
which the fewest calls have to be gone through: a telephone, a number, a queue …
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args
from uuid import UUID

from gateway import cursors
from gateway.auth.permissions import CALLS_VIEW_ALL
from gateway.context import Context
from gateway.db import Conn
from gateway.errors import Forbidden
from gateway.protocol import CallList
from gateway.protocol.calls import Direction, Outcome
from gateway.telephony.calls.lookup import meant
from gateway.telephony.calls.queries import access_paths, lookup
from gateway.telephony.calls.queries import call_list as queries
from gateway.telephony.calls.queries.access_paths import Place, Sought, Weight
from gateway.telephony.calls.queries.call_list import Found

EARLIEST = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1)
STRETCHES = (1_000, 10_000)
"""So many calls are gone through for one page, in two stretches: the first nearly always holds a
page, both take at most 0.3 s. Where two things are asked for that never meet, whoever asks has to
ask again for what lies behind."""

Begin = Callable[..., Awaitable[Found]]

PLACES: dict[Place, Begin] = {
    "live": queries.live,
    "numbers": queries.by_numbers,
    "telephones": queries.by_telephones,
    "kind": queries.by_kind,
    "queue": queries.by_queue,
    "disposition": queries.by_disposition,
}


def whose(ctx: Context, agent_id: int | None) -> int | None:
    """Return whose calls are listed; None is everyone's. Another's need calls.view_all."""
    if CALLS_VIEW_ALL in ctx.identity.permissions:
        return agent_id
    if agent_id not in {None, ctx.user_id}:
        raise Forbidden(f"This needs the permission {CALLS_VIEW_ALL}.")
    return ctx.user_id


async def understood(ctx: Context, conn: Conn, asked: CallList) -> Sought | None:
    """Return what a call has to be; None when there cannot be one."""
    employee_id, before = whose(ctx, asked.agent_id), _before(asked)
    telephones = None
    if employee_id is not None:
        telephones = await access_paths.telephones(conn, employee_id)
        if not telephones:
            return None
    e164, raw = await _numbers(ctx, conn, asked)
    if e164 == [] and not raw:
        return None
    kind = asked.direction is not None or asked.outcome is not None
    return Sought(
        before=before,
        since=asked.since or EARLIEST,
        live=None if asked.status is None else asked.status == "live",
        outcome=asked.outcome,
        direction=asked.direction,
        queue=asked.queue,
        disposition=asked.disposition,
        telephones=telephones,
        e164=e164,
        raw=raw,
        directions=_fitting(asked.direction, get_args(Direction)) if kind else (),
        outcomes=_fitting(asked.outcome, get_args(Outcome)) if kind else (),
    )


async def page(
    conn: Conn, sought: Sought, *, limit: int
) -> tuple[Found, tuple[datetime, UUID] | None]:
    """Return (id, started_at) of calls, newest first, and behind which place there may be more.

    With one thing asked for all that is gone through fits. With several the list begins, in each
    stretch anew, where the fewest calls are.
    """
    places = _places(sought)
    if len(places) < 2:
        begin = PLACES[places[0]] if places else queries.newest
        return _cut(await begin(conn, sought, limit=limit + 1), limit, None)
    found: Found = []
    for most in STRETCHES:
        weights = await access_paths.weigh(conn, sought, most=most)
        best = min(places, key=lambda place: _sparse(weights[place]))
        end = weights[best].back_to if weights[best].calls == most else None
        stretch = replace(sought, since=end or sought.since)
        found += await PLACES[best](conn, stretch, limit=limit + 1 - len(found))
        if len(found) > limit or end is None:
            return _cut(found, limit, None)
        sought = replace(sought, before=(end, UUID(int=0)))
    return _cut(found, limit, sought.before)


def _cut(
    found: Found, limit: int, rest: tuple[datetime, UUID] | None
) -> tuple[Found, tuple[datetime, UUID] | None]:
    """Return a page, and its last call when there is one more, or else where the rest begins."""
    if len(found) <= limit:
        return found, rest
    last_id, started_at = found[limit - 1]
    return found[:limit], (started_at, last_id)


def _places(sought: Sought) -> list[Place]:
    """Return where this list may begin, at equal weights the first of them."""
    asked: dict[Place, bool] = {
        "live": bool(sought.live),
        "numbers": sought.e164 is not None,
        "telephones": sought.telephones is not None,
        "kind": bool(sought.directions),
        "queue": sought.queue is not None,
        "disposition": sought.disposition is not None,
    }
    return [place for place in PLACES if asked[place]]


def _sparse(weight: Weight) -> tuple[int, datetime]:
    """Few calls go before many, and of many those that go back furthest."""
    return weight.calls, weight.back_to or EARLIEST


def _before(asked: CallList) -> tuple[datetime, UUID]:
    """Return the place in the list before which all calls of the page are."""
    after = cursors.unpack_uuid(asked.cursor) if asked.cursor else END
    return min(after, (asked.until, UUID(int=0))) if asked.until else after


async def _numbers(ctx: Context, conn: Conn, asked: CallList) -> tuple[list[str] | None, list[str]]:
    """Return the numbers in E.164, None for any, and what a PBX may have given instead of one."""
    if asked.number is None and asked.customer_id is None:
        return None, []
    e164: list[str] = []
    raw: list[str] = []
    if asked.number is not None:
        e164 = meant(asked.number.strip(), ctx.services.regions)
        raw = list({asked.number, asked.number.strip()})
    if asked.customer_id is not None:
        theirs = await lookup.numbers(conn, asked.customer_id)
        e164, raw = [one for one in theirs if asked.number is None or one in e164], []
    return e164, raw


def _fitting(asked: str | None, every: Sequence[str]) -> Sequence[str]:
    return every if asked is None else (asked,)
