"""Quality reviews: draft, publish, acknowledge or dispute, resolve; and their summary.

rest ─▶ these ─▶ queries. Each action locks the review, checks permission and state, is written to
the audit by its own statement, and is announced to the reviewer, if they still may review, and to
the agent, unless it is a draft.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway import cursors, topics
from gateway.audit import Act
from gateway.auth.permissions import CALLS_REVIEW
from gateway.auth.queries import employees
from gateway.context import Context, Transaction
from gateway.db import Conn
from gateway.errors import (
    Forbidden,
    Invalid,
    NotOnThisCall,
    ReviewExists,
    ReviewNotFound,
    ReviewOfOneself,
    ReviewState,
    ScorecardNotFound,
)
from gateway.protocol.reviews import (
    QualitySummary,
    Review,
    ReviewChanged,
    ReviewIs,
    ReviewPage,
    Scorecard,
    Verdict,
)
from gateway.telephony.calls.access import require_call
from gateway.telephony.calls.queries import call_members, timeline
from gateway.telephony.quality.queries import quality
from gateway.telephony.quality.queries import reviews as queries
from gateway.telephony.quality.queries import scorecards as scorecard_queries
from gateway.telephony.quality.queries.reviews import ReviewFilter
from gateway.telephony.quality.scorecards import validate_points

Points = Mapping[str, int | None]


async def create(
    ctx: Context, call_id: UUID, *, agent_id: int, scorecard_id: int, points: Points, comment: str
) -> ReviewIs:
    """Create a draft about an agent's part of a call; only its reviewer sees it."""
    ctx.identity.require(CALLS_REVIEW)
    if agent_id == ctx.user_id:
        raise ReviewOfOneself
    async with ctx.transaction() as tx:
        now = await require_call(ctx, tx.conn, call_id)
        if agent_id not in await call_members.agents(tx.conn, now):
            raise NotOnThisCall
        card = await _active_scorecard(tx.conn, scorecard_id)
        made = await queries.insert(
            tx.conn,
            now,
            agent_id=agent_id,
            reviewer_id=ctx.user_id,
            scorecard_id=scorecard_id,
            points=validate_points(card, points),
            comment=comment,
            audit=_act(ctx, "review.create", now),
        )
        if made is None:
            raise ReviewExists
        await _announce(tx, made)
    return ReviewIs(review=made, scorecard=card)


async def change(
    ctx: Context,
    review_id: int,
    *,
    scorecard_id: int | None,
    points: Points | None,
    comment: str | None,
) -> ReviewIs:
    """Change one's own draft; the last change counts, None leaves a part as it is."""
    ctx.identity.require(CALLS_REVIEW)
    async with ctx.transaction() as tx:
        review, card = await _locked(ctx, tx.conn, review_id)
        if review.reviewer_id != ctx.user_id:
            raise Forbidden("Only the reviewer may change a draft.")
        _require_state(review, "draft")
        if scorecard_id is not None and scorecard_id != card.scorecard_id:
            card = await _active_scorecard(tx.conn, scorecard_id)
        changed = await queries.update_draft(
            tx.conn,
            review_id,
            scorecard_id=card.scorecard_id,
            points=validate_points(card, review.points if points is None else points),
            comment=review.comment if comment is None else comment,
            audit=_act(ctx, "review.update", review.call_id),
        )
        await _announce(tx, changed)
    return ReviewIs(review=changed, scorecard=card)


async def publish(ctx: Context, review_id: int) -> ReviewIs:
    """Publish one's own draft to the agent; repeating it returns the same answer."""
    ctx.identity.require(CALLS_REVIEW)
    async with ctx.transaction() as tx:
        review, card = await _locked(ctx, tx.conn, review_id)
        if review.reviewer_id != ctx.user_id:
            raise Forbidden("Only the reviewer may publish a draft.")
        if review.state == "published":
            return ReviewIs(review=review, scorecard=card)
        _require_state(review, "draft")
        act = _act(ctx, "review.publish", review.call_id)
        review = await queries.publish(tx.conn, review_id, audit=act)
        await _announce(tx, review)
    return ReviewIs(review=review, scorecard=card)


async def acknowledge(ctx: Context, review_id: int) -> ReviewIs:
    """Accept a review about oneself; repeating it returns the same answer."""
    async with ctx.transaction() as tx:
        review, card = await _locked(ctx, tx.conn, review_id)
        _require_agent(ctx, review)
        if review.state == "acknowledged":
            return ReviewIs(review=review, scorecard=card)
        _require_state(review, "published")
        act = _act(ctx, "review.acknowledge", review.call_id)
        review = await queries.acknowledge(tx.conn, review_id, audit=act)
        await _announce(tx, review)
    return ReviewIs(review=review, scorecard=card)


async def dispute(ctx: Context, review_id: int, text: str) -> ReviewIs:
    """Dispute a review about oneself, once; the same text again returns the same answer."""
    async with ctx.transaction() as tx:
        review, card = await _locked(ctx, tx.conn, review_id)
        _require_agent(ctx, review)
        if review.state == "disputed" and review.dispute == text:
            return ReviewIs(review=review, scorecard=card)
        _require_state(review, "published")
        act = _act(ctx, "review.dispute", review.call_id)
        review = await queries.dispute(tx.conn, review_id, text, audit=act)
        await _announce(tx, review)
    return ReviewIs(review=review, scorecard=card)


async def resolve(
    ctx: Context, review_id: int, *, verdict: Verdict, points: Points | None, text: str | None
) -> ReviewIs:
    """Decide a dispute: the points stay, or are replaced by these."""
    ctx.identity.require(CALLS_REVIEW)
    if (verdict == "changed") != (points is not None):
        raise Invalid("Send points if, and only if, the resolution is `changed`.", path="points")
    async with ctx.transaction() as tx:
        before, card = await _locked(ctx, tx.conn, review_id)
        if before.agent_id == ctx.user_id:
            raise ReviewOfOneself
        _require_state(before, "disputed")
        decided = before.points if points is None else validate_points(card, points)
        changed = {"resolution": verdict, "points": [before.points, decided]}
        after = await queries.resolve(
            tx.conn,
            review_id,
            verdict=verdict,
            points=decided,
            text=text,
            by=ctx.user_id,
            audit=_act(ctx, "review.resolve", before.call_id, **changed),
        )
        await _announce(tx, after)
    return ReviewIs(review=after, scorecard=card)


async def get(ctx: Context, review_id: int) -> ReviewIs:
    """Return a review that the employee may see: about them, or any with calls.review."""
    async with ctx.reading() as conn:
        review = await queries.find(conn, review_id)
        if review is None or not _may_see(ctx, review):
            raise ReviewNotFound
        card = await scorecard_queries.find(conn, review.scorecard_id)
    assert card is not None
    return ReviewIs(review=review, scorecard=card)


async def page(
    ctx: Context, criteria: ReviewFilter, call_id: UUID | None, *, limit: int, cursor: str | None
) -> ReviewPage:
    """Return a page of the reviews that one may see, the newest first; of one call, or of any."""
    after = cursors.unpack_int(cursor) if cursor else None
    async with ctx.reading() as conn:
        if call_id is not None:
            criteria = replace(criteria, call_ids=await timeline.family(conn, call_id))
        found = await queries.page(
            conn,
            criteria,
            reader_id=ctx.user_id,
            reviews_others=CALLS_REVIEW in ctx.identity.permissions,
            after=after,
            limit=limit + 1,
        )
    shown, following = found[:limit], None
    if len(found) > limit:
        following = cursors.pack(shown[-1].created_at, shown[-1].review_id)
    return ReviewPage(reviews=shown, next=following)


async def summary(
    ctx: Context,
    *,
    since: datetime,
    until: datetime,
    agent_id: int | None,
    after: int | None,
    limit: int,
) -> QualitySummary:
    """Summarise the reviews published in a period by agent; without calls.review only one's own."""
    if CALLS_REVIEW not in ctx.identity.permissions:
        if agent_id not in {None, ctx.user_id}:
            raise Forbidden(f"This needs the permission {CALLS_REVIEW}.")
        agent_id = ctx.user_id
    async with ctx.reading() as conn:
        found = await quality.summary(
            conn, since=since, until=until, agent_id=agent_id, after=after, limit=limit + 1
        )
    shown = found[:limit]
    following = shown[-1].agent_id if len(found) > limit else None
    return QualitySummary(since=since, until=until, agents=shown, next=following)


def _may_see(ctx: Context, review: Review) -> bool:
    """Whether the employee may see it; a draft only its reviewer."""
    reviews_others = CALLS_REVIEW in ctx.identity.permissions
    if review.state == "draft":
        return reviews_others and review.reviewer_id == ctx.user_id
    return reviews_others or review.agent_id == ctx.user_id


def _require_state(review: Review, state: str) -> None:
    if review.state != state:
        raise ReviewState(f"The review is {review.state}, not {state}.")


def _require_agent(ctx: Context, review: Review) -> None:
    if review.agent_id != ctx.user_id:
        raise Forbidden("Only the agent whom a review is about may answer it.")


async def _active_scorecard(conn: Conn, scorecard_id: int) -> Scorecard:
    card = await scorecard_queries.find(conn, scorecard_id)
    if card is None or not card.active:
        raise ScorecardNotFound
    return card


async def _locked(ctx: Context, conn: Conn, review_id: int) -> tuple[Review, Scorecard]:
    """Return a review that the employee may see, locked until the end of the transaction."""
    review = await queries.lock(conn, review_id)
    if review is None or not _may_see(ctx, review):
        raise ReviewNotFound
    card = await scorecard_queries.find(conn, review.scorecard_id)
    assert card is not None
    return review, card


def _act(ctx: Context, act: str, call_id: UUID, **details: Any) -> Act:
    """Return an action for the audit; its statement adds the review, the agent and the score."""
    return ctx.act(act, subject=f"call:{call_id}", **details)


async def _announce(tx: Transaction, review: Review) -> None:
    """Announce a review to those it concerns."""
    concerned = set() if review.state == "draft" else {review.agent_id}
    reviewer = await employees.find(tx.conn, review.reviewer_id)
    if reviewer is not None and reviewer.active and CALLS_REVIEW in reviewer.permissions:
        concerned.add(review.reviewer_id)
    for employee_id in concerned:
        tx.announce(topics.user(employee_id), ReviewChanged(review=review))
