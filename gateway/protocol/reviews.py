"""Quality reviews of calls on the wire: scorecards, reviews and their summary."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from gateway.protocol.declaration import event
from gateway.protocol.frame import Id, Line, PlainText, Position, ShownText, frame

MAX_CRITERIA = 50
MAX_PAGE = 100
MAX_TEXT = 4_000

Key = Annotated[str, Field(strict=True, pattern=r"^[a-z0-9_]{1,40}$")]
Name = Annotated[Line, Field(min_length=1, max_length=200)]
Comment = Annotated[PlainText, Field(max_length=MAX_TEXT)]
Reason = Annotated[ShownText, Field(min_length=1, max_length=MAX_TEXT)]
Points = Annotated[int, Field(strict=True, ge=0, le=1_000)]
Given = Annotated[dict[Key, Points | None], Field(max_length=MAX_CRITERIA)]
"""Criterion → points; null or left out: the criterion does not apply to this call."""

ReviewStatus = Literal["draft", "published", "acknowledged", "disputed", "resolved"]
Verdict = Literal["upheld", "changed"]


@frame
class Criterion:
    """One criterion of a scorecard."""

    key: Key
    label: Name
    weight: Annotated[int, Field(strict=True, ge=1, le=1_000)] = 1
    """Its weight relative to the other criteria."""
    max: Annotated[int, Field(strict=True, ge=1, le=1_000)] = 10
    """The highest number of points; the lowest is 0."""


Criteria = Annotated[list[Criterion], Field(min_length=1, max_length=MAX_CRITERIA)]


@frame
class Scorecard:
    """A list of criteria for reviews. Editing one makes a new version with another id."""

    scorecard_id: Id
    name: str
    version: int
    criteria: list[Criterion]
    active: bool
    """False: it cannot be used for new reviews."""
    created_by: Id
    created_at: datetime


@frame
class ScorecardPage:
    """Scorecards, the newest first."""

    scorecards: list[Scorecard]
    next: str | None = None


@frame
class Review:
    """One reviewer's rating of one agent in one call. It is always sent whole."""

    review_id: Id
    version: Position
    """Rises with each change; keep the highest."""
    call_id: UUID
    agent_id: Id
    reviewer_id: Id
    scorecard_id: Id
    state: ReviewStatus
    points: dict[str, int]
    """Criterion → points; a criterion that is missing does not apply."""
    score: float | None
    """Percent, two decimals: 100 * sum(weight * points / max) / sum(weight) over the criteria
    with points; null when none has."""
    comment: str
    created_at: datetime
    published_at: datetime | None = None
    acknowledged_at: datetime | None = None
    dispute: str | None = None
    """The reason that the agent gave for disputing it."""
    disputed_at: datetime | None = None
    resolution: Verdict | None = None
    resolution_text: str | None = None
    resolved_by: Id | None = None
    resolved_at: datetime | None = None


@frame
class ReviewIs:
    """A review, and the scorecard it was made with."""

    review: Review
    scorecard: Scorecard


@frame
class ReviewPage:
    """Reviews, the newest first."""

    reviews: list[Review]
    next: str | None = None


@event(lane="message")
class ReviewChanged:
    """Server → the reviewer, and the agent unless it is a draft: a review has changed."""

    type: Literal["review.changed"] = "review.changed"
    review: Review


@frame
class CriterionMean:
    """The average of one criterion."""

    scorecard: str
    """The name of the scorecard; all its versions count together."""
    key: str
    label: str
    """As in the newest version."""
    reviews: int
    """How many reviews have points for it."""
    mean: float
    """Percent of its maximum."""


@frame
class AgentQuality:
    """A summary of the published reviews of one agent."""

    agent_id: Id
    name: str | None
    reviews: int
    scored: int
    """Reviews with a score; only these count for the mean."""
    mean: float | None
    """Percent; each review counts once. null: none has a score."""
    lowest: float | None
    highest: float | None
    disputed: int
    """All disputed reviews, resolved or not."""
    changed: int
    """Disputes that changed the points."""
    criteria: list[CriterionMean]
    """At most 200."""


@frame
class QualitySummary:
    """Agents with published reviews in a time range, by their ids."""

    since: datetime
    until: datetime
    """Exclusive."""
    agents: list[AgentQuality]
    next: Id | None = None
    """Pass it as `after` for the next page; null on the last page."""
