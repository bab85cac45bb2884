"""What a node reads again of calls, and what it delivers again."""

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
    """Return an announcement of a call, for employee 1."""
    payload = orjson.dumps({"call": {"id": call, "version": version}})
    return Announcement(TOPIC, "call.updated", payload)


class Database:
    """Stands in for the stored calls, which are delivered again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads: list[datetime] = []
        self.stored: list[Announcement] = []
        self.away = False
        self.reached: datetime | None = None
        """Up to which moment it was versions, when that was too much for once."""
        monkeypatch.setattr(announce, "redeliver", self.redeliver)
        monkeypatch.setattr(callbacks, "redeliver", self.nothing)

    async def redeliver(
        self, _: Any, deliver: Any, since: datetime, **_limits: Any
    ) -> datetime | None:
        """Deliver what is stored."""
        self.reads.append(since)
        if self.away:
            raise ConnectionError
        for one in self.stored:
            deliver(one)
        return self.reached

    async def nothing(self, *_: Any, **_limits: Any) -> None:
        """Deliver no call-backs."""


class Fake:
    """A node with one employee on it."""

    def __init__(self) -> None:
        self.bus = SimpleNamespace(healthy=True)
        self.sessions: set[object] = {1}
        self.delivered: list[Announcement] = []
        self.clock = 0.0
        self.calls = CallReconciler(
            cast(Any, None), cast(Any, self), self.sessions, now=lambda: self.clock
        )

    def deliver(self, announcement: Announcement) -> None:
        """Deliver, and report it as the hub does."""
        self.delivered.append(announcement)
        self.calls.delivered(announcement)


async def test_the_moment_of_completeness_waits_for_a_successful_read(
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

    first, *_, back, after = database.reads
    assert len(database.reads) == 5
    assert first == back
    assert after != first


async def test_a_node_reads_now_and_then_and_repeats_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What came by the bus, or by an earlier read, is delivered again only after lost news."""
    database, node = Database(monkeypatch), Fake()
    node.deliver(event(1))
    database.stored = [event(2), event(7, "c2")]
    for _ in range(calls.RECONCILE_EVERY * 2):
        await node.calls.reconcile(events_lost=False)

    assert len(database.reads) == 2
    assert database.reads[1] > database.reads[0] - timedelta(minutes=2)
    assert node.delivered == [event(1), event(2), event(7, "c2")]
    await node.calls.reconcile(events_lost=True)
    assert node.delivered[3:] == database.stored
    node.clock += calls.REMEMBERED_S + 1
    for _ in range(calls.RECONCILE_EVERY * 2):  # the first forgets
        await node.calls.reconcile(events_lost=False)
    assert node.delivered[5:] == database.stored


async def test_too_much_for_one_read_is_delivered_in_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next reconciliation continues where the last one stopped."""
    database, node = Database(monkeypatch), Fake()
    database.reached = datetime(2026, 3, 2, tzinfo=UTC)
    await node.calls.reconcile(events_lost=True)
    await node.calls.reconcile(events_lost=False)

    assert len(database.reads) == 2
    assert database.reads[1] == database.reached - timedelta(milliseconds=1)


def test_what_is_remembered_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten first, and a late older version changes nothing."""
    monkeypatch.setattr(calls, "MOST_REMEMBERED", 2)
    node = Fake()
    for version, call in ((5, "c1"), (4, "c2"), (3, "c1"), (1, "c3")):
        node.deliver(event(version, call))

    versions = {call: version for (_, call), (version, _) in node.calls._delivered_versions.items()}
    assert versions == {"c1": 5, "c3": 1}
