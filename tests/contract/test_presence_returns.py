"""People who come back while their leaving is being written to Redis, or repeated."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from presence import RedisPresence, StoreUnavailable
from tests.contract.presence_nodes import ChangeRecorder, Nodes, eventually

ANNA, BORIS = 1, 2


@pytest.fixture
async def pair(nodes: Nodes) -> tuple[RedisPresence, RedisPresence, ChangeRecorder]:
    """Give two nodes and what either announces."""
    return await nodes.open("a"), await nodes.open("b"), nodes.recorder


class HeldLink:
    """Holds up what a node writes about its people, before or after Redis has done it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, store: RedisPresence) -> None:
        self._run: Any = store.link.run
        self.reached = asyncio.Event()
        self.release = asyncio.Event()
        self.holding = True
        self.lose_reply = False
        self.first = False
        """Whether it is held up before Redis does it, not after."""
        monkeypatch.setattr(store.link, "run", self.run)

    async def run(self, script: str, *args: Any, **named: Any) -> Any:
        if script != "own" or not self.holding:
            return await self._run(script, *args, **named)
        done = None if self.first else await self._run(script, *args, **named)
        self.reached.set()
        await self.release.wait()
        self.holding = False
        if self.lose_reply:
            raise StoreUnavailable
        return done if done is not None else await self._run(script, *args, **named)


@pytest.mark.parametrize("first", [True, False], ids=["before Redis has it", "after"])
async def test_who_comes_back_while_their_leaving_is_written_is_online(
    pair: tuple[RedisPresence, RedisPresence, ChangeRecorder],
    monkeypatch: pytest.MonkeyPatch,
    first: bool,
) -> None:
    """What was written last is compared with how they are once it is known to be written."""
    here, there, recorder = pair
    await here.arrive(ANNA, "web")
    held = HeldLink(monkeypatch, here)
    held.first = first
    await here.leave(ANNA, "web")
    await held.reached.wait()

    await here.arrive(ANNA, "web")
    held.release.set()

    await recorder.until_count(ANNA, 3)
    assert recorder.of(ANNA) == ["online", "offline", "online"]
    assert (await there.fetch([ANNA]))[ANNA].status == "online"


@pytest.mark.parametrize("first", [True, False], ids=["before Redis had it", "after"])
async def test_who_comes_back_during_an_outage_is_not_sent_offline_after_it(
    pair: tuple[RedisPresence, RedisPresence, ChangeRecorder],
    monkeypatch: pytest.MonkeyPatch,
    first: bool,
) -> None:
    """A write that is repeated when Redis is back says how people are now, not how they were.

    Others, who stayed away, are announced, although the reply to their leaving was lost.
    """
    here, there, recorder = pair
    await here.arrive(ANNA, "web")
    await here.arrive(BORIS, "web")
    held = HeldLink(monkeypatch, here)
    held.first, held.lose_reply = first, True
    await here.leave(BORIS, "web")
    await here.leave(ANNA, "web")
    await held.reached.wait()

    here.link.fail("a test")
    await here.arrive(ANNA, "web")
    held.release.set()

    await recorder.until((BORIS, "offline"))
    await eventually(lambda: not here.degraded)
    assert "offline" not in recorder.of(ANNA)
    assert (await there.fetch([ANNA]))[ANNA].status == "online"
