"""Quality reviews over HTTP: scorecards, reviews, and their summary.

clients ─▶ here ─▶ telephony.quality.
"""

from __future__ import annotations

from dataclasses import field
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from gateway.protocol.frame import Flag, Id, frame
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
from gateway.rest.depends import Asking, Cursor, EmployeeQuery, IdQuery, RowId, StrictRoute, answer
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
    """Whether new reviews may use it."""

    active: Flag


@frame
class ReviewNew:
    """A review of an agent's part of a call."""

    call_id: UUID
    agent_id: Id
    scorecard_id: Id
    points: Given = field(default_factory=dict)
    comment: Comment = ""


@frame
class ReviewChange:
    """The changed parts of a draft; what is left out stays."""

    scorecard_id: Id | None = None
    points: Given | None = None
    comment: Comment | None = None


@frame
class Dispute:
    """Why the agent disputes a review."""

    text: Reason


@frame
class Resolution:
    """The decision about a disputed review."""

    resolution: Verdict
    points: Given | None = None
    """All points, when the resolution is `changed`."""
    text: Reason | None = None


@router.get("/scorecards", response_model=ScorecardPage)
async def list_scorecards(
    asking: Asking, *, active: bool | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """List scorecards, the newest first; needs calls.review."""
    return answer(await scorecards.page(asking, active=active, limit=limit, cursor=cursor))


@router.post(
    "/scorecards",
    response_model=Scorecard,
    status_code=201,
    responses={
        200: {
            "description": "As before",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Scorecard"}}},
        }
    },
)
async def put_scorecard(asking: Asking, body: ScorecardNew) -> Response:
    """Create a scorecard, or its next version; needs calls.review.

    With the criteria of its newest version nothing is created, and the answer is 200.
    """
    saved = await scorecards.save(asking, body.name, body.criteria)
    return answer(saved.scorecard, 201 if saved.created else 200)


@router.patch("/scorecards/{scorecard_id}", response_model=Scorecard)
async def change_scorecard(asking: Asking, scorecard_id: RowId, body: ScorecardChange) -> Response:
    """Set whether new reviews may use a scorecard; needs calls.review."""
    return answer(await scorecards.activate(asking, scorecard_id, active=body.active))


@router.get("/reviews", response_model=ReviewPage)
async def list_reviews(
    asking: Asking,
    *,
    agent_id: EmployeeQuery = None,
    reviewer_id: EmployeeQuery = None,
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

    A draft is listed only to its reviewer. `since` and `until` are about when it was created.
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
    """Create a draft about an agent's part of a call that I may see; needs calls.review."""
    created = await reviews.create(
        asking,
        body.call_id,
        agent_id=body.agent_id,
        scorecard_id=body.scorecard_id,
        points=body.points,
        comment=body.comment,
    )
    return answer(created, 201)


@router.get(REVIEW, response_model=ReviewIs)
async def get_review(asking: Asking, review_id: RowId) -> Response:
    """Read a review with its scorecard."""
    return answer(await reviews.get(asking, review_id))


@router.patch(REVIEW, response_model=ReviewIs)
async def change_review(asking: Asking, review_id: RowId, body: ReviewChange) -> Response:
    """Change a draft of mine."""
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
    """Publish a draft of mine to the agent."""
    return answer(await reviews.publish(asking, review_id))


@router.post(REVIEW + "/acknowledge", response_model=ReviewIs)
async def acknowledge_review(asking: Asking, review_id: RowId) -> Response:
    """Accept a published review about me."""
    return answer(await reviews.acknowledge(asking, review_id))


@router.post(REVIEW + "/dispute", response_model=ReviewIs)
async def dispute_review(asking: Asking, review_id: RowId, body: Dispute) -> Response:
    """Dispute a published review about me, once."""
    return answer(await reviews.dispute(asking, review_id, body.text))


@router.post(REVIEW + "/resolve", response_model=ReviewIs)
async def resolve_review(asking: Asking, review_id: RowId, body: Resolution) -> Response:
    """Decide a disputed review about another agent; needs calls.review."""
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
    agent_id: EmployeeQuery = None,
    after: IdQuery = None,
    limit: Limit = 100,
) -> Response:
    """Summarise the reviews published in a period, by agent; without calls.review only mine.

    The default period is the last seven days; at most 366 days.
    """
    begin, end = stats.period(since, until)
    stats.check_period(begin, end)
    found = await reviews.summary(
        asking, since=begin, until=end, agent_id=agent_id, after=after, limit=limit
    )
    return answer(found)
