"""What the CRM calls in its own transactions, as its own role would."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from gateway.characters import is_shown
from gateway.errors import Invalid
from gateway.protocol import MessageCreated, UnreadChanged, UnreadGet, codec
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk

SEND = "SELECT seq, change FROM realtime.send_message($1, $2, $3, $4)"
KEY = uuid.UUID("6f1c6f1c-6f1c-4f1c-8f1c-6f1c6f1c6f1c")
NOBODY_KNOWS = 999_999


async def room(conn: Any, *people: int, history: str = "all") -> int:
    """Make a group of these people; the first owns it."""
    conversation_id: int = await conn.fetchval(
        """
        WITH made AS (
            INSERT INTO realtime.conversations (kind, title, last_change, history)
            VALUES ('group', 'Deal 17', 1, $2)
         RETURNING id
        ), joined AS (
            INSERT INTO realtime.conversation_participants
                   (conversation_id, employee_id, role, change)
            SELECT made.id, person, CASE WHEN place = 1 THEN 'owner' ELSE 'member' END, 1
              FROM made, unnest($1::bigint[]) WITH ORDINALITY AS people (person, place)
        )
        SELECT id FROM made
        """,
        list(people),
        history,
    )
    return conversation_id


async def standing(conn: Any, conversation_id: int) -> tuple[int, int, int]:
    """Return last_seq, last_change and how many messages there are."""
    row = await conn.fetchrow(
        """
        SELECT last_seq, last_change,
               (SELECT count(*) FROM realtime.messages WHERE conversation_id = $1) AS messages
          FROM realtime.conversations WHERE id = $1
        """,
        conversation_id,
    )
    return row["last_seq"], row["last_change"], row["messages"]


async def test_a_message_of_the_crm_reaches_open_sockets(desk: Desk, crm: Any) -> None:
    """Nobody announces it: the sweep of each node finds it, and unread counts follow."""
    conversation_id = await room(crm, OKSANA, PETRO)
    petro = await desk.client(PETRO, node=1)
    oksana = await desk.client(OKSANA)

    found = await crm.fetchrow(SEND, conversation_id, OKSANA, "The deal is won.", None)

    for who in (petro, oksana):
        heard = await who.next(MessageCreated)
        assert (heard.message.seq, heard.change) == (found["seq"], found["change"]) == (1, 2)
        assert (heard.message.text, heard.message.sender_id) == ("The deal is won.", OKSANA)
    counted = await petro.next(UnreadChanged)
    assert [(c.conversation_id, c.unread) for c in counted.conversations] == [(conversation_id, 1)]


async def test_a_message_of_the_system_has_no_sender(small_desk: Desk, crm: Any) -> None:
    """sender_id NULL: everybody has it unread, unless it is silent."""
    conversation_id = await room(crm, OKSANA, PETRO)
    oksana = await small_desk.client(OKSANA)

    await crm.execute(
        """
        SELECT realtime.send_message(
            conversation_id => $1, sender_id => NULL, body => 'Lead 5 was assigned.',
            attrs => '{"event": "lead.assigned", "id": 5}')
        """,
        conversation_id,
    )
    await crm.execute(
        "SELECT realtime.send_message($1, NULL, 'Lead 5 was read.', silent => true)",
        conversation_id,
    )

    heard = [(await oksana.next(MessageCreated)).message for _ in range(2)]
    assert [message.sender_id for message in heard] == [None, None]
    kept = await crm.fetch("SELECT kind, state, attrs FROM realtime.messages ORDER BY seq")
    assert [(row["kind"], row["state"]) for row in kept] == [("system", 0), ("system", 1)]
    assert kept[0]["attrs"] == '{"id": 5, "event": "lead.assigned"}'
    assert (await oksana.request(UnreadGet())).total.messages == 1


async def test_a_rollback_leaves_no_trace(small_desk: Desk, crm: Any) -> None:
    """What the CRM takes back consumed no number and is heard by nobody."""
    conversation_id = await room(crm, OKSANA, PETRO)
    petro = await small_desk.client(PETRO)
    transaction = crm.transaction()
    await transaction.start()
    taken = await crm.fetchrow(SEND, conversation_id, OKSANA, "never", None)
    await transaction.rollback()

    again = await crm.fetchrow(SEND, conversation_id, OKSANA, "after all", None)

    assert (taken["seq"], taken["change"]) == (again["seq"], again["change"])
    assert (await petro.next(MessageCreated)).message.text == "after all"
    assert await standing(crm, conversation_id) == (1, 2, 1)


@pytest.mark.parametrize("sender", [OKSANA, None])
async def test_a_retry_is_stored_once(crm: Any, sender: int | None) -> None:
    """The same client_key answers with the first message; with another text it is refused."""
    conversation_id = await room(crm, OKSANA, PETRO)
    first = await crm.fetchrow(SEND, conversation_id, sender, "once", KEY)
    await crm.fetchrow(SEND, conversation_id, PETRO, "another's key", KEY)

    again = await crm.fetchrow(SEND, conversation_id, sender, "once", KEY)
    with pytest.raises(asyncpg.PostgresError) as refused:
        await crm.fetchrow(SEND, conversation_id, sender, "twice", KEY)

    assert tuple(again) == tuple(first) == (1, 2)
    assert refused.value.sqlstate == "RT003"
    assert await standing(crm, conversation_id) == (2, 3, 2)


async def test_many_at_once_take_each_number_once(
    database: str, small_desk: Desk, crm: Any
) -> None:
    """Six connections of the CRM, each call made twice, and a socket that writes between them."""
    conversation_id = await room(crm, OKSANA, PETRO)
    petro = await small_desk.client(PETRO)
    async with AsyncExitStack() as stack:
        conns = []
        for _ in range(6):
            conns.append(await asyncpg.connect(database))
            stack.push_async_callback(conns[-1].close)
        keys = [uuid.uuid4() for _ in range(3 * 5)]

        async def write(conn: Any, own: list[uuid.UUID]) -> None:
            for key in own:
                await conn.execute(SEND, conversation_id, OKSANA, str(key), key)

        await asyncio.gather(
            # Conns 0 and 1 send the same messages, and so do 2 and 3, 4 and 5.
            *(write(conn, keys[place // 2 * 5 :][:5]) for place, conn in enumerate(conns)),
            *(petro.send(conversation_id, "meanwhile") for _ in range(5)),
        )

    rows = await crm.fetch("SELECT seq, change, client_key FROM realtime.messages ORDER BY seq")
    assert [row["seq"] for row in rows] == list(range(1, 21))
    assert [row["change"] for row in rows] == list(range(2, 22))
    assert {*keys} <= {row["client_key"] for row in rows}
    assert [(await petro.next(MessageCreated)).message.seq for _ in range(20)] == [*range(1, 21)]


@pytest.mark.parametrize(
    ("sender", "body", "state"),
    [
        (IRYNA, "not in it", "RT001"),
        (NOBODY_KNOWS, "not anybody", "RT001"),
        (OKSANA, "", "RT004"),
        (OKSANA, None, "RT004"),
        (OKSANA, "x" * 8_001, "RT004"),
        (None, "x" * 8_001, "RT004"),
        (OKSANA, " \n\t", "RT004"),
        (None, "\u200b\u2060\ufe0f", "RT004"),
    ],
)
async def test_what_a_socket_may_not_send_is_refused(
    crm: Any, sender: int | None, body: str | None, state: str
) -> None:
    """Membership, length, and whether it shows anything; nothing has changed afterwards."""
    conversation_id = await room(crm, OKSANA, PETRO)

    with pytest.raises(asyncpg.PostgresError) as refused:
        await crm.fetchrow(SEND, conversation_id, sender, body, None)

    assert refused.value.sqlstate == state
    assert await standing(crm, conversation_id) == (0, 1, 0)


def nested(levels: int, inner: str = "1") -> str:
    """Return an object of so many levels."""
    return '{"a":' * levels + inner + "}" * levels


SEND_DATA = "SELECT seq FROM realtime.send_message($1, NULL, 'data', attrs => $2)"


@pytest.mark.parametrize(
    "attrs", ["[]", nested(100), nested(3_000), nested(50, "[" * 51 + "]" * 51),
              '{"n": 1e400}', '{"n": {"n": [1, -1e309]}}', nested(99, "1e309")],
)  # fmt: skip
async def test_data_that_the_gateway_cannot_read_is_refused(crm: Any, attrs: str) -> None:
    """One such message, and nobody could open the conversation."""
    conversation_id = await room(crm, OKSANA, PETRO)

    with pytest.raises(asyncpg.PostgresError) as refused:
        await crm.fetchrow(SEND_DATA, conversation_id, attrs)

    assert (refused.value.sqlstate, refused.value.hint) == ("RT004", "attrs")


async def test_data_of_many_levels_and_digits_reaches_everybody(small_desk: Desk, crm: Any) -> None:
    """As an event, in a page, over HTTP, and in the list of conversations of a new hello."""
    conversation_id = await room(crm, OKSANA, PETRO)
    oksana = await small_desk.client(OKSANA)
    for attrs in (nested(99), nested(2, "[1.7e308, -1e308, 1e-400, 10000000000000000000000]")):
        await crm.execute(SEND_DATA, conversation_id, attrs)
        written = json.loads(attrs)

        assert (await oksana.next(MessageCreated)).message.attrs == written
        assert (await oksana.history(conversation_id)).messages[-1].attrs == written
        path = f"/v1/messenger/conversations/{conversation_id}/messages"
        page = (await small_desk.http(PETRO).get(path)).json()
        assert page["messages"][-1]["attrs"] == written
        [shown] = (await small_desk.client(PETRO)).welcome.conversations
        assert shown.last_message is not None
        assert shown.last_message.attrs == written


@pytest.mark.parametrize("conversation_id", [None, 0, NOBODY_KNOWS, 2**63 - 1])
@pytest.mark.parametrize("sender", [OKSANA, None])
async def test_a_conversation_that_is_not_there_is_not_found(
    crm: Any, conversation_id: int | None, sender: int | None
) -> None:
    """Also for the system, which needs no membership."""
    with pytest.raises(asyncpg.PostgresError) as refused:
        await crm.fetchrow(SEND, conversation_id, sender, "hi", None)

    assert refused.value.sqlstate == "RT001"


async def test_who_has_left_and_what_is_closed_is_refused(crm: Any) -> None:
    """A former member gets the answer of a stranger; a retry outlives the closing."""
    conversation_id = await room(crm, OKSANA, PETRO)
    await crm.fetchrow(SEND, conversation_id, OKSANA, "before", KEY)
    await crm.execute(
        "UPDATE realtime.conversation_participants SET left_seq = 1 WHERE employee_id = 2"
    )
    await crm.execute("UPDATE realtime.conversations SET closed_at = now()")

    states = []
    for sender in (PETRO, OKSANA, None):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await crm.fetchrow(SEND, conversation_id, sender, "after", None)
        states.append(refused.value.sqlstate)

    assert states == ["RT001", "RT002", "RT002"]
    assert tuple(await crm.fetchrow(SEND, conversation_id, OKSANA, "before", KEY)) == (1, 2)


async def test_answers_and_mentions_are_as_on_the_socket(crm: Any) -> None:
    """<@2> names a participant, <@3> a stranger; what is answered must be there to be seen."""
    conversation_id = await room(crm, OKSANA, PETRO, history="joined")
    await crm.fetchrow(SEND, conversation_id, OKSANA, "<@2> <@3> <@2> and <@all>", None)
    answer = "SELECT seq FROM realtime.send_message($1, $2, 'yes', reply_to_seq => $3)"

    assert await crm.fetchval(answer, conversation_id, PETRO, 1) == 2
    await crm.execute(
        "UPDATE realtime.conversation_participants SET joined_seq = 1 WHERE employee_id = 2"
    )
    states = []
    for sender, seq in ((OKSANA, 9), (PETRO, 1)):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await crm.fetchval(answer, conversation_id, sender, seq)
        states.append(refused.value.sqlstate)

    assert states == ["RT005", "RT005"]
    first = await crm.fetchrow("SELECT * FROM realtime.messages WHERE seq = 1")
    assert (first["mention_ids"], first["mention_all"]) == ([PETRO], True)


async def test_a_member_may_not_call_everybody_in_a_large_group(crm: Any) -> None:
    """With more than 20 people <@all> is for owners, admins and the system."""
    conversation_id = await room(crm, *range(1, 22))
    for sender in (OKSANA, PETRO, None):
        await crm.fetchrow(SEND, conversation_id, sender, "<@all> lunch", None)

    rows = await crm.fetch("SELECT mention_all FROM realtime.messages ORDER BY seq")
    assert [row["mention_all"] for row in rows] == [True, False, True]


async def test_only_granted_roles_may_call_it_and_need_no_tables(crm: Any) -> None:
    """The CRM's role sends with EXECUTE alone, reads nothing, and cannot be led astray."""
    conversation_id = await room(crm, OKSANA, PETRO)
    role = f"crm_{uuid.uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        await crm.execute(f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA realtime TO {role}")
        stack.push_async_callback(crm.execute, f"DROP OWNED BY {role}; DROP ROLE {role}")
        await crm.execute(f"SET ROLE {role}")
        stack.push_async_callback(crm.execute, "RESET ROLE")

        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await crm.fetchrow(SEND, conversation_id, OKSANA, "hi", None)
        await crm.execute("RESET ROLE")
        await crm.execute(
            f"GRANT EXECUTE ON FUNCTION realtime.send_message TO {role}; SET ROLE {role}"
        )
        await crm.execute("CREATE TEMP TABLE messages (LIKE pg_class); SET search_path = pg_temp")
        assert tuple(await crm.fetchrow(SEND, conversation_id, OKSANA, "hi", None)) == (1, 2)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await crm.fetch("SELECT * FROM realtime.messages")


HIDDEN = [n for n in range(1, 0x110000) if not 0xD800 <= n < 0xE000 and not is_shown(chr(n))]
NEIGHBOURS = {n + step for n in HIDDEN for step in (-1, 1)}
SAMPLE = random.Random(7).sample(range(0xA1, 0x110000), 2_000)
SHOWN = sorted(
    {*NEIGHBOURS, *SAMPLE, *range(0x21, 0x7F)}
    - {*HIDDEN, *range(0xD800, 0xE000), *range(0x13439, 0x13440), 0, 0x110000}
)
"""Without U+13439 to U+1343F: formats since Unicode 15, which not every Python knows."""
SAID = "SELECT id FROM unnest($1::int[]) AS id WHERE realtime.shows_something(chr(id)) ORDER BY id"


async def test_the_database_and_the_gateway_find_the_same_texts_blank(crm: Any) -> None:
    """Each character that shows nothing, their neighbours, and a sample of all others."""
    assert len(HIDDEN) > 4_000
    assert [row["id"] for row in await crm.fetch(SAID, HIDDEN)] == []
    assert [row["id"] for row in await crm.fetch(SAID, SHOWN)] == SHOWN
    mixed = "".join(map(chr, HIDDEN))
    assert not await crm.fetchval("SELECT realtime.shows_something($1)", mixed)
    assert await crm.fetchval("SELECT realtime.shows_something($1)", f"{mixed}.")


def blank_texts() -> list[str]:
    """Make texts of the first of each range of characters that show nothing, alone and mixed."""
    deal, hidden = random.Random(11), set(HIDDEN)
    first = [chr(n) for n in HIDDEN if n - 1 not in hidden]
    mixed = ["".join(deal.choices(first, k=deal.randint(2, 9))) for _ in range(30)]
    return [*first, *mixed]


async def test_the_crm_is_refused_each_text_that_a_client_is_refused(crm: Any) -> None:
    """With the same code; a text with one character more is stored."""
    conversation_id = await room(crm, OKSANA, PETRO)
    fields = {"conversation_id": conversation_id, "client_key": str(KEY)}

    for text in blank_texts():
        with pytest.raises(asyncpg.PostgresError) as in_sql:
            await crm.fetchrow(SEND, conversation_id, OKSANA, text, None)
        with pytest.raises(Invalid) as on_socket:
            codec.command("message.send", {**fields, "text": text})
        assert (in_sql.value.sqlstate, in_sql.value.hint) == ("RT004", "body"), text
        assert in_sql.value.detail == on_socket.value.code, text

    assert await standing(crm, conversation_id) == (0, 1, 0)
    await crm.fetchrow(SEND, conversation_id, OKSANA, blank_texts()[-1] + "!", None)
    assert await standing(crm, conversation_id) == (1, 2, 1)
