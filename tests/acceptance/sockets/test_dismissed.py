"""Whoever is dismissed, or whose token is revoked, is out within a check, and writes nothing."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable
from typing import Any

import jwt
import pytest

from gateway.auth.queries.standing import MembershipChange
from gateway.client import ConnectionEnded, RequestRefused
from gateway.errors import DatabaseUnavailable
from gateway.protocol import ConversationCreated, MessageHistory
from gateway.sockets.subscriptions.membership_news import MembershipNews
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, eventually
from tests.support.raw import raw

CHECK_S = 0.05
LONG_S = 600.0
DISMISS = "UPDATE demo_crm.staff SET dismissed_on = current_date WHERE id = $1"


def token_id(token: str) -> str:
    found: str = jwt.decode(token, options={"verify_signature": False})["jti"]
    return found


async def refusal_of(attempt: Awaitable[Any]) -> str | int:
    """Await what must be refused; return the code of the error, or of the close."""
    try:
        await attempt
    except (RequestRefused, ConnectionEnded) as refusal:
        return refusal.code
    pytest.fail("it was not refused")


async def start(desk: Desk, *, standing_s: float) -> None:
    """Start two nodes on which nothing else would find out about it."""
    for _ in range(2):
        await desk.start_node(standing_s=standing_s, upkeep_s=LONG_S)


async def test_a_message_after_the_dismissal_is_not_stored(empty_desk: Desk) -> None:
    """Even before any check has run: the write itself asks. With a file, as a retry, too."""
    await start(empty_desk, standing_s=LONG_S)
    oksana = await empty_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    first = await oksana.send(room, "before")

    sending = [asyncio.create_task(oksana.send(room, f"{number}")) for number in range(15)]
    await empty_desk.sql(DISMISS, OKSANA)
    (until,) = await empty_desk.sql("SELECT clock_timestamp() AS at")
    later = [await refusal_of(oksana.send(room, f"later {number}")) for number in range(3)]
    await asyncio.gather(*sending, return_exceptions=True)

    assert set(later) <= {"employee.disabled", 4010}
    petro = await empty_desk.client(PETRO)
    page = await petro.request(MessageHistory(conversation_id=room, limit=100))
    assert page.messages[0].text == "before"
    assert page.messages[0].seq == first.seq
    assert not [one for one in page.messages if one.text.startswith("later")]
    assert all(one.created_at <= until["at"] for one in page.messages)


async def test_a_retry_of_what_was_stored_still_gets_its_message(empty_desk: Desk) -> None:
    """The client key is known: the answer is the message, and nothing new is written."""
    await start(empty_desk, standing_s=LONG_S)
    key = str(uuid.uuid4())
    async with raw(empty_desk.nodes[0].socket_url) as oksana:
        await oksana.hello(empty_desk.token(OKSANA))
        opened = await oksana.ask({"type": "conversation.open", "id": 2, "employee_id": PETRO})
        send = {
            "type": "message.send", "client_key": key, "text": "once",
            "conversation_id": opened["ok"]["conversation"]["id"],
        }  # fmt: skip
        first = await oksana.ask(send | {"id": 3})
        await empty_desk.sql(DISMISS, OKSANA)

        again = await oksana.ask(send | {"id": 4})
        other = await oksana.code_of(send | {"id": 5, "client_key": str(uuid.uuid4())})

    assert again["ok"] == first["ok"]
    assert other == "employee.disabled"


async def test_a_dismissed_employee_is_closed_by_the_next_check(empty_desk: Desk) -> None:
    """All their sessions, on all nodes, with 4010; those of others stay."""
    await start(empty_desk, standing_s=CHECK_S)
    petro = await empty_desk.client(PETRO)
    async with (
        raw(empty_desk.nodes[0].socket_url) as one,
        raw(empty_desk.nodes[1].socket_url) as other,
    ):
        await one.hello(empty_desk.token(OKSANA))
        await other.hello(empty_desk.token(OKSANA))
        await empty_desk.sql(DISMISS, OKSANA)

        assert [await one.closed_with(), await other.closed_with()] == [4010, 4010]
    assert (await petro.open(IRYNA)).conversation.id


async def test_nobody_stays_because_others_are_being_told_of_conversations(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program may open thousands, for a thousand people each; that takes longer than a check."""
    await start(empty_desk, standing_s=CHECK_S)
    apply, telling, released = MembershipNews._apply, asyncio.Event(), asyncio.Event()

    async def take_long(news: MembershipNews, change: MembershipChange) -> None:
        telling.set()
        await released.wait()
        await apply(news, change)

    monkeypatch.setattr(MembershipNews, "_apply", take_long)
    petro = await empty_desk.client(PETRO)
    async with raw(empty_desk.nodes[0].socket_url) as oksana:
        await oksana.hello(empty_desk.token(OKSANA))
        await empty_desk.sql(
            "SELECT realtime.open_conversation('Deal', $1::bigint[], created_by => $2)",
            [IRYNA], PETRO,
        )  # fmt: skip
        await telling.wait()
        await empty_desk.sql(DISMISS, OKSANA)

        assert await oksana.closed_with() == 4010
    released.set()
    assert (await petro.next(ConversationCreated)).title == "Deal"


async def test_a_revoked_token_is_refused_everywhere(empty_desk: Desk) -> None:
    """To a hello, to a refresh, over HTTP; its sessions end; other tokens of the same live on."""
    await start(empty_desk, standing_s=CHECK_S)
    stolen, own = empty_desk.token(OKSANA), empty_desk.token(OKSANA)
    bearer = {"Authorization": f"Bearer {stolen}"}
    async with (
        raw(empty_desk.nodes[0].socket_url) as thief,
        raw(empty_desk.nodes[1].socket_url) as oksana,
    ):
        await thief.hello(stolen)
        await oksana.hello(own)
        before = await empty_desk.http().get("/v1/messenger/conversations", headers=bearer)
        await empty_desk.sql(
            "INSERT INTO realtime.revoked_tokens (token_id) VALUES ($1)", token_id(stolen)
        )

        assert await thief.closed_with() == 4001
        after = await empty_desk.http().get("/v1/messenger/conversations", headers=bearer)
        refresh = {"type": "token.refresh", "id": 7, "token": stolen}
        assert await oksana.code_of(refresh) == "token.revoked"
        assert "ok" in await oksana.ask(refresh | {"token": empty_desk.token(OKSANA)})
    async with raw(empty_desk.nodes[0].socket_url) as thief:
        assert (await thief.hello(stolen))["error"]["code"] == "token.revoked"
        assert await thief.closed_with() == 4001

    assert (before.status_code, after.status_code) == (200, 401)
    assert after.json()["error"]["code"] == "token.revoked"


async def test_a_token_is_refreshed_while_the_database_is_away(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions outlive an outage; a refresh with a revoked token ends when it can be looked up."""
    await start(empty_desk, standing_s=CHECK_S)
    stolen = empty_desk.token(OKSANA)
    await empty_desk.sql(
        "INSERT INTO realtime.revoked_tokens (token_id, revoked_at)"
        " VALUES ($1, now() - interval '1 hour')",
        token_id(stolen),
    )
    services = empty_desk.nodes[0].node.services
    connection = type(services).connection

    def away(_: Any) -> Any:
        raise DatabaseUnavailable

    async with (
        raw(empty_desk.nodes[0].socket_url) as thief,
        raw(empty_desk.nodes[0].socket_url) as oksana,
    ):
        await thief.hello(empty_desk.token(OKSANA))
        await oksana.hello(empty_desk.token(OKSANA))
        await asyncio.sleep(2 * CHECK_S)  # revocations of before are read
        monkeypatch.setattr(type(services), "connection", away)
        refresh = {"type": "token.refresh", "id": 7}
        assert "ok" in await oksana.ask(refresh | {"token": empty_desk.token(OKSANA)})
        assert "ok" in await thief.ask(refresh | {"token": stolen})
        monkeypatch.setattr(type(services), "connection", connection)

        assert await thief.closed_with() == 4001
        assert "ok" in await oksana.ask(refresh | {"token": empty_desk.token(OKSANA)})


async def test_revocations_of_expired_tokens_are_deleted(empty_desk: Desk) -> None:
    """Of a token that says when it ends, a day after that; of others nobody knows whether they are
    accepted again.
    """
    await empty_desk.sql(
        "INSERT INTO realtime.revoked_tokens (token_id, revoked_at, expires_at)"
        " VALUES ('over', now(), now() - interval '2 days'),"
        " ('just over', now() - interval '90 days', now() - interval '1 hour'),"
        " ('of unknown life', now() - interval '900 days', NULL)"
    )
    await empty_desk.start_node(standing_s=CHECK_S, token_max_s=3_600)

    async def kept() -> bool:
        rows = await empty_desk.sql("SELECT token_id FROM realtime.revoked_tokens ORDER BY 1")
        return [row["token_id"] for row in rows] == ["just over", "of unknown life"]

    await eventually(kept)


@pytest.mark.parametrize("claims", [{}, {"iat": None}], ids=["with iat", "without"])
async def test_a_token_that_lives_too_long_is_refused(
    empty_desk: Desk, claims: dict[str, Any]
) -> None:
    """Whether it says when it was issued or not."""
    await empty_desk.start_node(token_max_s=3_600)

    def changed(seconds: int) -> str:
        token = empty_desk.token(OKSANA)
        found = jwt.decode(token, options={"verify_signature": False})
        found["exp"] = found["iat"] + seconds
        found = {name: value for name, value in found.items() if name not in claims}
        return jwt.encode(found, empty_desk.tokens.secret, algorithm="HS256")

    async with raw(empty_desk.nodes[0].socket_url) as socket:
        assert "ok" in await socket.hello(changed(3_500))
    async with raw(empty_desk.nodes[0].socket_url) as socket:
        assert (await socket.hello(changed(3_700)))["error"]["code"] == "token.invalid"
