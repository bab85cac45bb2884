"""Nonsense on the socket: each kind has its documented code, and nothing else breaks."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import uuid
from datetime import timedelta
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from gateway.protocol import MessageCreated
from tests.support.desk import OKSANA, PETRO, Desk, eventually
from tests.support.raw import raw

KEY = "6f1c6f1c-6f1c-4f1c-8f1c-6f1c6f1c6f1c"


def message(**changes: Any) -> dict[str, Any]:
    return {
        "type": "message.send", "id": 2, "conversation_id": 1, "client_key": KEY, "text": "hi",
        **changes,
    }  # fmt: skip


MALFORMED = {
    "NaN": '{"type":"unread.get","id":NaN}',
    "Infinity": '{"type":"receipt.read","id":2,"conversation_id":1,"seq":Infinity}',
    "a lone surrogate": '{"type":"message.send","id":2,"conversation_id":1,"text":"\\ud800"}',
    "not JSON": '{"type":"unread.get",',
    "nothing": "",
    "100,000 brackets": "[" * 30_000,
    "a text": '"hello"',
    "a number": "7",
    "null": "null",
}

INVALID = {
    "an id of 2^63": (message(conversation_id=2**63), "conversation_id"),
    "an id of 2^64": (message(conversation_id=2**64), "conversation_id"),
    "a negative id": (message(conversation_id=-1), "conversation_id"),
    "true for an id": (message(conversation_id=True), "conversation_id"),
    "text for an id": (message(conversation_id="1"), "conversation_id"),
    "a float for an id": (message(conversation_id=1.5), "conversation_id"),
    "NUL in text": (message(text="a\x00b"), "text"),
    "no text": (message(text=""), "text"),
    "8,001 characters": (message(text="x" * 8_001), "text"),
    "a number for text": (message(text=5), "text"),
    "an object for text": (message(text={"a": 1}), "text"),
    "a key that is no UUID": (message(client_key="mine"), "client_key"),
    "an unknown field": (message(colour="red"), "colour"),
    "a missing field": ({"type": "message.send", "id": 2, "conversation_id": 1}, "client_key"),
    "a limit of 101": (
        {"type": "message.history", "id": 2, "conversation_id": 1, "limit": 101},
        "limit",
    ),
    "a foreign cursor": ({"type": "conversation.list", "id": 2, "cursor": "aGVsbG8"}, "cursor"),
    "a binary cursor": ({"type": "call.list", "id": 2, "cursor": "\u00ff\u00fe"}, "cursor"),
    "501 watched": ({"type": "presence.watch", "id": 2, "employee_ids": list(range(1, 502))},
                    "employee_ids"),
    "before and after": (
        {"type": "message.history", "id": 2, "conversation_id": 1, "before": 1, "after": 1},
        "after",
    ),
    "oneself": ({"type": "conversation.open", "id": 2, "employee_id": OKSANA}, "employee_id"),
}  # fmt: skip


async def test_malformed_frames_are_refused_and_the_socket_stays(desk: Desk) -> None:
    """What is no JSON object gets frame.malformed; the next command works."""
    async with raw(desk.nodes[0].socket_url) as client:
        await client.hello(desk.token(OKSANA))
        codes = {name: await client.code_of(said) for name, said in MALFORMED.items()}

        assert codes == dict.fromkeys(MALFORMED, "frame.malformed")
        assert "ok" in await client.ask({"type": "unread.get", "id": 3})


async def test_a_wrong_field_is_named(desk: Desk) -> None:
    """command.invalid says which field, and never repeats what was sent."""
    async with raw(desk.nodes[0].socket_url) as client:
        await client.hello(desk.token(OKSANA))
        answers = {name: await client.ask(said) for name, (said, _path) in INVALID.items()}

        for name, answer in answers.items():
            assert answer["id"] == 2, name
            assert answer["error"]["code"] == "command.invalid", name
            assert answer["error"]["path"].split("[")[0] == INVALID[name][1], name
            assert "x" * 100 not in str(answer), name
        assert "ok" in await client.ask({"type": "unread.get", "id": 3})


async def test_what_stands_around_commands_is_checked(desk: Desk) -> None:
    """Unknown commands, missing types, impossible ids, arrays of anything."""
    async with raw(desk.nodes[0].socket_url) as client:
        assert await client.code_of({"type": "unread.get", "id": 1}) == "session.hello_required"
        await client.hello(desk.token(OKSANA))
        assert await client.code_of({"type": "hello", "id": 1, "token": "x"}) == (
            "session.hello_twice"
        )
        assert await client.code_of({"type": "message.explode", "id": 2}) == "command.unknown"
        assert await client.code_of({"id": 2}) == "command.invalid"
        assert await client.code_of({"type": 5, "id": 2}) == "command.invalid"
        for request_id in (-1, 2**53, 1.5, "one", True, [1]):
            answer = await client.ask({"type": "unread.get", "id": request_id})
            assert answer["error"]["path"] == "id"
        assert await client.code_of([{"type": "unread.get", "id": 3}, 5]) == "frame.malformed"
        assert (await client.hear())["id"] == 3


async def test_an_array_is_bounded(desk: Desk) -> None:
    """A hundred commands in one frame are all served; 10,000 are refused as a whole."""
    async with raw(desk.nodes[0].socket_url) as client:
        await client.hello(desk.token(OKSANA))

        await client.say([{"type": "unread.get", "id": n} for n in range(100)])
        assert {(await client.hear())["id"] for _ in range(100)} == set(range(100))
        await client.say([0] * 10_000)
        assert (await client.hear())["error"]["code"] == "limit.too_many"


async def test_text_is_kept_as_it_was_sent(desk: Desk) -> None:
    """Emoji, zero-width and right-to-left characters survive; 8,000 characters fit."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    texts = [
        "👩‍👩‍👧 \u200b\u200d שלום \u202e مرحبا",
        "'; DROP TABLE messages; --",
        "<b>\r\n\x1b[31m",
        "я" * 8_000,
    ]

    for text in texts:
        await oksana.send(conversation.id, text)

    assert [(await petro.next(MessageCreated)).message.text for _ in texts] == texts


async def test_binary_frames_close_with_1003(desk: Desk) -> None:
    """JSON is text."""
    async with raw(desk.nodes[0].socket_url) as client:
        await client.hello(desk.token(OKSANA))
        await client.socket.send(b"\x00\x01")

        assert await client.closed_with() == 1003


async def test_a_frame_of_two_megabytes_closes_with_1009(desk: Desk) -> None:
    """Before it is read."""
    async with raw(desk.nodes[0].socket_url) as client:
        await client.hello(desk.token(OKSANA))
        await client.say("x" * 2_000_000)

        assert await client.closed_with() == 1009


async def test_invalid_utf8_closes_with_1007(desk: Desk) -> None:
    """Also when the broken character is cut by fragments."""
    for fragments in ([b'{"a":"\xff"}'], [b'{"a":"\xd0', b'\xff"}']):
        async with raw(desk.nodes[0].socket_url) as client:
            await client.hello(desk.token(OKSANA))
            await client.socket.send(iter(fragments), text=True)

            assert await client.closed_with() == 1007


async def test_fragments_make_one_message(desk: Desk) -> None:
    """A command in pieces, with a ping in between, is answered; endless pieces are not."""
    async with raw(desk.nodes[0].socket_url) as client:
        await client.hello(desk.token(OKSANA))
        await client.socket.send(['{"type":"unread', '.get","i', 'd":7}'])
        assert (await client.hear())["id"] == 7

        await client.socket.send(["x"] * 1_100)
        assert await client.closed_with() == 1009


async def test_tokens_that_do_not_hold_end_the_connection(desk: Desk) -> None:
    """Forged and missing tokens close with a "stop" code, expired ones with "refresh"."""
    forged = desk.token(OKSANA)[:-4] + "AAAA"
    unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."
    disabled = desk.token(20)
    expired = desk.token(OKSANA, ttl=timedelta(seconds=-60))
    for token, error, code in (
        (forged, "token.invalid", 4001),
        (unsigned, "token.invalid", 4001),
        (None, "token.missing", 4001),
        (desk.token(2**63 - 1), "employee.disabled", 4010),
        (disabled, "employee.disabled", 4010),
        (expired, "token.expired", 4201),
    ):
        async with raw(desk.nodes[0].socket_url) as client:
            answer = await client.ask({"type": "hello", "id": 1, "token": token})
            assert answer["error"]["code"] == error
            assert await client.closed_with() == code


async def test_a_token_that_runs_out_ends_the_session_and_a_refresh_saves_it(desk: Desk) -> None:
    """The client is warned, may swap the token live, and is closed with 4201 if it does not."""
    short = desk.token(OKSANA, ttl=timedelta(seconds=2))
    async with raw(desk.nodes[0].socket_url) as kept, raw(desk.nodes[0].socket_url) as lost:
        await kept.hello(short)
        await lost.hello(short)
        refreshed = await kept.ask({"type": "token.refresh", "id": 2, "token": desk.token(OKSANA)})
        others = await kept.code_of({"type": "token.refresh", "id": 3, "token": desk.token(9)})

        assert "token_expires_at" in refreshed["ok"]
        assert others == "token.invalid"
        assert await lost.closed_with() == 4201
        assert "ok" in await kept.ask({"type": "unread.get", "id": 4})


async def test_an_employee_who_is_disabled_is_let_go(desk: Desk) -> None:
    """Within seconds, on every worker, without any message on the bus."""
    async with raw(desk.nodes[1].socket_url) as client:
        await client.hello(desk.token(OKSANA))
        await desk.sql(
            "UPDATE demo_crm.staff SET dismissed_on = current_date - 1 WHERE id = $1", OKSANA
        )

        assert await client.closed_with() == 4010


async def test_a_socket_without_hello_is_closed(empty_desk: Desk) -> None:
    """Whoever does not say who they are does not stay; a silent client neither."""
    node = await empty_desk.start_node(hello_s=0.3, ping_s=0.3, pong_s=0.3)
    async with raw(node.socket_url) as silent:
        assert await silent.closed_with() == 4403
    async with raw(node.socket_url) as dead:
        await dead.hello(empty_desk.token(OKSANA))
        assert await dead.closed_with() == 4405


async def test_a_client_above_its_rate_is_told_when_to_come_back(empty_desk: Desk) -> None:
    """limit.too_fast carries retry_after; who goes on and on is closed with 4402."""
    node = await empty_desk.start_node(commands_per_s=5.0, commands_burst=5, max_errors=10)
    async with raw(node.socket_url) as client:
        await client.hello(empty_desk.token(OKSANA))
        for number in range(30):
            await client.say({"type": "unread.get", "id": number})
        answers = [await client.hear() for _ in range(6)]
        refused = [answer for answer in answers if "error" in answer]

        assert refused[0]["error"]["code"] == "limit.too_fast"
        assert 0 < refused[0]["error"]["retry_after"] <= 0.2
        assert await client.closed_with() == 4402


async def test_pages_of_other_origins_may_not_connect(empty_desk: Desk) -> None:
    """Only listed origins and our own host; look-alikes, null and two at once are refused."""
    node = await empty_desk.start_node(allowed_origins=("https://crm.example.com",))
    own = f"http://127.0.0.1:{node.port}"
    for origin in ("https://crm.example.com", own, None):
        async with raw(node.socket_url, origin=Origin(origin) if origin else None) as client:
            assert "ok" in await client.hello(empty_desk.token(OKSANA))
    for origin in (
        "https://evil.example", "null", "https://crm.example.com.evil.example",
        "http://crm.example.com", f"{own}0", "",
    ):  # fmt: skip
        with pytest.raises(InvalidStatus) as refused:
            async with raw(node.socket_url, origin=Origin(origin)):
                pass
        assert refused.value.response.status_code == 403


async def test_half_sent_heads_do_not_stay(empty_desk: Desk) -> None:
    """A request's head has a deadline and a size, for sockets and REST alike."""
    node = await empty_desk.start_node(head_s=0.3)

    async def cut(sent: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(sent)
        try:
            async with asyncio.timeout(5):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    assert await cut(b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: webso") == b""
    assert await cut(b"") == b""
    huge = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 20_000 + b"\r\n\r\n"
    assert b"200 OK" not in await cut(huge)


async def test_a_client_that_does_not_read_is_let_go_and_others_go_on(empty_desk: Desk) -> None:
    """What waits for a slow reader is bounded; beyond it the connection ends, to be resumed."""
    node = await empty_desk.start_node(outgoing_bytes=65_536)
    oksana = await empty_desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    slow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(slow, ("127.0.0.1", node.port))
    async with raw(node.socket_url, sock=slow, max_queue=1) as client:
        await client.hello(empty_desk.token(PETRO))
        client.socket.transport.pause_reading()
        count = 0
        while len(node.node.sessions) == 2:
            await asyncio.gather(*(oksana.send(conversation.id, "x" * 8_000) for _ in range(20)))
            count += 20
            assert count < 2_000, "it was never let go"
        assert node.node.metrics.closes[4401] == 1

    assert (await oksana.send(conversation.id, "still here")).seq == count + 1


async def test_sessions_leave_nothing_behind(desk: Desk) -> None:
    """After many connects and disconnects, topics, streams and sessions are back to none."""
    node = desk.nodes[0].node
    petro = await desk.client(PETRO, node=1)
    conversation = (await petro.open(OKSANA)).conversation

    async def visit() -> None:
        async with raw(desk.nodes[0].socket_url) as client:
            await client.hello(desk.token(OKSANA))
            await client.ask({"type": "presence.watch", "id": 2, "employee_ids": [2, 3, 4]})
            await client.ask(message(conversation_id=conversation.id, client_key=str(uuid.uuid4())))

    for _ in range(5):
        await asyncio.gather(*(visit() for _ in range(20)))

    await eventually(lambda: not node.sessions)
    assert not node.delivery.hub.topics()
    assert len(node.delivery.streams) == 0
    assert not node.presence_watches._watchers
    assert not node.presence_watches._shards
    assert not node.unread._sent
    await eventually(lambda: not node.admission.addresses)


async def test_a_token_may_come_with_the_handshake(desk: Desk) -> None:
    """In the Authorization header or as a subprotocol; the token is never echoed."""
    token = desk.token(OKSANA)
    url = desk.nodes[0].socket_url
    async with raw(url, additional_headers={"Authorization": f"Bearer {token}"}) as client:
        assert "ok" in await client.ask({"type": "hello", "id": 1})
    subprotocols = [Subprotocol("crm-gateway.v1"), Subprotocol(f"bearer.{token}")]
    async with raw(url, subprotocols=subprotocols) as client:
        assert client.socket.subprotocol == "crm-gateway.v1"
        assert "ok" in await client.ask({"type": "hello", "id": 1})
    async with raw(f"{url}?token={token}") as client:
        answer = await client.ask({"type": "hello", "id": 1})
        assert answer["error"]["code"] == "token.missing"


ODD_HEADS = {
    "two origins": b"Origin: https://a.example\r\nOrigin: https://b.example\r\n",
    "a broken origin": b"Origin: http://[\r\n",
    "two tokens": b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n",
    "two hosts": b"Host: evil.example\r\nOrigin: http://x\r\n",
    "no key": b"",
}


async def test_odd_upgrades_leave_nothing_behind(desk: Desk) -> None:
    """Doubled and broken headers are answered or cut; a stopping node does not wait for them."""
    node = desk.nodes[0]
    for name, extra in ODD_HEADS.items():
        key = b"" if name == "no key" else b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(
            b"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" + key + extra + b"\r\n"
        )
        status = (await reader.readline())[9:12]
        assert status == (b"101" if name == "two tokens" else status), name
        assert status in {b"101", b"400", b"403"}, name
        writer.close()
    await eventually(lambda: not node.server.server_state.connections)


async def test_one_address_may_not_hold_every_connection(empty_desk: Desk) -> None:
    """Open connections that are no WebSockets yet are counted, too, and uncounted at their end."""
    node = await empty_desk.start_node(connections_per_address=5)
    held = [await asyncio.open_connection("127.0.0.1", node.port) for _ in range(5)]
    await eventually(lambda: sum(node.node.admission.http_addresses.values()) == 5)

    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    for _, open_writer in held:
        open_writer.close()
    await eventually(lambda: not node.node.admission.http_addresses)

    async with raw(node.socket_url) as client:
        assert "ok" in await client.hello(empty_desk.token(OKSANA))
        assert not node.node.admission.http_addresses
