"""SQL for messages: one function per statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from gateway.characters import one_form_of_emoji
from gateway.chat.queries import conversations
from gateway.db import Conn, bigints
from gateway.protocol import Attachment, Draft, Message, Reaction

MAX_MENTIONS = 100
SMALL_GROUP = 20
"""In a conversation of at most this many participants, anyone may mention everybody."""


def to_message(row: Any) -> Message:
    """Make a message of a row of realtime.shown_messages."""
    return Message(
        conversation_id=row["conversation_id"],
        seq=row["seq"],
        change=row["change"],
        sender_id=row["sender_id"],
        client_key=row["client_key"],
        text=row["body"],
        created_at=row["created_at"],
        kind=row["kind"],
        attrs=row["attrs"],
        reply_to_seq=row["reply_to_seq"],
        reply_count=row["reply_count"],
        mention_ids=row["mention_ids"] or [],
        mention_all=row["mention_all"],
        reactions=to_reactions(row["reactions"]),
        attachments=to_attachments(row["attachments"]),
        edited_at=row["edited_at"],
        deleted_at=row["deleted_at"],
    )


def to_reactions(items: Iterable[dict[str, Any]] | None) -> list[Reaction]:
    """Make reactions of the view's jsonb.

    Those of before emoji had one form may be of several: they are one here.
    """
    people: dict[str, dict[int, None]] = {}
    for item in items or ():
        people.setdefault(one_form_of_emoji(item["emoji"]), {}).update(
            dict.fromkeys(item["employee_ids"])
        )
    return [
        Reaction(emoji=emoji, count=len(ids), employee_ids=list(ids))
        for emoji, ids in people.items()
    ]


def to_attachments(items: Iterable[dict[str, Any]] | None) -> list[Attachment]:
    """Make attachments of the jsonb column of a message."""
    return [Attachment(**item) for item in items or ()]


@dataclass(frozen=True, slots=True)
class Mentions:
    """Employees that a text mentions; it is not checked yet who of them is a participant."""

    employee_ids: Sequence[int] = ()
    all: bool = False
    may_all: bool = False
    """The sender has the permission to mention everybody. A role or a small group suffices, too."""


class StoredMessage(NamedTuple):
    """A message that was just stored, and what this changed for its sender."""

    message: Message
    unmarked: bool
    """The sender had marked the conversation as unread by hand; the message ended this mark."""
    draft: Draft | None
    """The sender's draft, if the message emptied it."""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to store."""

    sender_id: int
    conversation_id: int
    client_key: UUID
    text: str
    reply_to_seq: int | None
    mentions: Mentions
    from_draft: bool = True
    """Empty the sender's draft in this conversation."""


ACCEPTED = """
                   (SELECT m.seq
                      FROM realtime.messages AS m
                     WHERE m.conversation_id = given.conversation_id
                       AND m.sender_id = given.sender_id AND m.client_key = given.client_key
                     LIMIT 1) IS NULL
               AND (given.reply_to_seq IS NULL
                    OR EXISTS (SELECT FROM realtime.messages AS m
                                WHERE m.conversation_id = given.conversation_id
                                  AND m.seq = given.reply_to_seq AND m.state < 2
                                  AND (turn.history = 'all' OR m.seq > p.joined_seq)))
               AND realtime.sender_active(given.sender_id, turn.id)"""
"""Whether a message of `given` may be stored in `turn`, a locked conversation, by p, a participant.

Whoever was dismissed during the wait for the lock is not active: the function reads what is
committed when it is called, and takes turn.id so that it is called after the wait."""

GIVEN = """given AS MATERIALIZED (
            SELECT *
              FROM unnest((SELECT $1::bigint[]), (SELECT $2::bigint[]), (SELECT $3::uuid[]),
                          (SELECT $4::text[]), (SELECT $5::bigint[]), (SELECT $6::text[]),
                          (SELECT $7::boolean[]), (SELECT $8::boolean[]), (SELECT $9::boolean[]))
                   WITH ORDINALITY
                AS given (sender_id, conversation_id, client_key, body, reply_to_seq, named,
                         mention_all, may_all, from_draft, place)
        )"""
"""The messages to store, in their order."""

STORED = """read AS (
            UPDATE realtime.conversation_participants AS p
               SET last_read_seq = own.seq, last_read_at = own.at,
                   mine_version = p.mine_version + p.manual_unread::int, manual_unread = false,
                   marked_seq = CASE WHEN p.manual_unread THEN own.seq ELSE p.marked_seq END
              FROM room AS own
             WHERE own.is_last
               AND p.conversation_id = own.conversation_id AND p.employee_id = own.sender_id
               AND p.left_seq IS NULL
         RETURNING p.conversation_id, p.employee_id, p.last_read_seq,
                   p.marked_seq = p.last_read_seq AS unmarked
        ), emptied AS (
            UPDATE realtime.drafts AS d
               SET text = '', reply_to_seq = NULL, version = d.version + 1,
                   updated_at = greatest(own.at, d.updated_at)
              FROM room AS own
             WHERE own.is_last AND own.empties
               AND d.employee_id = own.sender_id AND d.conversation_id = own.conversation_id
               AND d.text <> ''
         RETURNING d.conversation_id, d.employee_id, d.version, d.updated_at
        )
        INSERT INTO realtime.messages
               (conversation_id, seq, change, sender_id, client_key, body, created_at,
                reply_to_seq, mention_ids, mention_all)
        SELECT conversation_id,
               CASE WHEN EXISTS (SELECT FROM read
                                  WHERE read.conversation_id = room.conversation_id
                                    AND read.employee_id = room.sender_id) THEN seq END,
               change, sender_id, client_key, body, at, reply_to_seq,
               CASE WHEN named <> '{}' THEN (
                   SELECT array_agg(present.id ORDER BY present.place)
                     FROM (SELECT one.id, one.place
                             FROM unnest(named::bigint[]) WITH ORDINALITY AS one (id, place)
                             JOIN realtime.conversation_participants AS q
                               ON q.conversation_id = room.conversation_id
                              AND q.employee_id = one.id AND q.left_seq IS NULL
                            ORDER BY one.place
                            LIMIT $10) AS present
               ) END,
               mention_all AND (may_all OR role <> 'member' OR (
                   SELECT count(*)
                     FROM (SELECT FROM realtime.conversation_participants AS q
                            WHERE q.conversation_id = room.conversation_id AND q.left_seq IS NULL
                            LIMIT $11 + 1) AS people) <= $11)
          FROM room
        RETURNING conversation_id, seq, change, sender_id, client_key, body, created_at,
                  kind, attrs, reply_to_seq, 0 AS reply_count, mention_ids, mention_all,
                  NULL AS reactions, attachments, edited_at, deleted_at,
                  (SELECT unmarked FROM read
                    WHERE read.conversation_id = messages.conversation_id
                      AND read.last_read_seq = messages.seq) AS unmarked,
                  (SELECT version FROM emptied
                    WHERE emptied.conversation_id = messages.conversation_id
                      AND emptied.employee_id = messages.sender_id) AS draft_version,
                  (SELECT updated_at FROM emptied
                    WHERE emptied.conversation_id = messages.conversation_id
                      AND emptied.employee_id = messages.sender_id) AS draft_updated_at"""
"""What follows from `room`, the messages that are accepted and numbered."""


async def insert(
    conn: Conn, messages: Sequence[NewMessage], *, wait: bool
) -> list[StoredMessage | None]:
    """Store messages, and move their senders' read positions to them.

    Messages of one conversation get their numbers in the given order. What a message changed for
    its sender is returned with the last of theirs in that conversation. It ends a mark as unread,
    and empties the sender's draft (one probe of its primary key). An ended mark is recognised by
    marked_seq, which is set only then: RETURNING does not see the old row, and the snapshot may be
    older.

    Returns None for each message that is stored already, whose sender is not a participant, or not
    active in the CRM, whose conversation is closed, or whose reply_to_seq is not there; of two with
    one client_key for the second; without `wait` also where another transaction has locked the
    conversation's row. Raises UniqueViolationError when another one with the same client_key
    commits first, and NotNullViolationError when a sender is removed while this waits: then no
    message is stored. Only a transaction that commits uses numbers. created_at is read after the
    wait for the lock, so that it never runs backwards against seq.

    With `wait` there is one conversation and one row to wait for. Without it no row is waited for:
    no sender waits for another conversation, and two such statements cannot wait for each other.

    Written so that PostgreSQL keeps one generic plan for any number of messages (planning takes
    1 ms). The subqueries hide the length of the arrays from the planner: otherwise it finds a plan
    for that length cheaper. Whether a key is known is a subquery, never a join: while the table is
    small, a join reads all of it, and that plan stays when the table has grown.
    """
    conversations = {one.conversation_id for one in messages}
    assert not wait or len(conversations) == 1
    first: dict[tuple[int, int, UUID], NewMessage] = {}
    for one in messages:
        first.setdefault((one.conversation_id, one.sender_id, one.client_key), one)
    given = list(first.values())
    store = insert_single if len(conversations) == len(given) else insert_several
    stored = {
        (row["conversation_id"], row["sender_id"], row["client_key"]): row
        for row in await store(conn, given, wait=wait)
    }
    return [
        StoredMessage(to_message(row), bool(row["unmarked"]), _emptied(row))
        if (row := stored.pop((one.conversation_id, one.sender_id, one.client_key), None))
        else None
        for one in messages
    ]


async def insert_single(conn: Conn, given: Sequence[NewMessage], *, wait: bool) -> list[Any]:
    """Store messages of as many conversations."""
    return await conn.fetch(
        f"""
        -- messages.insert_single
        WITH {GIVEN}, turn AS MATERIALIZED (
            SELECT c.id, c.history
              FROM realtime.conversations AS c
             WHERE c.id IN (SELECT conversation_id FROM given)
               FOR NO KEY UPDATE OF c {"" if wait else "SKIP LOCKED"}
        ), room AS (
            UPDATE realtime.conversations AS c
               SET last_seq = c.last_seq + 1,
                   last_change = c.last_change + 1,
                   last_message_at = greatest(c.last_message_at, clock_timestamp())
              FROM given
              JOIN turn ON turn.id = given.conversation_id
              JOIN realtime.conversation_participants AS p
                ON p.conversation_id = given.conversation_id AND p.employee_id = given.sender_id
               AND p.left_seq IS NULL
             WHERE c.id = given.conversation_id AND c.closed_at IS NULL AND {ACCEPTED}
         RETURNING given.*, p.role, c.last_seq AS seq, c.last_change AS change,
                   c.last_message_at AS at, true AS is_last, given.from_draft AS empties
        ), {STORED}
        """,  # noqa: S608 - ours
        *_columns(given),
        MAX_MENTIONS,
        SMALL_GROUP,
    )


async def insert_several(conn: Conn, given: Sequence[NewMessage], *, wait: bool) -> list[Any]:
    """Store messages, several of one conversation; windows cost a single one 90 µs of 640."""
    return await conn.fetch(
        f"""
        -- messages.insert_several
        WITH {GIVEN}, locked AS MATERIALIZED (
            SELECT c.id, c.last_seq, c.last_change, c.last_message_at, c.history
              FROM realtime.conversations AS c
             WHERE c.id IN (SELECT conversation_id FROM given) AND c.closed_at IS NULL
               FOR NO KEY UPDATE OF c {"" if wait else "SKIP LOCKED"}
        ), turn AS MATERIALIZED (
            SELECT *, greatest(last_message_at, clock_timestamp()) AS at FROM locked
        ), room AS MATERIALIZED (
            SELECT given.*, p.role, turn.at,
                   turn.last_seq + row_number() OVER in_turn AS seq,
                   turn.last_change + row_number() OVER in_turn AS change,
                   lead(given.place) OVER of_sender IS NULL AS is_last,
                   bool_or(given.from_draft) OVER of_sender AS empties
              FROM given
              JOIN turn ON turn.id = given.conversation_id
              JOIN realtime.conversation_participants AS p
                ON p.conversation_id = given.conversation_id AND p.employee_id = given.sender_id
               AND p.left_seq IS NULL
             WHERE {ACCEPTED}
            WINDOW in_turn AS (PARTITION BY given.conversation_id ORDER BY given.place),
                   of_sender AS (PARTITION BY given.conversation_id, given.sender_id
                                 ORDER BY given.place)
        ), numbered AS (
            UPDATE realtime.conversations AS c
               SET last_seq = newest.seq, last_change = newest.change, last_message_at = newest.at
              FROM (SELECT conversation_id, max(seq) AS seq, max(change) AS change, max(at) AS at
                      FROM room GROUP BY conversation_id) AS newest
             WHERE c.id = newest.conversation_id
        ), {STORED}
        """,  # noqa: S608 - ours
        *_columns(given),
        MAX_MENTIONS,
        SMALL_GROUP,
    )


def _columns(given: Sequence[NewMessage]) -> tuple[list[Any], ...]:
    return (
        [one.sender_id for one in given],
        [one.conversation_id for one in given],
        [one.client_key for one in given],
        [one.text for one in given],
        [one.reply_to_seq for one in given],
        [bigints(one.mentions.employee_ids) for one in given],
        [one.mentions.all for one in given],
        [one.mentions.may_all for one in given],
        [one.from_draft for one in given],
    )


def _emptied(row: Any) -> Draft | None:
    """Return the sender's emptied draft, with the last of their messages alone."""
    if row["draft_version"] is None or row["unmarked"] is None:
        return None
    return Draft(
        conversation_id=row["conversation_id"],
        text="",
        updated_at=row["draft_updated_at"],
        version=row["draft_version"],
    )


async def find_by_key(
    conn: Conn, sender_id: int, conversation_id: int, client_key: UUID
) -> Message | None:
    """Return the message this person sent here with this key."""
    row = await conn.fetchrow(
        """
        -- messages.find_by_key
        SELECT * FROM realtime.shown_messages
         WHERE conversation_id = $2 AND sender_id = $1 AND client_key = $3
        """,
        sender_id,
        conversation_id,
        client_key,
    )
    return to_message(row) if row else None


@dataclass(frozen=True, slots=True)
class Membership:
    """A participant's role in a conversation, and which messages they may see."""

    role: str
    closed: bool
    hidden_to: int
    """Messages up to this seq are hidden from someone who joined later. 0 hides none."""


async def membership(
    conn: Conn, employee_id: int, conversation_id: int, *, lock: bool = False
) -> Membership | None:
    """Return the membership; None when this employee is not in the conversation.

    With lock, the conversation's row stays locked until the transaction ends. Membership is read
    after the lock was acquired: someone removed meanwhile is not in it.
    """
    if lock and not await conversations.lock(conn, employee_id, conversation_id):
        return None
    row = await conn.fetchrow(
        """
        -- messages.membership
        SELECT p.role, c.closed_at IS NOT NULL AS closed,
               CASE c.history WHEN 'joined' THEN p.joined_seq ELSE 0 END AS hidden_to
          FROM realtime.conversation_participants AS p
          JOIN realtime.conversations AS c ON c.id = p.conversation_id
         WHERE p.conversation_id = $2 AND p.employee_id = $1 AND p.left_seq IS NULL
        """,
        employee_id,
        conversation_id,
    )
    return Membership(row["role"], row["closed"], row["hidden_to"]) if row else None


async def find(conn: Conn, conversation_id: int, seq: int) -> Message | None:
    """Return one message, deleted or not; None when there is none."""
    row = await conn.fetchrow(
        """
        -- messages.find
        SELECT * FROM realtime.shown_messages WHERE conversation_id = $1 AND seq = $2
        """,
        conversation_id,
        seq,
    )
    return to_message(row) if row else None
