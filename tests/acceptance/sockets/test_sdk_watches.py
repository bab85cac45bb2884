"""The Python SDK watches again after a reconnect, and reports how its connection is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.client import Connection, ConnectionEnded, ConnectionState, connect
from gateway.errors import DatabaseUnavailable
from gateway.protocol import (
    AgentStateChanged,
    Presence,
    PresenceChanged,
    PresenceSet,
    PresenceWatch,
    PresenceWatched,
    QueueChanged,
    QueueUnwatched,
    QueueWatch,
    close_codes,
)
from gateway.telephony.agents import wallboard
from tests.acceptance.sockets.test_sdk import Gate, between, refuses
from tests.support.desk import DIRECTOR, IRYNA, OKSANA, PETRO, Desk, eventually
from tests.support.queues import SALES, SUPPORT, QueuePbx, brisk, supervisor

__all__ = ["brisk"]  # a fixture

OTHERS = (OKSANA, IRYNA, DIRECTOR)


class Picture:
    """What an application knows of people: from replies to its watches, and from events."""

    def __init__(self, client: Connection) -> None:
        self._client = client
        self.people: dict[int, Presence] = {}

    async def watch(self, people: Sequence[int]) -> None:
        self._add((await self._client.request(watch_of(people))).presences)

    async def agrees(self, desk: Desk, watched: Sequence[int], fresh: PresenceWatched) -> None:
        """Fail unless these are watched, and known as a fresh watcher sees them."""
        await eventually(lambda: watched_by(desk, PETRO) == set(watched))
        await eventually(
            lambda: all(self.people.get(one.employee_id) == one for one in fresh.presences)
        )

    async def listen(self) -> None:
        async for event in self._client:
            if isinstance(event, PresenceChanged):
                self._add(event.presences)

    def _add(self, presences: Sequence[Presence]) -> None:
        for presence in presences:
            known = self.people.get(presence.employee_id)
            if known is None or known.version <= presence.version:
                self.people[presence.employee_id] = presence


@asynccontextmanager
async def listening(picture: Picture) -> AsyncIterator[None]:
    task = asyncio.create_task(picture.listen())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def watched_by(desk: Desk, employee_id: int) -> set[int]:
    """Return whom the second node's only session of an employee watches."""
    sessions: list[Any] = list(desk.nodes[1].node.sessions)
    found = [session for session in sessions if session.user_id == employee_id]
    return set(found[0].watched) if len(found) == 1 else {0}


def watch_of(people: Sequence[int]) -> PresenceWatch:
    return PresenceWatch(employee_ids=list(people))


def some(rng: random.Random) -> list[int]:
    return rng.sample(OTHERS, rng.randint(0, len(OTHERS)))


@pytest.mark.cases(2)
@pytest.mark.parametrize("seed", range(8))
async def test_the_last_watch_holds_on_each_new_connection(desk: Desk, seed: int) -> None:
    """Several watches, some given while offline, some of nobody: the last one is in force."""
    rng = random.Random(seed)
    gate = Gate(desk.token(PETRO))
    others = {one: await desk.client(one) for one in OTHERS}
    async with connect(desk.nodes[1].socket_url, gate) as petro:
        picture = Picture(petro)
        async with listening(picture):
            last: list[int] = []
            for turn in range(3):
                for _ in range(rng.randint(0, 2)):
                    last = some(rng)
                    await picture.watch(last)
                await gate.shut_out(petro)
                offline = []
                for _ in range(rng.randint(0, 2)):
                    last = some(rng)
                    offline.append(asyncio.create_task(picture.watch(last)))
                    await asyncio.sleep(0)  # it is requested now, in this order
                for one in some(rng):
                    await others[one].set_status("do_not_disturb", f"{seed} {turn}")
                gate.open()
                await asyncio.gather(*offline)

                await picture.agrees(desk, last, await others[OKSANA].request(watch_of(last)))
            for one in OTHERS:
                await others[one].set_status("busy", f"live {seed}")
            await picture.agrees(desk, last, await others[OKSANA].request(watch_of(last)))


async def test_a_watch_whose_reply_was_lost_does_not_replace_a_newer_one(desk: Desk) -> None:
    """It is sent again before the one that was requested after it."""
    gate = Gate(desk.token(PETRO))
    async with connect(desk.nodes[1].socket_url, gate) as petro:
        older = asyncio.create_task(petro.request(PresenceWatch(employee_ids=[OKSANA])))
        await asyncio.sleep(0)
        await gate.shut_out(petro)
        newer = asyncio.create_task(petro.request(PresenceWatch(employee_ids=[IRYNA])))
        await asyncio.sleep(0)
        gate.open()
        await asyncio.gather(older, newer)

        assert watched_by(desk, PETRO) == {IRYNA}


async def test_a_watch_of_nobody_ends_it(desk: Desk) -> None:
    """After it nothing is watched on a new connection, and no event comes of it."""
    oksana = await desk.client(OKSANA)
    gate = Gate(desk.token(PETRO))
    async with connect(desk.nodes[1].socket_url, gate) as petro:
        await petro.request(PresenceWatch(employee_ids=[OKSANA]))
        await petro.request(PresenceWatch(employee_ids=[]))
        await gate.shut_out(petro)
        gate.open()
        await eventually(lambda: petro.state.name == "live")
        await oksana.request(PresenceSet(status="do_not_disturb"))
        await petro.request(PresenceWatch(employee_ids=[IRYNA]))

        assert watched_by(desk, PETRO) == {IRYNA}
        assert not [event for event in drain(petro) if isinstance(event, PresenceChanged)]


def drain(client: Connection) -> list[Any]:
    """Return the events that have come and wait to be read."""
    waiting = client._socket.events._waiting
    found = list(waiting)
    waiting.clear()
    return found


# --- queues --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("brisk")
async def test_queues_are_watched_again(desk: Desk) -> None:
    """What happened while away comes as events, and what happens then as usual."""
    pbx = QueuePbx(desk)
    await pbx.agent("login")
    gate = Gate(desk.token(await supervisor(desk)))
    async with connect(desk.nodes[1].socket_url, gate) as client:
        await client.request(QueueWatch(queues=[SUPPORT]))
        await client.request(QueueWatch(queues=[SALES], agents=True))
        await gate.shut_out(client)
        await pbx.enter("one")
        gate.open()

        async with asyncio.timeout(10):
            while (await waiting_in_sales(client)) != 1:
                pass
        agent = await client.next(AgentStateChanged)
        assert [one.queue for one in agent.agent.queues] == [SALES]
        await pbx.enter("two")
        async with asyncio.timeout(10):
            while (await waiting_in_sales(client)) != 2:
                pass


async def waiting_in_sales(client: Connection) -> int:
    changed: QueueChanged = await client.next(QueueChanged)
    (queue,) = changed.queues
    assert queue.queue == SALES, "the watch before was replaced"
    return queue.waiting


@pytest.mark.usefixtures("brisk")
async def test_a_watch_of_no_queue_ends_it(desk: Desk) -> None:
    """A new connection watches nothing then."""
    gate = Gate(desk.token(await supervisor(desk)))
    async with connect(desk.nodes[1].socket_url, gate) as client:
        await client.request(QueueWatch(queues="all"))
        await client.request(QueueWatch(queues=[]))
        await gate.shut_out(client)
        gate.open()
        await eventually(lambda: client.state.name == "live")
        await client.request(PresenceWatch(employee_ids=[]))  # what was sent before it is done

        assert not desk.nodes[1].node.queue_watches._watchers


async def test_a_permission_lost_while_away_ends_the_watch(small_desk: Desk) -> None:
    """It is told as on a live connection, and the watch is not tried again."""
    gate = Gate(small_desk.token(await supervisor(small_desk)))
    async with connect(small_desk.nodes[0].socket_url, gate) as client:
        await client.request(QueueWatch(queues="all"))
        await gate.shut_out(client)
        await small_desk.sql(
            "UPDATE demo_crm.roles SET permissions = array_remove(permissions, 'stats.view')"
        )
        gate.open()

        assert await client.next(QueueUnwatched) == QueueUnwatched()
        assert client._socket._watches.accepted() == []


@pytest.mark.usefixtures("brisk")
async def test_a_watch_that_cannot_be_served_for_the_moment_is_repeated(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was away: it watches again after retry_after."""
    refusals = 0
    snapshots = wallboard.snapshots

    async def unavailable_once(*given: Any) -> Any:
        nonlocal refusals
        refusals += 1
        if refusals > 2:
            return await snapshots(*given)
        refused = DatabaseUnavailable()
        refused.retry_after = 0.05
        raise refused

    pbx = QueuePbx(desk)
    gate = Gate(desk.token(await supervisor(desk)))
    async with connect(desk.nodes[1].socket_url, gate) as client:
        await client.request(QueueWatch(queues=[SALES]))
        await gate.shut_out(client)
        monkeypatch.setattr(wallboard, "snapshots", unavailable_once)
        gate.open()
        await eventually(lambda: refusals == 3)
        await pbx.enter("one")

        async with asyncio.timeout(10):
            while (await waiting_in_sales(client)) != 1:
                pass


# --- states --------------------------------------------------------------------------------------


async def test_the_application_learns_how_the_connection_is(desk: Desk) -> None:
    """Connecting, live, waiting until when, and stopped with the code."""
    states: list[ConnectionState] = []
    began = datetime.now(UTC)
    async with (
        between(desk.nodes[0].socket_url, refuses("database.unavailable", retry_after=0.1)) as mid,
        connect(mid.url, desk.token(PETRO), on_state=states.append) as petro,
    ):
        assert petro.state.name == "live"
        waiting = states[1]
        assert waiting.retry_at is not None
        assert began < waiting.retry_at < datetime.now(UTC)  # it has come back since
        await petro.drop()
        await eventually(lambda: petro.reconnects == 2 and petro.state.name == "live")

    assert [state.name for state in states] == [
        "connecting", "waiting", "connecting", "live", "waiting", "connecting", "live", "stopped",
    ]  # fmt: skip
    overloaded = close_codes.OVERLOADED.code
    codes = [None, overloaded, None, None, 1006, None, None, 1000]
    assert [state.code for state in states] == codes


async def test_a_refusal_for_good_is_the_last_state(desk: Desk) -> None:
    """With the code and the reason that the exception has."""
    states: list[ConnectionState] = []
    async with between(desk.nodes[0].socket_url, refuses("token.invalid")) as middleman:
        with pytest.raises(ConnectionEnded) as ended:
            async with connect(middleman.url, desk.token(PETRO), on_state=states.append):
                pass

    assert states[-1] == ConnectionState("stopped", code=4001, reason=ended.value.reason)


async def test_a_failing_listener_does_not_cost_the_connection(desk: Desk) -> None:
    """Its error goes to the event loop's handler, as that of a callback does."""
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    def broken(state: ConnectionState) -> None:
        raise LookupError(state.name)

    async with connect(desk.nodes[0].socket_url, desk.token(PETRO), on_state=broken) as petro:
        assert petro.state.name == "live"
    assert [str(one["exception"]) for one in reported] == ["connecting", "live", "stopped"]
