"""SQL for attached files: one function per statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.db import Conn, bigints
from gateway.protocol import Attachment, AttachmentCreate


@dataclass(frozen=True, slots=True)
class AttachmentRow:
    """An attachment with its storage key and state."""

    attachment: Attachment
    key: str
    sha256: str | None
    state: str


def to_row(row: Any) -> AttachmentRow:
    """Make an AttachmentRow of a row of realtime.attachments."""
    shown = Attachment(
        attachment_id=row["id"],
        name=row["name"],
        content_type=row["content_type"],
        size=row["size"],
    )
    return AttachmentRow(shown, row["key"], row["sha256"], row["state"])


async def lock(conn: Conn, employee_id: int) -> None:
    """Let this employee's declarations take turns until the transaction ends."""
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
    """Record a declared file; None when `most` files or `most_bytes` are pending already."""
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
    """Return those of these files that this employee declared for this conversation."""
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


async def mark_stored(conn: Conn, files: Sequence[Attachment]) -> None:
    """Record that these were uploaded, and the types under which they are kept."""
    await conn.execute(
        """
        -- attachments.mark_stored
        UPDATE realtime.attachments AS a SET state = 'stored', content_type = kept.content_type
          FROM unnest($1::text::bigint[], $2::text[]) AS kept (id, content_type)
         WHERE a.id = kept.id AND a.state = 'declared'
        """,
        bigints(file.attachment_id for file in files),
        [file.content_type for file in files],
    )


async def discard(conn: Conn, attachment_id: int) -> None:
    """Release a file that no message may use to the sweeper."""
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
    """Attach files to a message that was just stored; return whether all of them were free.

    The conversation is locked: two messages with the same file take turns.
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
    """Release the files of a deleted message to the sweeper."""
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
    """Return a file of a message that this employee may read."""
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
    """A file whose bytes are removed next."""

    id: int
    key: str


async def claim_unwanted(conn: Conn, *, limit: int, lease_s: float) -> list[UnwantedFile]:
    """Claim files that no message uses, without those that another node has claimed.

    From now on no message can attach them. The claim expires, for nodes that die.
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
    """Delete the rows of files whose bytes are removed.

    While the upload link is valid, bytes could arrive again: such a row is due once more after the
    link has expired.
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
