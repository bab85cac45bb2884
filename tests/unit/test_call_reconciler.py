"""When a node has told all there is to tell of calls: what it reads again, and what it repeats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from gateway import topics
from gateway.bus import Announcement
from gateway.sockets.watch import calls
from gateway.sockets.watch.calls import CallReconciler
from gateway.telephony.callbacks import callbacks
from gateway.telephony.calls import announce

TOPIC = topics.user(1)


def event(version: int, call: str = "c1") -> Announcement:
    """Return news of a call, for employee 1."""
    said = orjson.dumps({"call": {"id": call, "version": version}})
    return Announcement(TOPIC, "call.updated", said)


class Database:
    """Stands in for what was stored, and is told again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[datetime] = []
        self.stored: list[Announcement] = []
        self.away = False
        self.reached: datetime | None = None
        """Up to which moment it was told, when that was too much for once."""
        monkeypatch.setattr(announce, "redeliver", self.redeliver)
        monkeypatch.setattr(callbacks, "redeliver", self.nothing)

    async def redeliver(
        self, _: Any, deliver: Any, since: datetime, **_limits: Any
    ) -> datetime | None:
        """Tell what is stored."""
        self.asked.append(since)
        if self.away:
            raise ConnectionError
        for one in self.stored:
            deliver(one)
        return self.reached

    async def nothing(self, *_: Any, **_limits: Any) -> None:
        """Tell nothing of call-backs."""


class Fake:
    """A node with somebody on it."""

    def __init__(self) -> None:
        self.bus = SimpleNamespace(healthy=True)
        self.sessions: set[object] = {1}
        self.heard: list[Announcement] = []
        self.clock = 0.0
        self.calls = CallReconciler(
            cast(Any, None), cast(Any, self), self.sessions, now=lambda: self.clock
        )

    def deliver(self, announcement: Announcement) -> None:
        """Deliver, and have it noted as the hub does."""
        self.heard.append(announcement)
        self.calls.delivered(announcement)


async def test_the_moment_up_to_which_all_was_told_waits_for_a_look_that_succeeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long the bus is away, and the database with it."""
    database, node = Database(monkeypatch), Fake()
    node.bus.healthy = False
    database.away = True
    for _ in range(3):
        with pytest.raises(ConnectionError):
            await node.calls.reconcile(events_lost=False)
    database.away = False
    await node.calls.reconcile(events_lost=True)
    await node.calls.reconcile(events_lost=True)

    first, *_, back, after = database.asked
    assert len(database.asked) == 5
    assert first == back
    assert after != first


async def test_a_node_looks_now_and_then_and_repeats_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What came by the bus, or by a look before, is told again only after lost news."""
    database, node = Database(monkeypatch), Fake()
    node.deliver(event(1))
    database.stored = [event(2), event(7, "c2")]
    for _ in range(calls.RECONCILE_EVERY * 2):
        await node.calls.reconcile(events_lost=False)

    assert len(database.asked) == 2
    assert database.asked[1] > database.asked[0] - timedelta(minutes=2)
    assert node.heard == [event(1), event(2), event(7, "c2")]
    await node.calls.reconcile(events_lost=True)
    assert node.heard[3:] == database.stored
    node.clock += calls.REMEMBERED_S + 1
    for _ in range(calls.RECONCILE_EVERY * 2):  # the first forgets
        await node.calls.reconcile(events_lost=False)
    assert node.heard[5:] == database.stored


async def test_too_much_for_one_look_is_told_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next upkeep goes on from where the last one stopped."""
    database, node = Database(monkeypatch), Fake()
    database.reached = datetime(2026, 3, 2, tzinfo=UTC)
    await node.calls.reconcile(events_lost=True)
    await node.calls.reconcile(events_lost=False)

    assert len(database.asked) == 2
    assert database.asked[1] == database.reached - timedelta(milliseconds=1)


def test_what_is_remembered_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten first, and an older version that comes late changes nothing."""
    monkeypatch.setattr(calls, "MOST_REMEMBERED", 2)
    node = Fake()
    for version, call in ((5, "c1"), (4, "c2"), (3, "c1"), (1, "c3")):
        node.deliver(event(version, call))

    told = {call: version for (_, call), (version, _) in node.calls._delivered_versions.items()}
    assert told == {"c1": 5, "c3": 1}
