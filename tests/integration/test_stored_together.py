"""Messages of one statement are stored as if they had been sent one after the other."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from gateway import db
from gateway.chat.queries import messages
from gateway.chat.queries.messages import Mentions, NewMessage, StoredMessage
from gateway.db import Conn
from tests.support.amounts import seeds

ROOMS = 3
PEOPLE = range(1, 6)
STRANGER = 9


@dataclass
class World:
    """Some conversations, and what is sent to each of them by its index."""

    ids: list[int]

    def addressed(self, said: Sequence[NewMessage]) -> list[NewMessage]:
        return [replace(one, conversation_id=self.ids[one.conversation_id]) for one in said]


async def build(conn: Conn, seed: int) -> World:
    """Make conversations with messages, marks, drafts, people who joined late and who left."""
    dice = random.Random(seed)
    ids = []
    for _ in range(ROOMS):
        history, closed = dice.choice(["all", "joined"]), dice.random() < 0.15
        cid: int = await conn.fetchval(
            "INSERT INTO realtime.conversations (kind, title, history, closed_at)"
            " VALUES ('group', 'x', $1, CASE WHEN $2 THEN now() END) RETURNING id",
            history,
            closed,
        )
        ids.append(cid)
        for person in PEOPLE:
            await conn.execute(
                "INSERT INTO realtime.conversation_participants"
                " (conversation_id, employee_id, change, joined_seq, left_seq, manual_unread)"
                " VALUES ($1, $2, 1, $3, $4, $5)",
                cid,
                person,
                dice.choice([0, 0, 2]),
                dice.choice([None] * 5 + [1]),
                dice.random() < 0.4,
            )
            if dice.random() < 0.6:
                await conn.execute(
                    "INSERT INTO realtime.drafts (employee_id, conversation_id, text, updated_at)"
                    " VALUES ($1, $2, 'half a thought', now())",
                    person,
                    cid,
                )
        for seq in range(1, 5):
            await conn.execute(
                "INSERT INTO realtime.messages"
                " (conversation_id, seq, change, sender_id, client_key, body, created_at, state)"
                " VALUES ($1, $2, $2, 1, $3, 'before', now(), $4)",
                cid,
                seq,
                UUID(int=seq),
                dice.choice([0, 0, 2]),
            )
        await conn.execute(
            "UPDATE realtime.conversations SET last_seq = 4, last_change = 4 WHERE id = $1", cid
        )
    return World(ids)


def something_to_say(seed: int) -> list[NewMessage]:
    """Return messages of few people to few conversations, some of which must be refused."""
    dice = random.Random(seed)
    return [
        NewMessage(
            dice.choice([*PEOPLE, STRANGER]),
            dice.randrange(ROOMS),
            UUID(int=dice.choice([dice.randrange(1, 5), 100 + number, 100 + number])),
            f"message {number}",
            reply_to_seq=dice.choice([None, None, None, dice.randrange(1, 5), 99]),
            mentions=Mentions(
                dice.sample([*PEOPLE, STRANGER], dice.randrange(4)), all=dice.random() < 0.3
            ),
            from_draft=dice.random() < 0.7,
        )
        for number in range(dice.randint(1, 12))
    ]


async def state_of(conn: Conn, world: World) -> dict[str, Any]:
    """Return all that sending changes, but times and which of a sender's messages ended a mark."""
    statements = {
        "conversations": "SELECT id, last_seq, last_change FROM realtime.conversations",
        "messages": "SELECT conversation_id AS id, seq, change, sender_id, client_key, body,"
        " reply_to_seq, mention_ids, mention_all FROM realtime.messages",
        "participants": "SELECT conversation_id AS id, employee_id, last_read_seq, manual_unread,"
        " mine_version, marked_seq IS NULL AS unmarked, left_seq"
        " FROM realtime.conversation_participants",
        "drafts": "SELECT conversation_id AS id, employee_id, text, version FROM realtime.drafts",
    }
    return {
        name: sorted(
            (world.ids.index(row["id"]), *(repr(value) for value in list(row.values())[1:]))
            for row in await conn.fetch(statement)
            if row["id"] in world.ids
        )
        for name, statement in statements.items()
    }


def by_sender(
    said: Sequence[NewMessage], stored: Sequence[StoredMessage | None], world: World
) -> dict[tuple[int, int], tuple[list[int | None], bool, bool]]:
    """Return (conversation, sender) → numbers of their messages, a mark ended, a draft emptied."""
    found: dict[tuple[int, int], tuple[list[int | None], bool, bool]] = {}
    for one, result in zip(said, stored, strict=True):
        place = world.ids.index(one.conversation_id), one.sender_id
        numbers, unmarked, emptied = found.get(place, ([], False, False))
        found[place] = (
            [*numbers, result and result.message.seq],
            unmarked or (result is not None and result.unmarked),
            emptied or (result is not None and result.draft is not None),
        )
    return found


@seeds(15, 150)
async def test_a_batch_does_what_its_messages_do_one_by_one(database: str, seed: int) -> None:
    """Numbers, read positions, marks, drafts, mentions and refusals, and each told once."""
    conn = await db.connect(database, application_name="test")
    try:
        alone, together = await build(conn, seed), await build(conn, seed)
        said = something_to_say(seed)
        one_by_one = [
            (await messages.insert(conn, [one], wait=False))[0] for one in alone.addressed(said)
        ]
        at_once = await messages.insert(conn, together.addressed(said), wait=False)

        assert await state_of(conn, together) == await state_of(conn, alone)
        expected = by_sender(alone.addressed(said), one_by_one, alone)
        assert by_sender(together.addressed(said), at_once, together) == expected
        told = [one for one in at_once if one and (one.unmarked or one.draft)]
        senders = {(one.message.conversation_id, one.message.sender_id) for one in told}
        assert len(told) == len(senders)
        for room in together.ids:
            times = [
                one.message.created_at
                for one in at_once
                if one and one.message.conversation_id == room
            ]
            assert times == sorted(times)
    finally:
        await conn.close()
