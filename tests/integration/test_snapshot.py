"""What a snapshot reads for a client that comes back, however far behind it is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gateway.chat.queries import changes
from gateway.db import Conn
from tests.support.desk import OKSANA, PETRO, Desk
from tests.support.raw import raw

SEEN = 1  # the change that each of these conversations' resume position is at


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the events that each look for what was missed brings."""
    counts: list[int] = []
    after = changes.after

    async def counted(
        conn: Conn, positions: Sequence[tuple[int, int]], limit: int
    ) -> list[changes.Change]:
        found = await after(conn, positions, limit)
        counts.append(len(found))
        return found

    monkeypatch.setattr(changes, "after", counted)
    return counts


async def _conversations(desk: Desk, missed: Sequence[int]) -> list[int]:
    """Store a conversation for each of these numbers, with so many messages after SEEN."""
    made = []
    for count in missed:
        (row,) = await desk.sql(
            """
            INSERT INTO realtime.conversations (kind, title, last_seq, last_change)
            VALUES ('group', 'g', $1::bigint, $1::bigint + 1) RETURNING id
            """,
            count,
        )
        await desk.sql(
            """
            INSERT INTO realtime.conversation_participants (conversation_id, employee_id, change)
            SELECT $1, employee_id, 1 FROM unnest($2::bigint[]) AS employee_id
            """,
            row["id"],
            [OKSANA, PETRO],
        )
        await desk.sql(
            """
            INSERT INTO realtime.messages
                   (conversation_id, seq, sender_id, body, change, created_at)
            SELECT $1, n, $3, 'x', n + 1, now() FROM generate_series(1, $2::bigint) AS n
            """,
            row["id"],
            count,
            OKSANA,
        )
        made.append(row["id"])
    return made


async def test_what_will_not_be_sent_is_not_read(empty_desk: Desk, fetched: list[int]) -> None:
    """Far behind everywhere: all are named in `reload` and no message is fetched for nothing."""
    node = await empty_desk.start_node()
    made = await _conversations(empty_desk, [250] * 30)

    async with raw(node.socket_url) as petro:
        welcome = await petro.hello(
            empty_desk.token(PETRO), resume={str(conversation_id): SEEN for conversation_id in made}
        )

    assert welcome["ok"]["reload"] == sorted(made)
    assert welcome["ok"]["changes"] == {}
    assert sum(fetched) == 0


async def test_the_smallest_gaps_are_made_up_within_a_thousand(
    empty_desk: Desk, fetched: list[int]
) -> None:
    """Whole conversations, the least missed first, until 1,000 are full; the rest are named."""
    node = await empty_desk.start_node()
    missed = [200, 150, 201, 200, 10, 199, 200, 200, 1]
    made = await _conversations(empty_desk, missed)

    async with raw(node.socket_url) as petro:
        welcome = await petro.hello(
            empty_desk.token(PETRO), resume={str(conversation_id): SEEN for conversation_id in made}
        )

    changes = {int(key): events for key, events in welcome["ok"]["changes"].items()}
    reload = welcome["ok"]["reload"]
    assert sorted([*changes, *reload]) == sorted(made)
    for conversation_id, count in zip(made, missed, strict=True):
        if conversation_id in changes:
            told = [event["change"] for event in changes[conversation_id]]
            assert told == list(range(SEEN + 1, SEEN + 1 + count))
    # 1 + 10 + 150 + 199 + 3 x 200 = 960: a fourth 200 no longer fits, and 201 never does.
    by_id = dict(zip(made, missed, strict=True))
    assert sorted(by_id[conversation_id] for conversation_id in changes) == [
        1, 10, 150, 199, 200, 200, 200,
    ]  # fmt: skip
    assert sorted(by_id[conversation_id] for conversation_id in reload) == [200, 201]
    assert sum(fetched) == 960


async def test_a_client_that_is_up_to_date_costs_no_look(
    empty_desk: Desk, fetched: list[int]
) -> None:
    """Nothing missed: nothing is read, sent or to be reloaded."""
    node = await empty_desk.start_node()
    (made,) = await _conversations(empty_desk, [5])

    async with raw(node.socket_url) as petro:
        welcome = await petro.hello(empty_desk.token(PETRO), resume={str(made): 6})

    assert (welcome["ok"]["changes"], welcome["ok"]["reload"]) == ({}, [])
    assert fetched == []
