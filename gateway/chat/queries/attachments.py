"""SQL for attached files: one function per statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.db import Conn, bigints
from gateway.protocol import Attachment, AttachmentCreate


@dataclass(frozen=True, slots=True)
class AttachmentRow:
    """A file as its owner's send, or a reader's download, needs it."""

    attachment: Attachment
    key: str
    sha256: str | None
    state: str


def to_row(row: Any) -> AttachmentRow:
    """Make it of a row of realtime.attachments."""
    shown = Attachment(
        attachment_id=row["id"],
        name=row["name"],
        content_type=row["content_type"],
        size=row["size"],
    )
    return AttachmentRow(shown, row["key"], row["sha256"], row["state"])


async def lock(conn: Conn, employee_id: int) -> None:
    """Make this person's declarations take turns until the end of the transaction."""
    await conn.execute(
        """
        -- attachments.lock
        SELECT pg_advisory_xact_lock(hashtextextended('attachments:' || $1::text, 0))
        """,
        str(employee_id),
    )


async def declare(
    conn: Conn,
    employee_id: int,
    declared: AttachmentCreate,
    *,
    key: str,
    kept_s: int,
    most_bytes: int,
    most: int,
) -> int | None:
    """Note a file that will come; None when this person has so much declared already."""
    declared_id: int | None = await conn.fetchval(
        """
        -- attachments.declare
        WITH pending AS (
            SELECT count(*) AS files, coalesce(sum(size), 0)::bigint AS bytes
              FROM realtime.attachments
             WHERE employee_id = $1 AND state IN ('declared', 'stored')
        )
        INSERT INTO realtime.attachments
               (conversation_id, employee_id, name, content_type, size, sha256, key, due_at)
        SELECT $2, $1, $3, $4, $5, $6, $7, now() + make_interval(secs => $8)
          FROM pending
         WHERE pending.bytes + $5 <= $9 AND pending.files < $10
        RETURNING id
        """,
        employee_id,
        declared.conversation_id,
        declared.name,
        declared.content_type,
        declared.size,
        declared.sha256,
        key,
        kept_s,
        most_bytes,
        most,
    )
    return declared_id


async def find_own(
    conn: Conn, employee_id: int, conversation_id: int, ids: Iterable[int]
) -> dict[int, AttachmentRow]:
    """Return those of these files that this person declared for this conversation."""
    rows = await conn.fetch(
        """
        -- attachments.find_own
        SELECT id, name, content_type, size, sha256, key, state
          FROM realtime.attachments
         WHERE id = ANY ($3::text::bigint[]) AND employee_id = $1 AND conversation_id = $2
           AND state <> 'gone'
        """,
        employee_id,
        conversation_id,
        bigints(ids),
    )
    return {row["id"]: to_row(row) for row in rows}


async def mark_stored(conn: Conn, ids: Iterable[int]) -> None:
    """Note that these were uploaded and are what they were declared to be."""
    await conn.execute(
        """
        -- attachments.mark_stored
        UPDATE realtime.attachments SET state = 'stored'
         WHERE id = ANY ($1::text::bigint[]) AND state = 'declared'
        """,
        bigints(ids),
    )


async def discard(conn: Conn, attachment_id: int) -> None:
    """Give a file to the sweeper that no message may have."""
    await conn.execute(
        """
        -- attachments.discard
        UPDATE realtime.attachments SET state = 'gone', due_at = now()
         WHERE id = $1 AND state IN ('declared', 'stored')
        """,
        attachment_id,
    )


async def attach(
    conn: Conn, employee_id: int, conversation_id: int, *, seq: int, files: Sequence[Attachment]
) -> bool:
    """Make files part of a message that was just stored; say whether all of them were free.

    The conversation is locked, so that two messages take turns in asking.
    """
    claimed: bool | None = await conn.fetchval(
        """
        -- attachments.attach
        WITH claimed AS (
            UPDATE realtime.attachments SET state = 'attached', seq = $3
             WHERE id = ANY ($4::text::bigint[]) AND employee_id = $1 AND conversation_id = $2
               AND state = 'stored'
         RETURNING id
        )
        UPDATE realtime.messages SET attachments = $5
         WHERE conversation_id = $2 AND seq = $3 AND (SELECT count(*) FROM claimed) = $6
        RETURNING true
        """,
        employee_id,
        conversation_id,
        seq,
        bigints(file.attachment_id for file in files),
        list(files),
        len(files),
    )
    return claimed or False


async def release(conn: Conn, conversation_id: int, seq: int) -> None:
    """Give the files of a message that is being deleted to the sweeper."""
    await conn.execute(
        """
        -- attachments.release
        UPDATE realtime.attachments SET state = 'gone', due_at = now()
         WHERE conversation_id = $1 AND seq = $2 AND state = 'attached'
        """,
        conversation_id,
        seq,
    )


async def find_readable(conn: Conn, employee_id: int, attachment_id: int) -> AttachmentRow | None:
    """Return a file of a message that this person may read."""
    row = await conn.fetchrow(
        """
        -- attachments.find_readable
        SELECT a.id, a.name, a.content_type, a.size, a.sha256, a.key, a.state
          FROM realtime.attachments AS a
          JOIN realtime.conversations AS c ON c.id = a.conversation_id
          JOIN realtime.conversation_participants AS p
            ON p.conversation_id = c.id AND p.employee_id = $1 AND p.left_seq IS NULL
         WHERE a.id = $2 AND a.state = 'attached' AND (c.history = 'all' OR a.seq > p.joined_seq)
        """,
        employee_id,
        attachment_id,
    )
    return to_row(row) if row else None


@dataclass(frozen=True, slots=True)
class UnwantedFile:
    """A file whose bytes are to be removed."""

    id: int
    key: str


async def claim_unwanted(conn: Conn, *, limit: int, lease_s: float) -> list[UnwantedFile]:
    """Take what nobody wants any more; what another node took is left to it.

    From here on no message can have it. The claim ends by itself, for nodes that die.
    """
    rows = await conn.fetch(
        """
        -- attachments.claim_unwanted
        UPDATE realtime.attachments AS a
           SET state = 'gone', due_at = now() + make_interval(secs => $2)
          FROM (SELECT id
                  FROM realtime.attachments
                 WHERE due_at <= now() AND (state <> 'attached' OR conversation_id IS NULL)
                 ORDER BY due_at
                 LIMIT $1
                   FOR UPDATE SKIP LOCKED) AS due
         WHERE a.id = due.id
        RETURNING a.id, a.key
        """,
        limit,
        lease_s,
    )
    return [UnwantedFile(row["id"], row["key"]) for row in rows]


async def delete_removed(conn: Conn, ids: Iterable[int], *, link_s: float) -> None:
    """Forget files whose bytes are gone.

    While the link to upload one is still good, its bytes could come again: those are looked at
    once more when it no longer is.
    """
    await conn.execute(
        """
        -- attachments.delete_removed
        WITH again AS (
            UPDATE realtime.attachments
               SET due_at = created_at + make_interval(secs => $2)
             WHERE id = ANY ($1::text::bigint[]) AND state = 'gone'
               AND created_at + make_interval(secs => $2) > now()
        )
        DELETE FROM realtime.attachments
         WHERE id = ANY ($1::text::bigint[]) AND state = 'gone'
           AND created_at + make_interval(secs => $2) <= now()
        """,
        bigints(ids),
        link_s,
    )
