"""A last known state that somebody was answered with is put right, however short the outage was."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisAway

from gateway.protocol import PresenceWatch
from tests.acceptance.presence.test_presence import until_status
from tests.support.desk import IRYNA, OKSANA, Desk, eventually


async def test_who_watches_in_an_outage_that_nobody_noticed_is_told_how_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command to Redis fails, and the next one does not: between two checks of the node."""
    await desk.client(OKSANA)
    iryna = await desk.client(IRYNA, node=1)
    node = desk.nodes[1].node
    presence: Any = node.services.presence
    evaluate = presence.link._evaluate
    await eventually(lambda: not presence.degraded)
    presence._announcer._known.clear()  # a node that has just started knows nobody
    failed: list[Any] = []

    async def fail_once(calls: Any) -> Any:
        if not failed and calls[0][0] == "look":
            failed.append(calls)
            raise RedisAway("away")
        return await evaluate(calls)

    monkeypatch.setattr(presence.link, "_evaluate", fail_once)
    watched = await iryna.request(PresenceWatch(employee_ids=[OKSANA]))
    assert failed
    assert [one.status for one in watched.presences] == ["offline"]
    assert watched.degraded

    await until_status(iryna, OKSANA, "online")
