"""Scorecards: the criteria by which calls are reviewed, for those with calls.review.

rest ─▶ these ─▶ queries. An edited scorecard is a new version; older versions stay with the reviews
that were made with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway import cursors
from gateway.auth.permissions import CALLS_REVIEW
from gateway.context import Context
from gateway.errors import Invalid, ScorecardNotFound, ScorecardOutdated
from gateway.protocol.reviews import Criterion, Scorecard, ScorecardPage
from gateway.telephony.quality.queries import scorecards as queries


@dataclass(frozen=True, slots=True)
class SavedScorecard:
    """A scorecard, and whether this call created a version of it."""

    scorecard: Scorecard
    created: bool


async def save(ctx: Context, name: str, criteria: Sequence[Criterion]) -> SavedScorecard:
    """Create a scorecard, or its next version; nothing when its criteria are the same."""
    ctx.identity.require(CALLS_REVIEW)
    keys = [one.key for one in criteria]
    if len(set(keys)) < len(keys):
        raise Invalid("Two criteria have the same key.", path="criteria")
    async with ctx.transaction() as tx:
        await queries.lock_name(tx.conn, name)
        newest = await queries.newest(tx.conn, name)
        if newest and newest.active and newest.criteria == list(criteria):
            return SavedScorecard(newest, created=False)
        act = ctx.act("scorecard.create", subject=f"scorecard:{name}", name=name)
        made = await queries.insert(tx.conn, name, criteria=criteria, by=ctx.user_id, audit=act)
    return SavedScorecard(made, created=True)


async def activate(ctx: Context, scorecard_id: int, *, active: bool) -> Scorecard:
    """Set whether new reviews may use a scorecard; only its newest version can be active."""
    ctx.identity.require(CALLS_REVIEW)
    async with ctx.transaction() as tx:
        card = await queries.find(tx.conn, scorecard_id)
        if card is None:
            raise ScorecardNotFound
        await queries.lock_name(tx.conn, card.name)
        newest = await queries.newest(tx.conn, card.name)
        found = await queries.find(tx.conn, scorecard_id)
        assert newest is not None
        assert found is not None
        if active and newest.scorecard_id != scorecard_id:
            raise ScorecardOutdated
        if found.active == active:
            return found
        act = ctx.act(
            "scorecard.update",
            subject=f"scorecard:{card.name}",
            scorecard_id=scorecard_id,
            active=[found.active, active],
        )
        changed = await queries.activate(tx.conn, scorecard_id, active=active, audit=act)
        assert changed is not None
    return changed


async def page(
    ctx: Context, *, active: bool | None, limit: int, cursor: str | None
) -> ScorecardPage:
    """Return a page of scorecards, the newest first."""
    ctx.identity.require(CALLS_REVIEW)
    after = cursors.unpack_int(cursor) if cursor else None
    async with ctx.reading() as conn:
        found = await queries.page(conn, active=active, after=after, limit=limit + 1)
    shown, following = found[:limit], None
    if len(found) > limit:
        following = cursors.pack(shown[-1].created_at, shown[-1].scorecard_id)
    return ScorecardPage(scorecards=shown, next=following)


def validate_points(card: Scorecard, points: Mapping[str, int | None]) -> dict[str, int]:
    """Return the points that are not null; Invalid when a criterion or its points do not fit."""
    most = {one.key: one.max for one in card.criteria}
    for key, given in points.items():
        if key not in most:
            raise Invalid("The scorecard has no such criterion.", path=f"points.{key}")
        if given is not None and given > most[key]:
            raise Invalid(f"At most {most[key]}.", path=f"points.{key}")
    return {key: given for key, given in points.items() if given is not None}
