"""SQL for quality reviews: one function for each statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.audit.act import Act
from gateway.audit.queries.audit import AUDITED
from gateway.db import Conn
from gateway.protocol.reviews import Review, ReviewStatus, Verdict
from gateway.telephony.calls.queries.annotations import FAMILY

CHANGED = """
changed AS (
    SELECT jsonb_build_object('review_id', id, 'call_id', call_id, 'agent_id', agent_id)
           || CASE WHEN state = 'draft' THEN '{}' ELSE jsonb_build_object('score', score) END
              AS facts
      FROM made
)
"""
"""What the audit has of a review that was `made`, or made another; of a draft no score."""


@dataclass(frozen=True, slots=True)
class ReviewFilter:
    """Which reviews to return; None matches any."""

    agent_id: int | None = None
    reviewer_id: int | None = None
    call_ids: Sequence[UUID] | None = None
    """A call, and those that were merged into it."""
    state: ReviewStatus | None = None
    min_score: float | None = None
    max_score: float | None = None
    since: datetime | None = None
    until: datetime | None = None


def to_review(row: Any) -> Review:
    """Return the review of a row of the table."""
    fields = dict(row)
    score = fields.pop("score")
    return Review(
        review_id=fields.pop("id"),
        score=None if score is None else float(score),
        **fields,
    )


async def insert(
    conn: Conn,
    call_id: UUID,
    *,
    agent_id: int,
    reviewer_id: int,
    scorecard_id: int,
    points: dict[str, int],
    comment: str,
    audit: Act,
) -> Review | None:
    """Store a draft; None when this reviewer has one of this agent and call already."""
    row = await conn.fetchrow(
        f"""
        -- reviews.insert
        WITH made AS (
            INSERT INTO realtime.call_reviews
                   (call_id, agent_id, reviewer_id, scorecard_id, points, score, comment)
            SELECT $2, $3, $4, s.id, $6, realtime.review_score(s.criteria, $6), $7
              FROM realtime.scorecards AS s WHERE s.id = $5
                ON CONFLICT (call_id, agent_id, reviewer_id) DO NOTHING
            RETURNING *
        ), {CHANGED}, {AUDITED}
        SELECT * FROM made
        """,  # noqa: S608 - parts of several statements
        audit.rows(),
        call_id,
        agent_id,
        reviewer_id,
        scorecard_id,
        points,
        comment,
    )
    return to_review(row) if row else None


async def find(conn: Conn, review_id: int) -> Review | None:
    row = await conn.fetchrow(
        """
        -- reviews.find
        SELECT * FROM realtime.call_reviews WHERE id = $1
        """,
        review_id,
    )
    return to_review(row) if row else None


async def lock(conn: Conn, review_id: int) -> Review | None:
    """Return a review, locked until the end of the transaction."""
    row = await conn.fetchrow(
        """
        -- reviews.lock
        SELECT * FROM realtime.call_reviews WHERE id = $1 FOR UPDATE
        """,
        review_id,
    )
    return to_review(row) if row else None


async def update_draft(
    conn: Conn,
    review_id: int,
    *,
    scorecard_id: int,
    points: dict[str, int],
    comment: str,
    audit: Act,
) -> Review:
    row = await conn.fetchrow(
        f"""
        -- reviews.update_draft
        WITH made AS (
            UPDATE realtime.call_reviews AS r
               SET scorecard_id = s.id, points = $4, comment = $5, version = r.version + 1,
                   score = realtime.review_score(s.criteria, $4)
              FROM realtime.scorecards AS s
             WHERE r.id = $2 AND s.id = $3
            RETURNING r.*
        ), {CHANGED}, {AUDITED}
        SELECT * FROM made
        """,  # noqa: S608 - parts of several statements
        audit.rows(),
        review_id,
        scorecard_id,
        points,
        comment,
    )
    return to_review(row)


async def publish(conn: Conn, review_id: int, *, audit: Act) -> Review:
    row = await conn.fetchrow(
        f"""
        -- reviews.publish
        WITH made AS (
            UPDATE realtime.call_reviews
               SET state = 'published', published_at = clock_timestamp(), version = version + 1
             WHERE id = $2
            RETURNING *
        ), {CHANGED}, {AUDITED}
        SELECT * FROM made
        """,  # noqa: S608 - parts of several statements
        audit.rows(),
        review_id,
    )
    return to_review(row)


async def acknowledge(conn: Conn, review_id: int, *, audit: Act) -> Review:
    row = await conn.fetchrow(
        f"""
        -- reviews.acknowledge
        WITH made AS (
            UPDATE realtime.call_reviews
               SET state = 'acknowledged', acknowledged_at = clock_timestamp(),
                   version = version + 1
             WHERE id = $2
            RETURNING *
        ), {CHANGED}, {AUDITED}
        SELECT * FROM made
        """,  # noqa: S608 - parts of several statements
        audit.rows(),
        review_id,
    )
    return to_review(row)


async def dispute(conn: Conn, review_id: int, text: str, *, audit: Act) -> Review:
    row = await conn.fetchrow(
        f"""
        -- reviews.dispute
        WITH made AS (
            UPDATE realtime.call_reviews
               SET state = 'disputed', dispute = $3, disputed_at = clock_timestamp(),
                   version = version + 1
             WHERE id = $2
            RETURNING *
        ), {CHANGED}, {AUDITED}
        SELECT * FROM made
        """,  # noqa: S608 - parts of several statements
        audit.rows(),
        review_id,
        text,
    )
    return to_review(row)


async def resolve(
    conn: Conn,
    review_id: int,
    *,
    verdict: Verdict,
    points: dict[str, int],
    text: str | None,
    by: int,
    audit: Act,
) -> Review:
    """Decide a dispute; the score is computed again from the points."""
    row = await conn.fetchrow(
        f"""
        -- reviews.resolve
        WITH made AS (
            UPDATE realtime.call_reviews AS r
               SET state = 'resolved', resolution = $3, points = $4, resolution_text = $5,
                   resolved_by = $6, resolved_at = clock_timestamp(), version = r.version + 1,
                   score = realtime.review_score(s.criteria, $4)
              FROM realtime.scorecards AS s
             WHERE r.id = $2 AND s.id = r.scorecard_id
            RETURNING r.*
        ), {CHANGED}, {AUDITED}
        SELECT * FROM made
        """,  # noqa: S608 - parts of several statements
        audit.rows(),
        review_id,
        verdict,
        points,
        text,
        by,
    )
    return to_review(row)


async def page(
    conn: Conn,
    criteria: ReviewFilter,
    *,
    reader_id: int,
    reviews_others: bool,
    after: tuple[datetime, int] | None,
    limit: int,
) -> list[Review]:
    """Return reviews, the newest first: those that this employee may see.

    Drafts are their reviewer's; the others are the agent's and of who reviews others' calls.
    """
    rows = await conn.fetch(
        """
        -- reviews.page
        SELECT * FROM realtime.call_reviews
         WHERE ($1::bigint IS NULL OR agent_id = $1)
           AND ($2::bigint IS NULL OR reviewer_id = $2)
           AND ($3::text IS NULL OR state = $3)
           AND ($4::float8 IS NULL OR score >= $4::numeric)
           AND ($5::float8 IS NULL OR score <= $5::numeric)
           AND ($6::timestamptz IS NULL OR created_at >= $6)
           AND ($7::timestamptz IS NULL OR created_at < $7)
           AND ($8::uuid[] IS NULL OR call_id = ANY ($8))
           AND CASE WHEN state = 'draft' THEN $10 AND reviewer_id = $9
                    ELSE $10 OR agent_id = $9 END
           AND ($11::timestamptz IS NULL OR (created_at, id) < ($11, $12::bigint))
         ORDER BY created_at DESC, id DESC
         LIMIT $13
        """,
        criteria.agent_id,
        criteria.reviewer_id,
        criteria.state,
        criteria.min_score,
        criteria.max_score,
        criteria.since,
        criteria.until,
        criteria.call_ids,
        reader_id,
        reviews_others,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
    return [to_review(row) for row in rows]


async def is_about(conn: Conn, call_id: UUID, employee_id: int) -> bool:
    """Whether a published review of this call, or of one merged into it, is about the employee."""
    found: bool = await conn.fetchval(
        f"""
        -- reviews.is_about
        WITH RECURSIVE {FAMILY}
        SELECT EXISTS (
            SELECT FROM family
              JOIN realtime.call_reviews AS r ON r.call_id = family.id
             WHERE r.agent_id = $2 AND r.state <> 'draft')
        """,  # noqa: S608 - ours
        call_id,
        employee_id,
    )
    return found
