"""Quality reviews of calls on the wire: scorecards, reviews, and what they come to."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from gateway.protocol.declaration import event
from gateway.protocol.frame import Id, PlainText, Position, frame

MAX_CRITERIA = 50
MAX_PAGE = 100
MAX_TEXT = 4_000

Key = Annotated[PlainText, Field(pattern=r"^[a-z0-9_]{1,40}$")]
Name = Annotated[PlainText, Field(min_length=1, max_length=200)]
Comment = Annotated[PlainText, Field(max_length=MAX_TEXT)]
Reason = Annotated[PlainText, Field(min_length=1, max_length=MAX_TEXT)]
Points = Annotated[int, Field(strict=True, ge=0, le=1_000)]
Given = Annotated[dict[Key, Points | None], Field(max_length=MAX_CRITERIA)]
"""Criterion → points; null, or left out: it does not apply to this call."""

ReviewStatus = Literal["draft", "published", "acknowledged", "disputed", "resolved"]
Verdict = Literal["upheld", "changed"]


@frame
class Criterion:
    """One thing that calls are graded by."""

    key: Key
    label: Name
    weight: Annotated[int, Field(strict=True, ge=1, le=1_000)] = 1
    """How much it counts beside the others."""
    max: Annotated[int, Field(strict=True, ge=1, le=1_000)] = 10
    """Points go from 0 to this."""


Criteria = Annotated[list[Criterion], Field(min_length=1, max_length=MAX_CRITERIA)]


@frame
class Scorecard:
    """What calls are graded by. One that is edited is a new version with another id."""

    scorecard_id: Id
    name: str
    version: int
    criteria: list[Criterion]
    active: bool
    """False: no new review can be made by it."""
    created_by: Id
    created_at: datetime


@frame
class ScorecardPage:
    """Scorecards, the newest first."""

    scorecards: list[Scorecard]
    next: str | None = None


@frame
class Review:
    """One reviewer's grading of one agent's part of one call. It travels whole."""

    review_id: Id
    version: Position
    """Keep the highest."""
    call_id: UUID
    agent_id: Id
    reviewer_id: Id
    scorecard_id: Id
    state: ReviewStatus
    points: dict[str, int]
    """Criterion → points; those that are not in it do not apply."""
    score: float | None
    """Percent, two decimals: 100 * sum(weight * points / max) / sum(weight) over the criteria
    with points; null when none has."""
    comment: str
    created_at: datetime
    published_at: datetime | None = None
    acknowledged_at: datetime | None = None
    dispute: str | None = None
    """What the agent holds against it."""
    disputed_at: datetime | None = None
    resolution: Verdict | None = None
    resolution_text: str | None = None
    resolved_by: Id | None = None
    resolved_at: datetime | None = None


@frame
class ReviewIs:
    """A review, and the scorecard it was made by."""

    review: Review
    scorecard: Scorecard


@frame
class ReviewPage:
    """Reviews, the newest first."""

    reviews: list[Review]
    next: str | None = None


@event(lane="message")
class ReviewChanged:
    """Server → the reviewer, and the agent unless it is a draft: a review is now so."""

    type: Literal["review.changed"] = "review.changed"
    review: Review


@frame
class CriterionMean:
    """How one criterion went on average."""

    scorecard: str
    """The scorecard's name; its versions are taken together."""
    key: str
    label: str
    """As in the newest version."""
    reviews: int
    """In which it had points."""
    mean: float
    """Percent of its maximum."""


@frame
class AgentQuality:
    """What the published reviews of one agent come to."""

    agent_id: Id
    name: str | None
    reviews: int
    scored: int
    """Those with a score; the others are in no mean."""
    mean: float | None
    """Percent; each review counts once. Null: none has a score."""
    lowest: float | None
    highest: float | None
    disputed: int
    """Ever, resolved or not."""
    changed: int
    """Disputes that led to other points."""
    criteria: list[CriterionMean]
    """At most 200."""


@frame
class QualitySummary:
    """Agents with published reviews in a time, by their id."""

    since: datetime
    until: datetime
    """Not in it itself."""
    agents: list[AgentQuality]
    next: Id | None = None
    """Give it as `after` for the next page; null when this is the last."""
