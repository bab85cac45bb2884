"""Limits on real sockets: each has its answer, holds across nodes, and costs others nothing."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from redis.asyncio import Redis
from websockets.exceptions import InvalidStatus

from gateway.errors import TooManyOfUser
from gateway.limits import Allowance, Connections, Ledger, ledger
from gateway.limits.ledger import PREFIX
from gateway.sockets import welcome
from tests.conformance.frames import PING, PONG, TEXT, frame
from tests.desk import OKSANA, PETRO, Desk, eventually
from tests.raw import RawSocket, raw

FEW_ERRORS = {"max_errors": 5}


def send(conversation_id: int, number: int) -> dict[str, Any]:
    return {
        "type": "message.send", "id": number, "conversation_id": conversation_id,
        "client_key": str(uuid.uuid4()), "text": "hi",
    }  # fmt: skip


async def open_with_petro(client: RawSocket) -> int:
    opened = await client.ask({"type": "conversation.open", "id": 2, "employee_id": PETRO})
    found: int = opened["ok"]["conversation"]["id"]
    return found


# --- rates ---------------------------------------------------------------------------------------


FLOODS = {
    "pings": frame(TEXT, b'{"type":"ping"}'),
    "pings with an id": frame(TEXT, b'{"type":"ping","id":7}'),
    "pongs": frame(TEXT, b'{"type":"pong"}'),
    "pings of WebSocket": frame(PING, b""),
    "large ones": frame(PING, b"x" * 125),
    "its pongs": frame(PONG, b""),
    "empty messages": frame(TEXT, b""),
}


async def test_floods_of_next_to_nothing_are_ended(empty_desk: Desk) -> None:
    """They are passed over at first, then closed; what still comes is not even read."""
    node = await empty_desk.start_node(pings_per_s=1.0, pings_burst=5, **FEW_ERRORS)

    async def pour(flood: bytes) -> int:
        async with raw(node.socket_url) as client:
            await client.hello(empty_desk.token(OKSANA))
            transport = client.socket.transport
            for _ in range(400):
                if transport.is_closing():
                    break
                transport.write(flood * 500)
                await asyncio.sleep(0)
            return await client.closed_with()

    async with raw(node.socket_url) as other:
        await other.hello(empty_desk.token(PETRO))
        pouring = [asyncio.create_task(pour(flood)) for flood in FLOODS.values()]
        await eventually(lambda: sum(node.node.closes.values()) == len(FLOODS))
        assert "ok" in await other.ask({"type": "unread.get", "id": 3})
        codes = dict(zip(FLOODS, await asyncio.gather(*pouring), strict=True))

    # Who goes on writing may have its line reset before it reads why.
    expected = {name: 4004 if name == "empty messages" else 4402 for name in FLOODS}
    assert all(code in {1006, expected[name]} for name, code in codes.items()), codes
    assert node.node.closes == {4402: 6, 4004: 1}
    assert node.node.bytes_in < len(FLOODS) * 2**20, "of 16 MB"
    assert node.node.refusals["limit.too_fast"] >= 6 * 6


async def test_honest_pings_are_answered(empty_desk: Desk) -> None:
    """A burst is no flood, and the rate comes back."""
    node = await empty_desk.start_node(pings_per_s=50.0, pings_burst=5, **FEW_ERRORS)
    async with raw(node.socket_url) as client:
        await client.hello(empty_desk.token(OKSANA))
        for number in range(5):
            answer = await client.ask({"type": "ping", "id": number})
            assert answer == {"id": number, "ok": {"type": "pong"}}

        refused = 0
        while not refused:
            answer = await client.ask({"type": "ping", "id": 9})
            refused += "error" in answer
        assert answer["error"]["code"] == "limit.too_fast"
        assert 0 < answer["error"]["retry_after"] <= 0.02

        async def again() -> bool:
            return "ok" in await client.ask({"type": "ping", "id": 10})

        await asyncio.sleep(answer["error"]["retry_after"] + 0.005)
        assert await again()


async def test_writes_of_a_user_are_limited_over_all_connections(empty_desk: Desk) -> None:
    """A second connection has nothing left; reading, and other people, are not touched."""
    node = await empty_desk.start_node(writes_per_s=0.1, writes_burst=4)
    async with (
        raw(node.socket_url) as first,
        raw(node.socket_url) as second,
        raw(node.socket_url) as petro,
    ):
        await first.hello(empty_desk.token(OKSANA))
        await second.hello(empty_desk.token(OKSANA))
        await petro.hello(empty_desk.token(PETRO))
        conversation_id = await open_with_petro(first)
        for number in range(3):
            assert "ok" in await first.ask(send(conversation_id, number))

        answer = await second.ask(send(conversation_id, 9))
        assert answer["error"]["code"] == "limit.too_fast"
        assert 5 < answer["error"]["retry_after"] <= 10
        assert "ok" in await second.ask({"type": "message.history", "id": 10,
                                         "conversation_id": conversation_id})  # fmt: skip
        typing = {"type": "typing.start", "id": 11, "conversation_id": conversation_id}
        assert "ok" in await second.ask(typing)
        assert "ok" in await petro.ask(send(conversation_id, 12))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("reads", {"type": "unread.get", "id": 5}),
        ("passing", {"type": "presence.set", "id": 5, "status": "busy"}),
        ("passing", {"type": "presence.watch", "id": 5, "employee_ids": [2]}),
        ("writes", {"type": "receipt.read", "id": 5, "conversation_id": 1, "seq": 1}),
        ("commands", {"type": "unread.get", "id": 5}),
        ("commands", {"type": "token.refresh", "id": 5, "token": "x"}),
    ],
    ids=lambda value: value if isinstance(value, str) else value["type"],
)
async def test_each_kind_of_command_has_its_rate(
    empty_desk: Desk, setting: str, said: dict[str, Any]
) -> None:
    """The third of two is refused with when to come back, and counted."""
    bounds = {f"{setting}_per_s": 0.01, f"{setting}_burst": 3}
    node = await empty_desk.start_node(**bounds)
    async with raw(node.socket_url) as client:
        await client.hello(empty_desk.token(OKSANA))
        codes = []
        for _ in range(4):
            answer = await client.ask(said)
            codes.append(answer.get("error", {}).get("code"))

        granted = 2 if setting == "commands" else 3  # hello is a command, too
        assert "limit.too_fast" not in codes[:granted]
        assert codes[granted:] == ["limit.too_fast"] * (4 - granted)
        assert node.node.refusals["limit.too_fast"] == 4 - granted


async def test_a_user_who_writes_through_two_nodes_is_held_to_one_limit(desk: Desk) -> None:
    """Each node grants its burst at once; together they come down to the one rate."""
    rate = {"writes_per_s": 10.0, "writes_burst": 10, "max_errors": 1_000}
    nodes = [await desk.start_node(**rate), await desk.start_node(**rate)]
    loop = asyncio.get_running_loop()
    async with raw(nodes[0].socket_url) as left, raw(nodes[1].socket_url) as right:
        await left.hello(desk.token(OKSANA))
        await right.hello(desk.token(OKSANA))
        conversation_id = await open_with_petro(left)
        until = loop.time() + 3.0

        async def write(client: RawSocket) -> int:
            done = 0
            while loop.time() < until:
                answer = await client.ask(send(conversation_id, 5))
                done += "ok" in answer
                wait_s = answer.get("error", {}).get("retry_after", 0.0)
                await asyncio.sleep(min(wait_s, max(0.0, until - loop.time())))
            return done

        granted = sum(await asyncio.gather(write(left), write(right)))

    # Alone, each node would grant 10 at once and 10 a second: 80. One limit is 40, and what
    # both grant before they have heard of each other: a second burst, and half a second each.
    assert 25 <= granted <= 62


# --- the ledger ----------------------------------------------------------------------------------


@pytest.fixture
async def redis(redis_url: str) -> Any:
    """Give a client of a Redis in which there is nothing."""
    client: Redis = Redis.from_url(redis_url)
    yield client
    await client.aclose()


def ledger_of(
    redis: Redis, node: str, *, most: int = 3
) -> tuple[Ledger, Allowance, Connections, list[tuple[int, int]]]:
    allowance, connections = Allowance(10.0, 5), Connections(most)
    excess: list[tuple[int, int]] = []
    made = Ledger(
        redis,
        node=node,
        allowances={"write": allowance},
        connections=connections,
        excess=lambda user_id, count: excess.append((user_id, count)),
    )
    return made, allowance, connections, excess


async def test_what_two_nodes_granted_is_added_up(redis: Redis) -> None:
    """Both are told for how long there is nothing; the account expires by itself."""
    left, left_grants, *_ = ledger_of(redis, "left")
    right, right_grants, *_ = ledger_of(redis, "right")
    now = asyncio.get_running_loop().time()
    for _ in range(5):
        assert left_grants.take(7, now) == 0.0
        assert right_grants.take(7, now) == 0.0
        right_grants.take(8, now)

    await left.settle()
    await right.settle()

    now = asyncio.get_running_loop().time()
    assert 0.3 < right_grants.take(7, now) <= 0.5, "ten of five, at ten a second"
    assert right_grants.take(8, now + 0.2) == 0.0
    assert 0 < await redis.pttl(f"{PREFIX}write:7") <= 1_001

    async def forgotten() -> bool:
        return not await redis.exists(f"{PREFIX}write:7")

    await eventually(forgotten)
    assert left.failures == right.failures == 0


async def test_nobody_is_barred_for_long(redis: Redis) -> None:
    """However much a hundred nodes granted at once."""
    for number in range(100):
        made, grants, *_ = ledger_of(redis, f"node {number}")
        now = asyncio.get_running_loop().time()
        for _ in range(5):
            grants.take(7, now)
        await made.settle()

    now = asyncio.get_running_loop().time()
    assert 5 < grants.take(7, now) <= ledger.BARRED_S


async def test_thousands_of_users_are_settled_in_few_calls(redis: Redis) -> None:
    """Redis sees one call for 500 users, and none at all for those who did nothing."""
    made, grants, connections, _ = ledger_of(redis, "left")
    now = asyncio.get_running_loop().time()
    for user_id in range(2_000):
        grants.take(user_id, now)
        connections.arrive(user_id, now)
    await made.settle()
    await made.settle()
    before = await calls_of(redis)

    for user_id in range(1_000):
        grants.take(user_id, now)
    await made.settle()

    assert await calls_of(redis) - before == 2
    await made.settle()
    assert await calls_of(redis) - before == 2


async def calls_of(redis: Redis) -> int:
    stats = await redis.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


async def test_connections_of_a_node_that_died_do_not_count(redis: Redis) -> None:
    """They end with its lease; those of a node that left end at once."""
    dead, _, at_dead, _ = ledger_of(redis, "dead")
    gone, _, at_gone, _ = ledger_of(redis, "gone")
    here, _, connections, excess = ledger_of(redis, "here")
    for counted, made in ((at_dead, dead), (at_gone, gone)):
        counted.arrive(7, 0.0)
        counted.arrive(7, 0.0)
        await made.settle()
    connections.arrive(7, 0.0)
    await here.settle()
    assert excess == [(7, 1)], "two, two and one are more than three"

    await redis.zadd(f"{PREFIX}nodes", {dead._me: 1})  # long ago
    await gone.leave()
    connections.leave(7)
    assert not connections.arrive(7, 0.0), "as far as is known"
    await here.settle()
    assert connections.arrive(7, 0.0)
    await here.settle()

    assert excess == [(7, 1)]
    assert await redis.hlen(f"{PREFIX}at:7") == 1


async def test_without_redis_each_node_holds_its_own_limits() -> None:
    """What could not be reported is dropped or kept, both bounded; nothing is raised."""
    away: Redis = Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=0.2)
    made, grants, connections, excess = ledger_of(away, "left")
    now = asyncio.get_running_loop().time()
    for _ in range(3):
        grants.take(7, now)
        connections.arrive(7, now)
        await made.settle()
        connections.leave(7)

    assert made.failures == 3
    assert excess == []
    assert connections.changed() == {7: 3}
    assert [bool(grants.take(7, now)) for _ in range(3)] == [False, False, True]
    await made.leave()
    await away.aclose()


# --- coming in -----------------------------------------------------------------------------------


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
    await eventually(lambda: node.node.bounds.connections.here(OKSANA) == 2)
    async with raw(node.socket_url) as again:
        assert "ok" in await again.hello(token)
    for one in held[1:]:
        await one.__aexit__(None, None, None)
    await eventually(lambda: node.node.bounds.connections.here(OKSANA) == 0)


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
    await eventually(lambda: len(node.node.sessions_of(OKSANA)) == 5)
    enough.set()
    assert sorted(set(await asyncio.gather(*visits))) == ["limit.user_connections", "ok"]
    await eventually(lambda: node.node.bounds.connections.here(OKSANA) == 0)


async def test_connections_on_other_nodes_count_too(empty_desk: Desk) -> None:
    """The newest is closed within a second; the next is refused by its hello, then let in."""
    left = await empty_desk.start_node(connections_per_user=2)
    right = await empty_desk.start_node(connections_per_user=2)
    token = empty_desk.token(OKSANA)
    async with raw(left.socket_url) as first, raw(left.socket_url) as second:
        await first.hello(token)
        await second.hello(token)
        assert left.node.ledger is not None
        await left.node.ledger.settle()
        async with raw(right.socket_url) as third:
            assert "ok" in await third.hello(token)
            assert await third.closed_with() == 4406
        async with raw(right.socket_url) as fourth:
            answer = await fourth.hello(token)
            assert answer["error"]["code"] == "limit.user_connections"
        assert "ok" in await first.ask({"type": "unread.get", "id": 3})
        assert "ok" in await second.ask({"type": "unread.get", "id": 3})
    await eventually(lambda: not left.node.bounds.connections._changed)

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

    few.node.upkeep.news_lost()
    await eventually(lambda: heard() == newest)
    await empty_desk.sql(
        """
        UPDATE realtime.conversation_participants SET left_seq = 0
         WHERE employee_id = $1 AND conversation_id = $2
        """,
        OKSANA,
        made[-1],
    )
    few.node.upkeep.news_lost()
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
    assert node.node.rejected["limit.accepts"] == 1
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

    assert node.node.rejected == {"limit.connections": 1, "not_found": 1}


class Gate:
    """Hellos that are served when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = asyncio.Event()
        self._serve = welcome.serve
        monkeypatch.setattr(welcome, "serve", self.serve)

    async def serve(self, *arguments: Any) -> None:
        await self.open.wait()
        await self._serve(*arguments)


async def test_a_hello_that_would_wait_too_long_is_given_an_appointment(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, on a connection that stays open beyond the time for hello; it is served then."""
    gate = Gate(monkeypatch)
    node = await empty_desk.start_node(hellos_at_once=1, hello_wait_s=0.01, hello_s=0.5)
    hello = {"type": "hello", "id": 1, "token": empty_desk.token(OKSANA)}
    async with (
        raw(node.socket_url) as served,
        raw(node.socket_url) as waits,
        raw(node.socket_url) as late,
    ):
        await served.say(hello)
        await eventually(node.node.bounds.hellos._slots.locked)
        await waits.say(hello)
        await eventually(lambda: node.node.bounds.hellos.waiting == 1)
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
        await eventually(lambda: node.node.bounds.hellos.waiting == 0)
        assert "ok" in await late.ask(hello)
        assert node.node.refusals["overloaded"] >= 3


async def test_who_is_told_to_come_back_and_does_not_is_closed(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An appointment is no way to stay without saying who one is."""
    gate = Gate(monkeypatch)
    node = await empty_desk.start_node(hellos_at_once=1, hello_wait_s=0.0, hello_s=0.3)
    hello = {"type": "hello", "id": 1, "token": empty_desk.token(OKSANA)}
    async with (
        raw(node.socket_url) as served,
        raw(node.socket_url) as waits,
        raw(node.socket_url) as late,
    ):
        await served.say(hello)
        await waits.say(hello)
        await eventually(lambda: node.node.bounds.hellos.waiting == 1)
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
    assert node.node.bounds.hellos.waiting == 0
    assert not node.node.bounds.hellos._slots.locked()


async def test_the_sdk_keeps_its_appointment_on_the_same_socket(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for as long as it was told, says hello again, and does not connect anew."""
    gate = Gate(monkeypatch)
    node = await empty_desk.start_node(hellos_at_once=1, hello_wait_s=0.0)
    hello = {"type": "hello", "id": 1, "token": empty_desk.token(OKSANA)}
    async with raw(node.socket_url) as served, raw(node.socket_url) as waits:
        await served.say(hello)
        await waits.say(hello)
        await eventually(lambda: node.node.bounds.hellos.waiting == 1)
        petro = asyncio.create_task(empty_desk.client(PETRO))
        await eventually(lambda: node.node.refusals["overloaded"] > 0)

        gate.open.set()

        connection = await petro
        assert connection.reconnects == 0
        assert node.node.opened == 3
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
        await eventually(lambda: node.node.refusals["limit.user_connections"] == 1)

    connection = await petro
    assert asyncio.get_running_loop().time() - began >= 0.5
    assert connection.reconnects == 1


async def test_bad_tokens_take_no_place_in_the_queue(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are refused at once, however many honest hellos wait."""
    gate = Gate(monkeypatch)
    node = await empty_desk.start_node(hellos_at_once=1)
    async with raw(node.socket_url) as served, raw(node.socket_url) as forged:
        await served.say({"type": "hello", "id": 1, "token": empty_desk.token(OKSANA)})
        await eventually(node.node.bounds.hellos._slots.locked)

        assert await forged.code_of({"type": "hello", "id": 1, "token": "x.y.z"}) == "token.invalid"

        gate.open.set()
        assert "ok" in await served.hear()
