"""Quality reviews over HTTP: scorecards, reviews, and what they come to."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from gateway.protocol.frame import Id, frame
from gateway.protocol.reviews import (
    MAX_PAGE,
    Comment,
    Criteria,
    Given,
    Name,
    QualitySummary,
    Reason,
    ReviewIs,
    ReviewPage,
    ReviewStatus,
    Scorecard,
    ScorecardPage,
    Verdict,
)
from gateway.protocol.search import Moment
from gateway.rest.depends import Asking, Cursor, IdQuery, RowId, StrictRoute, answer
from gateway.telephony.quality import reviews, scorecards
from gateway.telephony.quality.queries.reviews import ReviewFilter
from gateway.telephony.stats import stats

router = APIRouter(prefix="/v1/telephony/quality", tags=["quality"], route_class=StrictRoute)

Score = Annotated[float | None, Query(ge=0, le=100, allow_inf_nan=False)]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]

REVIEW = "/reviews/{review_id}"


@frame
class ScorecardNew:
    """A scorecard, or the next version of the one of this name."""

    name: Name
    criteria: Criteria


@frame
class ScorecardChange:
    """Whether new reviews may be made by it."""

    active: bool


@frame
class ReviewNew:
    """Somebody's part of a call, graded."""

    call_id: UUID
    agent_id: Id
    scorecard_id: Id
    points: Given = field(default_factory=dict)
    comment: Comment = ""


@frame
class ReviewChange:
    """What is to be other in a draft; what is left out stays."""

    scorecard_id: Id | None = None
    points: Given | None = None
    comment: Comment | None = None


@frame
class Dispute:
    """What the agent holds against a review."""

    text: Reason


@frame
class Resolution:
    """What becomes of a disputed review."""

    resolution: Verdict
    points: Given | None = None
    """All points anew, when they are changed."""
    text: Reason | None = None


@router.get("/scorecards", response_model=ScorecardPage)
async def list_scorecards(
    asking: Asking, *, active: bool | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """List scorecards, the newest first; needs calls.review."""
    return answer(await scorecards.page(asking, active=active, limit=limit, cursor=cursor))


@router.post("/scorecards", response_model=Scorecard, status_code=201)
async def put_scorecard(asking: Asking, body: ScorecardNew) -> Response:
    """Make a scorecard, or the next version of it; needs calls.review.

    What its newest version already says makes none, and is answered with 200.
    """
    made = await scorecards.save(asking, body.name, body.criteria)
    return answer(made.scorecard, 201 if made.created else 200)


@router.patch("/scorecards/{scorecard_id}", response_model=Scorecard)
async def change_scorecard(asking: Asking, scorecard_id: RowId, body: ScorecardChange) -> Response:
    """Let a scorecard be used for new reviews, or no longer; needs calls.review."""
    return answer(await scorecards.activate(asking, scorecard_id, active=body.active))


@router.get("/reviews", response_model=ReviewPage)
async def list_reviews(
    asking: Asking,
    *,
    agent_id: IdQuery = None,
    reviewer_id: IdQuery = None,
    call_id: UUID | None = None,
    state: ReviewStatus | None = None,
    min_score: Score = None,
    max_score: Score = None,
    since: Moment | None = None,
    until: Moment | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List reviews, the newest first: those about me; with calls.review everybody's.

    Drafts are listed to their reviewer alone. `since` and `until` are about their beginning.
    """
    criteria = ReviewFilter(
        agent_id=agent_id,
        reviewer_id=reviewer_id,
        state=state,
        min_score=min_score,
        max_score=max_score,
        since=since,
        until=until,
    )
    return answer(await reviews.page(asking, criteria, call_id, limit=limit, cursor=cursor))


@router.post("/reviews", response_model=ReviewIs, status_code=201)
async def create_review(asking: Asking, body: ReviewNew) -> Response:
    """Begin to review an agent's part of a call that I may see; needs calls.review."""
    made = await reviews.create(
        asking,
        body.call_id,
        agent_id=body.agent_id,
        scorecard_id=body.scorecard_id,
        points=body.points,
        comment=body.comment,
    )
    return answer(made, 201)


@router.get(REVIEW, response_model=ReviewIs)
async def get_review(asking: Asking, review_id: RowId) -> Response:
    """Read a review with its scorecard."""
    return answer(await reviews.get(asking, review_id))


@router.patch(REVIEW, response_model=ReviewIs)
async def change_review(asking: Asking, review_id: RowId, body: ReviewChange) -> Response:
    """Go on with a draft of mine."""
    changed = await reviews.change(
        asking,
        review_id,
        scorecard_id=body.scorecard_id,
        points=body.points,
        comment=body.comment,
    )
    return answer(changed)


@router.post(REVIEW + "/publish", response_model=ReviewIs)
async def publish_review(asking: Asking, review_id: RowId) -> Response:
    """Show a draft of mine to the agent."""
    return answer(await reviews.publish(asking, review_id))


@router.post(REVIEW + "/acknowledge", response_model=ReviewIs)
async def acknowledge_review(asking: Asking, review_id: RowId) -> Response:
    """Accept a published review of me."""
    return answer(await reviews.acknowledge(asking, review_id))


@router.post(REVIEW + "/dispute", response_model=ReviewIs)
async def dispute_review(asking: Asking, review_id: RowId, body: Dispute) -> Response:
    """Hold something against a published review of me, once."""
    return answer(await reviews.dispute(asking, review_id, body.text))


@router.post(REVIEW + "/resolve", response_model=ReviewIs)
async def resolve_review(asking: Asking, review_id: RowId, body: Resolution) -> Response:
    """Decide about a disputed review of somebody else; needs calls.review."""
    resolved = await reviews.resolve(
        asking, review_id, verdict=body.resolution, points=body.points, text=body.text
    )
    return answer(resolved)


@router.get("/summary", response_model=QualitySummary)
async def summarise(
    asking: Asking,
    *,
    since: Moment | None = None,
    until: Moment | None = None,
    agent_id: IdQuery = None,
    after: IdQuery = None,
    limit: Limit = 100,
) -> Response:
    """Say what the reviews published in this time come to, by agent; without calls.review mine.

    Without a time, the seven days up to this minute; at most 366 days.
    """
    begin, end = stats.period(since, until)
    stats.check_period(begin, end)
    found = await reviews.summary(
        asking, since=begin, until=end, agent_id=agent_id, after=after, limit=limit
    )
    return answer(found)
