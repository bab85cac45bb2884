"""What is told of calls comes in time, and rings no telephone that has stopped."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.protocol import CallOffered, CallUpdated
from gateway.telephony.callbacks import missed
from gateway.telephony.calls import announce
from ingest import CallChange, load_calls
from tests.support.calls import miss, post
from tests.support.desk import PETRO, Desk, nothing_within


async def ring(desk: Desk, call: str) -> None:
    """Have Petro's telephone ring."""
    await post(
        desk, call,
        {"type": "call.started", "leg_key": f"{call}p", "attrs": {"number": "+380671234567"}},
        {"type": "offer.started", "leg_key": f"{call}q", "peer_leg_key": f"{call}p",
         "extension": "102"},
        {"type": "leg.ringing", "leg_key": f"{call}q", "extension": "102"},
    )  # fmt: skip


async def test_a_call_rings_while_callbacks_have_a_backlog(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next telephone does not wait for what became of the missed call before."""
    petro, begun, go = await desk.client(PETRO), asyncio.Event(), asyncio.Event()

    async def slow(*_: Any, **__: Any) -> None:
        begun.set()
        await go.wait()

    monkeypatch.setattr(missed, "process_news", slow)
    await miss(desk)
    await begun.wait()

    async with asyncio.timeout(2):
        await ring(desk, "next")
        assert (await petro.next(CallOffered)).call.status == "ringing"
    go.set()


async def test_a_call_told_again_is_not_offered_again(desk: Desk) -> None:
    """Nobody knows when it began to ring: its state is told, nothing pops up."""
    petro, gateway = await desk.client(PETRO), desk.nodes[0].app.state.gateway
    await ring(desk, "told")
    first = (await petro.next(CallOffered)).call
    async with gateway.pool.acquire() as conn:
        states = await load_calls(conn, [first.id])

    again = CallChange(None, states[first.id], repeated=True)
    await announce.calls_changed(gateway.node.services, [again])

    assert (await petro.next(CallUpdated)).call.version == first.version
    await nothing_within(petro.next(CallOffered), 0.2)
