"""Filters of call lists: from a call.list command to criteria, and to the cheapest access path.

calls ─▶ parse, page ─▶ queries. Of the criteria that are given, a list is read by the one that
needs the fewest calls read: a telephone, a number, a queue …
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
from gateway.telephony.calls.lookup import numbers_for, texts_for
from gateway.telephony.calls.queries import access_paths, lookup
from gateway.telephony.calls.queries import call_list as queries
from gateway.telephony.calls.queries.access_paths import ANY, AccessPath, CallFilter, Estimate
from gateway.telephony.calls.queries.call_list import CallPositions

EARLIEST = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1)
SCAN_LIMITS = (1_000, 10_000)
"""Calls read for one page, in two steps: the first nearly always fills a page, both take at most
0.3 s. When the criteria hardly ever meet, the page is short or empty and its cursor leads on."""

Listing = Callable[..., Awaitable[CallPositions]]

LISTINGS: dict[AccessPath, Listing] = {
    "live": queries.live,
    "numbers": queries.by_numbers,
    "telephones": queries.by_telephones,
    "kind": queries.by_kind,
    "queue": queries.by_queue,
    "ring_group": queries.by_ring_group,
    "disposition": queries.by_disposition,
    "did": queries.by_did,
    "wait": queries.by_wait,
    "talk": queries.by_talk,
}
IN_CLASSES: frozenset[AccessPath] = frozenset({"wait", "talk"})
"""Access paths that also read calls that do not match: they are limited like several criteria."""


def agent_scope(ctx: Context, agent_id: int | None) -> int | None:
    """Return whose calls to list; None means everyone's. Those of others need calls.view_all."""
    if CALLS_VIEW_ALL in ctx.identity.permissions:
        return agent_id
    if agent_id not in {None, ctx.user_id}:
        raise Forbidden(f"This needs the permission {CALLS_VIEW_ALL}.")
    return ctx.user_id


async def parse(ctx: Context, conn: Conn, command: CallList) -> CallFilter | None:
    """Return the criteria of a command; None when no call can meet them."""
    employee_id, before = agent_scope(ctx, command.agent_id), _start(command)
    telephones = None
    if employee_id is not None:
        ctx.services.crm_views.require("extensions")
        telephones = await access_paths.telephones(conn, employee_id)
        if not telephones:
            return None
    e164, raw = await _numbers(ctx, conn, command)
    if e164 == [] and not raw:
        return None
    kind = any((command.direction, command.outcome, command.ended_by))
    return CallFilter(
        before=before,
        since=command.since or EARLIEST,
        live=None if command.status is None else command.status == "live",
        outcome=command.outcome,
        direction=command.direction,
        queue=command.queue,
        disposition=command.disposition,
        telephones=telephones,
        e164=e164,
        raw=raw,
        did=_forms(ctx, command.did),
        ring_group=command.ring_group,
        ended_by=command.ended_by,
        wait_ms=(command.wait_ms_min, command.wait_ms_max),
        talk_ms=(command.talk_ms_min, command.talk_ms_max),
        directions=_choices(command.direction, get_args(Direction)) if kind else (),
        outcomes=_choices(command.outcome, get_args(Outcome)) if kind else (),
    )


async def page(
    conn: Conn, criteria: CallFilter, *, limit: int
) -> tuple[CallPositions, tuple[datetime, UUID] | None]:
    """Return (id, started_at) of calls, newest first, and after which position to continue.

    The position is None when there are no more. With one criterion every call that is read matches,
    unless it is a duration or who hung up. With several, each step uses the access path that its
    estimate says is the cheapest.
    """
    paths = _access_paths(criteria)
    matches = len(paths) < 2 and not IN_CLASSES.intersection(paths)
    if matches and criteria.ended_by is None:
        read = LISTINGS[paths[0]] if paths else queries.newest
        return _page(await read(conn, criteria, limit=limit + 1), limit, None)
    found: CallPositions = []
    for most in SCAN_LIMITS:
        estimates = await access_paths.estimate(conn, criteria, most=most)
        best = min(paths, key=lambda path: _cost(estimates[path]))
        end = estimates[best].back_to if estimates[best].calls == most else None
        step = replace(criteria, since=end or criteria.since)
        found += await LISTINGS[best](conn, step, limit=limit + 1 - len(found))
        if len(found) > limit or end is None:
            return _page(found, limit, None)
        criteria = replace(criteria, before=(end, UUID(int=0)))
    return _page(found, limit, criteria.before)


def _page(
    found: CallPositions, limit: int, rest: tuple[datetime, UUID] | None
) -> tuple[CallPositions, tuple[datetime, UUID] | None]:
    """Return a page, and the position of its last call when there is one more, otherwise rest."""
    if len(found) <= limit:
        return found, rest
    last_id, started_at = found[limit - 1]
    return found[:limit], (started_at, last_id)


def _access_paths(criteria: CallFilter) -> list[AccessPath]:
    """Return the access paths for these criteria; of equal estimates the first is used."""
    given: dict[AccessPath, bool] = {
        "live": bool(criteria.live),
        "numbers": criteria.e164 is not None,
        "telephones": criteria.telephones is not None,
        "kind": bool(criteria.directions),
        "queue": criteria.queue is not None,
        "ring_group": criteria.ring_group is not None,
        "disposition": criteria.disposition is not None,
        "did": criteria.did is not None,
        "wait": criteria.wait_ms != ANY,
        "talk": criteria.talk_ms != ANY,
    }
    return [path for path in LISTINGS if given[path]]


def _cost(weight: Estimate) -> tuple[int, datetime]:
    """Few calls cost less than many; of many, those that reach back furthest cost least."""
    return weight.calls, weight.back_to or EARLIEST


def _start(command: CallList) -> tuple[datetime, UUID]:
    """Return the position after which the page begins: all its calls are older."""
    after = cursors.unpack_uuid(command.cursor) if command.cursor else END
    return min(after, (command.until, UUID(int=0))) if command.until else after


async def _numbers(
    ctx: Context, conn: Conn, command: CallList
) -> tuple[list[str] | None, list[str]]:
    """Return the numbers in E.164, None for any, and texts that a PBX may have sent instead."""
    if command.number is None and command.customer_id is None:
        return None, []
    e164: list[str] = []
    raw: list[str] = []
    if command.number is not None:
        e164 = numbers_for(command.number, ctx.services.regions)
        raw = texts_for(command.number, ctx.services.regions)
    if command.customer_id is not None:
        ctx.services.crm_views.require("customer_phones")
        theirs = await lookup.numbers(conn, command.customer_id)
        e164, raw = [one for one in theirs if command.number is None or one in e164], []
    return e164, raw


def _forms(ctx: Context, number: str | None) -> list[str] | None:
    """Return what a number of ours may be stored as: E.164, or the text from the PBX."""
    if number is None:
        return None
    regions = ctx.services.regions
    return list(dict.fromkeys([*numbers_for(number, regions), *texts_for(number, regions)]))


def _choices(chosen: str | None, every: Sequence[str]) -> Sequence[str]:
    return every if chosen is None else (chosen,)
