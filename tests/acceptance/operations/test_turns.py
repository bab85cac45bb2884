"""Which requests take turns of the event loop, and whose turns these are."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Any
from uuid import uuid4

import pytest

from gateway.chat import export
from gateway.chat.queries import system_messages
from gateway.limits import LoopTurns, loop_turns
from gateway.limits.turn_queue import TurnQueue
from gateway.protocol import Message
from tests.acceptance.chat.test_export import exported, room
from tests.support.desk import DIRECTOR, OKSANA, PETRO, Desk, eventually

ME = "/v1/messenger/conversations"


class HeldTurns:
    """Lets nothing that takes turns begin another step, while `held`."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.held = False
        self.owners: list[Hashable] = []
        """Of those who waited, in the order in which they began to wait."""
        is_resting, wait = LoopTurns._is_resting, TurnQueue.wait

        def note(queue: TurnQueue, owner: Hashable) -> asyncio.Future[None]:
            self.owners.append(owner)
            return wait(queue, owner)

        patch.setattr(LoopTurns, "_is_resting", lambda turns: self.held or is_resting(turns))
        patch.setattr(TurnQueue, "wait", note)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> HeldTurns:
    return HeldTurns(monkeypatch)


async def test_health_waits_for_nobodys_turn(small_desk: Desk, turns: HeldTurns) -> None:
    """A node that has much to do is not taken for a dead one."""
    turns.held = True
    waiting = asyncio.create_task(small_desk.http(OKSANA).get(ME))
    await eventually(lambda: turns.owners)

    answers = [await small_desk.http(OKSANA).get(path) for path in ("/healthz", "/readyz")]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert not waiting.done()
    turns.held = False
    assert (await waiting).status_code == 200


async def test_each_page_of_an_export_waits_for_its_turn(
    small_desk: Desk, turns: HeldTurns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it is a task of the framework that sends it."""
    conversation_id = await room(small_desk, OKSANA, DIRECTOR, messages=2 * export.PAGE)
    pages, read = 0, export._page

    async def hold(*arguments: Any) -> Any:
        nonlocal pages
        pages += 1
        turns.held = pages == 1
        turns.owners.clear()
        return await read(*arguments)

    monkeypatch.setattr(export, "_page", hold)
    exporting = asyncio.create_task(exported(small_desk, conversation_id))

    await eventually(lambda: pages and turns.owners)
    assert pages == 1
    turns.held = False

    assert len(await exporting) == 2 * export.PAGE + 2


async def test_whoever_has_many_tokens_has_no_more_turns(
    small_desk: Desk, turns: HeldTurns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However they are written: once it is known whose a token is, that employee has the turns."""
    monkeypatch.setattr(loop_turns, "TURN_S", 0.0)  # each step waits for its turn
    client = small_desk.http()
    for token in (small_desk.token(PETRO), small_desk.token(PETRO)):
        for scheme in ("Bearer", "bearer", "bEARER"):
            turns.owners.clear()

            answer = await client.get(ME, headers={"Authorization": f"{scheme} {token}"})

            assert (answer.status_code, turns.owners[-1]) == (200, PETRO)


async def test_a_message_waits_for_no_request_that_waits_for_its_turn(
    small_desk: Desk, turns: HeldTurns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that has locked the conversation goes on, whoever takes turns before it."""
    conversation_id = await room(small_desk, OKSANA, PETRO, messages=1)
    petro = await small_desk.client(PETRO)
    insert, locked = system_messages.insert, asyncio.Event()

    async def hold(*arguments: Any) -> Message:
        found = await insert(*arguments)
        turns.held = True
        locked.set()
        await asyncio.sleep(0)
        return found

    monkeypatch.setattr(system_messages, "insert", hold)
    leaving = asyncio.create_task(small_desk.http(OKSANA).post(f"{ME}/{conversation_id}/leave"))
    await locked.wait()

    assert (await petro.send(conversation_id, "now")).seq == 3

    turns.held = False
    assert (await leaving).status_code == 204


async def test_a_message_that_is_sent_again_needs_no_place_among_those_who_read(
    small_desk: Desk,
) -> None:
    """What was sent is looked up; whoever reads waits for a place, and sends nothing."""
    conversation_id = await room(small_desk, OKSANA, PETRO, messages=1)
    petro, key = await small_desk.client(PETRO), uuid4()
    sent = await petro.send(conversation_id, "once", client_key=key)
    places = small_desk.nodes[0].node.services.reading_places
    taking = [asyncio.create_task(places.take("others")) for _ in range(50)]
    await asyncio.sleep(0)
    assert not all(one.done() for one in taking)

    assert await petro.send(conversation_id, "once", client_key=key) == sent

    for one in taking:
        one.cancel()
