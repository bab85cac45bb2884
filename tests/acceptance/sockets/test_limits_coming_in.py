"""Who may come in, and when: connections, accepts, topics, and the queue of hellos."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from redis.asyncio import Redis
from websockets.exceptions import InvalidStatus

from gateway.errors import TooManyOfUser
from gateway.limits import cluster_limits
from gateway.sockets.subscriptions.joining import Joining
from tests.support.desk import OKSANA, PETRO, Desk, eventually
from tests.support.raw import raw


async def test_a_user_has_so_many_connections(empty_desk: Desk) -> None:
    """One more is told to come back later; a place that becomes free is taken."""
    node = await empty_desk.start_node(connections_per_user=3)
    token = empty_desk.token(OKSANA)
    held = [raw(node.socket_url) for _ in range(3)]
    clients = [await one.__aenter__() for one in held]
    for client in clients:
        assert "ok" in await client.hello(token)
    async with raw(node.socket_url) as fourth:
        answer = await fourth.hello(token)
        assert answer["error"]["code"] == "limit.user_connections"
        assert answer["error"]["retry_after"] > 0
        bye = await fourth.hear()
        assert (bye["code"], bye["resume"]) == (4406, True)
        assert await fourth.closed_with() == 4406
    async with raw(node.socket_url) as petro:
        assert "ok" in await petro.hello(empty_desk.token(PETRO))

    await held[0].__aexit__(None, None, None)
    await eventually(lambda: node.node.limits.connections.held_here(OKSANA) == 2)
    async with raw(node.socket_url) as again:
        assert "ok" in await again.hello(token)
    for one in held[1:]:
        await one.__aexit__(None, None, None)
    await eventually(lambda: node.node.limits.connections.held_here(OKSANA) == 0)


async def test_twenty_hellos_at_once_do_not_slip_past_the_limit(empty_desk: Desk) -> None:
    """They are counted before they are served; a failed one gives its place back."""
    node = await empty_desk.start_node(connections_per_user=5)
    token = empty_desk.token(OKSANA)
    enough = asyncio.Event()

    async def visit() -> str:
        async with raw(node.socket_url) as client:
            answer = await client.hello(token)
            if "ok" in answer:
                await enough.wait()
            return str(answer.get("error", {}).get("code", "ok"))

    visits = [asyncio.create_task(visit()) for _ in range(20)]
    await eventually(lambda: sum(one.done() for one in visits) == 15)
    await eventually(lambda: len(node.node.devices.sessions_of(OKSANA)) == 5)
    enough.set()
    assert sorted(set(await asyncio.gather(*visits))) == ["limit.user_connections", "ok"]
    await eventually(lambda: node.node.limits.connections.held_here(OKSANA) == 0)


async def reported(desk: Desk, employee_id: int, count: int) -> bool:
    """Tell whether some node has told the others that it holds so many of this employee."""
    async with Redis.from_url(desk.redis_url) as redis:
        held = await redis.hvals(f"{cluster_limits.PREFIX}at:{employee_id}")
    return [int(number) for number in held] == [count]


async def test_connections_on_other_nodes_count_too(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest is closed by the next report; another is refused by its hello, then let in."""
    left = await empty_desk.start_node(connections_per_user=2)
    monkeypatch.setattr(cluster_limits, "EVERY_S", 2.0)  # the third one's hello is answered before
    right = await empty_desk.start_node(connections_per_user=2)
    monkeypatch.undo()
    token = empty_desk.token(OKSANA)
    async with raw(left.socket_url) as first, raw(left.socket_url) as second:
        await first.hello(token)
        await second.hello(token)
        await eventually(lambda: reported(empty_desk, OKSANA, 2))
        async with raw(right.socket_url) as third:
            assert "ok" in await third.hello(token)
            assert await third.closed_with() == 4406
        async with raw(right.socket_url) as fourth:
            answer = await fourth.hello(token)
            assert answer["error"]["code"] == "limit.user_connections"
        assert "ok" in await first.ask({"type": "unread.get", "id": 3})
        assert "ok" in await second.ask({"type": "unread.get", "id": 3})
    await eventually(lambda: not left.node.limits.connections.unreported)

    async def let_in() -> bool:
        async with raw(right.socket_url) as client:
            return "ok" in await client.hello(token)

    await eventually(let_in)


async def test_a_session_hears_its_newest_conversations_and_no_more(empty_desk: Desk) -> None:
    """Beyond max_topics the others are read when they are opened."""
    await empty_desk.start_node()
    few = await empty_desk.start_node(max_topics=10)
    oksana = await empty_desk.client(OKSANA)
    made = [(await oksana.open(employee_id)).conversation.id for employee_id in range(2, 15)]
    for conversation_id in made:
        await oksana.send(conversation_id, "hi")

    async with raw(few.socket_url) as client:
        welcome = await client.hello(empty_desk.token(OKSANA))
        (session,) = few.node.sessions

        assert len(welcome["ok"]["conversations"]) == len(made)
        heard = {topic for topic in session.topics if topic.startswith("conversation:")}
        assert heard == {f"conversation:{conversation_id}" for conversation_id in made[-10:]}
        said = {"type": "message.history", "id": 5, "conversation_id": made[0]}
        assert len((await client.ask(said))["ok"]["messages"]) == 1


async def test_a_session_at_its_limit_goes_with_the_times(empty_desk: Desk) -> None:
    """New conversations take the place of old ones, and who was removed from one stops hearing."""
    few = await empty_desk.start_node(max_topics=10)
    oksana = await empty_desk.client(OKSANA)
    made = [(await oksana.open(employee_id)).conversation.id for employee_id in range(2, 15)]
    await oksana.send(made[0], "and this one is the newest now")
    (session,) = few.node.sessions
    newest = {f"conversation:{conversation_id}" for conversation_id in (made[0], *made[-9:])}

    def heard() -> set[str]:
        return {topic for topic in session.topics if topic.startswith("conversation:")}

    few.node.reconciler.check_all()
    await eventually(lambda: heard() == newest)
    await empty_desk.sql(
        """
        UPDATE realtime.conversation_participants SET left_seq = 0
         WHERE employee_id = $1 AND conversation_id = $2
        """,
        OKSANA,
        made[-1],
    )
    few.node.reconciler.check_all()
    gone = f"conversation:{made[-1]}"
    await eventually(lambda: gone not in heard() and len(heard()) == 10)


async def test_a_worker_accepts_so_many_at_once(empty_desk: Desk) -> None:
    """Beyond it 503 with Retry-After, before the upgrade, and counted."""
    node = await empty_desk.start_node(accepts_per_s=0.01, accepts_burst=2)
    for _ in range(2):
        async with raw(node.socket_url) as client:
            assert "ok" in await client.hello(empty_desk.token(OKSANA))

    with pytest.raises(InvalidStatus) as refused:
        async with raw(node.socket_url):
            pass

    response = refused.value.response
    assert response.status_code == 503
    assert 90 <= int(response.headers["Retry-After"]) <= 100
    assert b'"limit.accepts"' in (response.body or b"")
    assert node.node.metrics.rejected["limit.accepts"] == 1
    assert (await empty_desk.http().get("/healthz")).status_code == 200


async def test_refusals_before_the_upgrade_are_counted(empty_desk: Desk) -> None:
    """Each by its code: address, origin, path."""
    node = await empty_desk.start_node(connections_per_address=1)
    url = node.socket_url
    async with raw(url):
        for asked in (url, url.replace("/v1/ws", "/v1/wss")):
            with pytest.raises(InvalidStatus):
                async with raw(asked):
                    pass

    assert node.node.metrics.rejected == {"limit.connections": 1, "not_found": 1}


async def test_a_customer_with_a_network_has_one_share(empty_desk: Desk) -> None:
    """All addresses of a /64 count together, for WebSockets and before them; others do not."""
    node = await empty_desk.start_node(connections_per_address=2, trusted_proxies="127.0.0.1")
    admission, url = node.node.admission, node.socket_url

    async def status(address: str) -> int:
        try:
            socket = raw(url, additional_headers={"X-Forwarded-For": address})
            await opened.enter_async_context(socket)
        except InvalidStatus as refused:
            return refused.response.status_code
        return 101

    async with contextlib.AsyncExitStack() as opened:
        assert [await status(f"2001:db8::{n}") for n in range(1, 4)] == [101, 101, 429]
        assert await status("2001:db8:0:1::1") == 101
        assert [await status(f"203.0.113.{n}") for n in range(1, 4)] == [101] * 3
    await eventually(lambda: not admission.addresses)

    assert [admission.http_opened(f"2001:db8::{n}") for n in range(1, 4)] == [True, True, False]
    for n in range(1, 4):
        admission.http_closed(f"2001:db8::{n}")
    assert admission.http_opened("2001:db8::9")
    admission.http_closed("2001:db8::9")


class HelloGate:
    """Hellos that are served when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = asyncio.Event()
        serve = Joining.serve_hello

        async def later(*arguments: Any) -> Any:
            await self.open.wait()
            return await serve(*arguments)

        monkeypatch.setattr(Joining, "serve_hello", later)


async def test_a_hello_that_would_wait_too_long_is_given_an_appointment(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, on a connection that stays open beyond the time for hello; it is served then."""
    gate = HelloGate(monkeypatch)
    node = await empty_desk.start_node(hellos_at_once=1, hello_wait_s=0.01, hello_s=0.5)
    hello = {"type": "hello", "id": 1, "token": empty_desk.token(OKSANA)}
    async with raw(node.socket_url) as served, raw(node.socket_url) as waits:
        await served.say(hello)
        await eventually(lambda: node.node.limits.hellos.full)
        await waits.say(hello)
        await eventually(lambda: node.node.limits.hellos.waiting == 1)
        async with raw(node.socket_url) as late:  # its time for hello begins here
            loop = asyncio.get_running_loop()
            opened_at = loop.time()
            while loop.time() < opened_at + 0.7:
                answer = await late.ask(hello)
                assert answer["error"]["code"] == "overloaded"
                assert 0 < answer["error"]["retry_after"] < 5
                await asyncio.sleep(0.2)

            gate.open.set()

            assert "ok" in await served.hear()
            assert "ok" in await waits.hear()
            await eventually(lambda: node.node.limits.hellos.waiting == 0)
            assert "ok" in await late.ask(hello)
            assert node.node.metrics.refusals["overloaded"] >= 3


async def test_who_is_told_to_come_back_and_does_not_is_closed(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An appointment is no way to stay without saying who one is."""
    gate = HelloGate(monkeypatch)
    node = await empty_desk.start_node(hellos_at_once=1, hello_wait_s=0.0, hello_s=0.3)
    hello = {"type": "hello", "id": 1, "token": empty_desk.token(OKSANA)}
    async with (
        raw(node.socket_url) as served,
        raw(node.socket_url) as waits,
        raw(node.socket_url) as late,
    ):
        await served.say(hello)
        await waits.say(hello)
        await eventually(lambda: node.node.limits.hellos.waiting == 1)
        assert await late.code_of(hello) == "overloaded"

        assert await late.closed_with() == 4403
        gate.open.set()
        assert "ok" in await served.hear()


async def test_a_storm_larger_than_the_queue_gets_in(empty_desk: Desk) -> None:
    """Sixty at once, one at a time, no patience: who comes back when told to is served."""
    node = await empty_desk.start_node(hellos_at_once=1, hello_wait_s=0.02)
    put_off = 0

    async def visit() -> None:
        nonlocal put_off
        async with raw(node.socket_url) as client:
            while "error" in (answer := await client.hello(empty_desk.token(OKSANA))):
                assert answer["error"]["code"] == "overloaded"
                put_off += 1
                await asyncio.sleep(answer["error"]["retry_after"])

    await asyncio.gather(*(visit() for _ in range(60)))

    assert put_off > 0
    assert node.node.limits.hellos.waiting == 0
    assert not node.node.limits.hellos.full


async def test_the_sdk_keeps_its_appointment_on_the_same_socket(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for as long as it was told, says hello again, and does not connect anew."""
    gate = HelloGate(monkeypatch)
    node = await empty_desk.start_node(hellos_at_once=1, hello_wait_s=0.0)
    hello = {"type": "hello", "id": 1, "token": empty_desk.token(OKSANA)}
    async with raw(node.socket_url) as served, raw(node.socket_url) as waits:
        await served.say(hello)
        await waits.say(hello)
        await eventually(lambda: node.node.limits.hellos.waiting == 1)
        petro = asyncio.create_task(empty_desk.client(PETRO))
        await eventually(lambda: node.node.metrics.refusals["overloaded"] > 0)

        gate.open.set()

        connection = await petro
        assert connection.reconnects == 0
        assert node.node.metrics.opened == 3
        assert connection.welcome.user.id == PETRO


async def test_the_sdk_waits_for_as_long_as_a_refusal_says(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of too many connections one comes back when there is room, and not before it was told to."""
    monkeypatch.setattr(TooManyOfUser, "retry_after", 0.5)
    node = await empty_desk.start_node(connections_per_user=1)
    async with raw(node.socket_url) as first:
        await first.hello(empty_desk.token(PETRO))
        began = asyncio.get_running_loop().time()
        petro = asyncio.create_task(empty_desk.client(PETRO))
        await eventually(lambda: node.node.metrics.refusals["limit.user_connections"] == 1)

    connection = await petro
    assert asyncio.get_running_loop().time() - began >= 0.5
    assert connection.reconnects == 1


async def test_bad_tokens_take_no_place_in_the_queue(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are refused at once, however many honest hellos wait."""
    gate = HelloGate(monkeypatch)
    node = await empty_desk.start_node(hellos_at_once=1)
    async with raw(node.socket_url) as served, raw(node.socket_url) as forged:
        await served.say({"type": "hello", "id": 1, "token": empty_desk.token(OKSANA)})
        await eventually(lambda: node.node.limits.hellos.full)

        assert await forged.code_of({"type": "hello", "id": 1, "token": "x.y.z"}) == "token.invalid"

        gate.open.set()
        assert "ok" in await served.hear()
