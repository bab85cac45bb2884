"""Agents and watchers receive every change of a call, also when its announcement was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from gateway.bus import RedisBus
from gateway.client import Connection
from gateway.protocol import (
    Call,
    CallbackChanged,
    CallEnded,
    CallOffered,
    CallRevised,
    CallUpdated,
    MissedCallCreated,
    QueueWatch,
)
from gateway.sockets.watch import calls
from tests.acceptance.chat.test_healing import lose_everything
from tests.support.calls import miss
from tests.support.desk import OKSANA, PETRO, Desk, nothing_within
from tests.support.queues import SALES, SUPPORT, QueuePbx, supervisor


async def until(client: Connection, kind: type[Any], right: Callable[[Call], bool]) -> Call:
    """Return the first call of this kind of event that matches."""
    while True:
        call: Call = (await client.next(kind)).call
        if right(call):
            return call


async def ring(pbx: QueuePbx, call: str, leg: str, extension: str) -> None:
    """Let a telephone ring on its own leg."""
    await pbx.submit(
        ("offer.started", {"leg_key": leg, "peer_leg_key": call, "extension": extension}),
        ("leg.ringing", {"leg_key": leg, "extension": extension}),
    )


async def test_a_call_is_offered_each_time_it_rings(small_desk: Desk) -> None:
    """Also after no answer, and when an ended call continues; revised is for ended calls only."""
    oksana, petro = await small_desk.client(OKSANA), await small_desk.client(PETRO)
    pbx = QueuePbx(small_desk)
    await pbx.enter("c1")
    await pbx.ring("c1")
    first = (await oksana.next(CallOffered)).call

    await pbx.submit(("leg.ended", {"leg_key": "c1-101"}))
    await ring(pbx, "c1", "again", "101")
    second = (await oksana.next(CallOffered)).call
    await pbx.submit(("leg.ended", {"leg_key": "again"}), ("leg.ended", {"leg_key": "c1"}))
    ended = (await oksana.next(CallEnded)).call
    await ring(pbx, "c1", "on", "102")
    third = (await petro.next(CallOffered)).call
    alive = await until(oksana, CallUpdated, lambda call: call.version > ended.version)

    assert first.id == second.id == ended.id
    assert first.version < second.version < ended.version < third.version
    assert (third.id, third.status, alive) == (ended.id, "ringing", third)
    await nothing_within(oksana.next(CallRevised), 0.1)


async def test_watchers_receive_the_end_of_a_call_that_is_merged(
    small_desk: Desk,
) -> None:
    """It has neither queues nor telephones then; its own agents receive the end once."""
    watcher = await small_desk.client(await supervisor(small_desk))
    await watcher.request(QueueWatch(queues=[SALES], calls=True))
    pbx = QueuePbx(small_desk)
    await pbx.enter("whole", SUPPORT)
    for call, extension in (("c1", "101"), ("c2", "401")):
        await pbx.enter(call)
        await pbx.submit(("queue.entered", {"leg_key": call, "queue": SUPPORT}))
        await pbx.ring(call, extension)
        offered = (await watcher.next(CallOffered)).call

        await pbx.submit(("transfer.attended", {"leg_key": "whole", "peer_leg_key": call}))

        ended = (await watcher.next(CallEnded)).call
        assert (ended.id, ended.legs, ended.stints) == (offered.id, [], [])
    await nothing_within(watcher.next(CallEnded), 0.1)


async def test_a_change_that_was_stored_and_not_announced_is_delivered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To agents and watchers, also while the bus is away; announced changes are delivered once."""
    monkeypatch.setattr(calls, "RECONCILE_EVERY", 1)
    monkeypatch.setattr(calls, "ANNOUNCED_WITHIN", timedelta(0))
    who = await supervisor(desk)
    oksana, petro = await desk.client(OKSANA, node=1), await desk.client(PETRO, node=1)
    watcher = await desk.client(who, node=1)
    await watcher.request(QueueWatch(queues=[SALES], calls=True))
    pbx = QueuePbx(desk)
    await pbx.enter("c1")
    await pbx.ring("c1")
    ids = {(await client.next(CallOffered)).call.id for client in (oksana, watcher)}
    end = lose_everything(desk.nodes[0])

    await pbx.answer("c1")

    for client in (oksana, watcher):
        assert (await until(client, CallUpdated, lambda call: call.status == "talking")).id in ids
    monkeypatch.setattr(calls, "RECONCILE_EVERY", 1_000)
    monkeypatch.setattr(RedisBus, "healthy", False)
    await pbx.submit(("call.started", {"leg_key": "d1", "extension": "101"}))
    await ring(pbx, "d1", "d1-102", "102")
    asked = await until(petro, CallUpdated, lambda call: call.status == "ringing")
    monkeypatch.undo()
    await pbx.submit(("transfer.attended", {"leg_key": "c1", "peer_leg_key": "d1"}))
    desk.nodes[1].node.delivery.resynced()
    assert (await petro.next(CallEnded)).call.id == asked.id
    end()
    monkeypatch.setattr(calls, "RECONCILE_EVERY", 1)
    monkeypatch.setattr(calls, "ANNOUNCED_WITHIN", timedelta(0))
    await miss(desk, number="+380501000000")
    await petro.next(MissedCallCreated)
    await pbx.hang_up("c1", "101")
    await pbx.submit(("leg.ended", {"leg_key": "d1"}), ("leg.ended", {"leg_key": "d1-102"}))
    assert (await until(petro, CallEnded, lambda call: call.id in ids)).outcome == "answered"
    await asyncio.gather(
        nothing_within(until(petro, CallEnded, lambda call: call.id in ids), 1.2),
        nothing_within(petro.next(CallbackChanged), 1.2),
        nothing_within(petro.next(MissedCallCreated), 1.2),
    )
