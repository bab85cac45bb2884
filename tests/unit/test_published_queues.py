"""What watchers receive: changes only, and what one received that the others did not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gateway.protocol import QueueAgents, QueueLive, QueueToday, ServiceLevel
from gateway.sockets.watch.queue_changes import PublishedQueues
from gateway.sockets.watch.queue_subscription import QueueSubscription, TimedChanges
from gateway.telephony.agents.agents import derive
from gateway.telephony.agents.queries.agents import AgentRecord, QueueMark
from gateway.telephony.agents.wallboard import QueueSnapshot

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def queue(waiting: int, version: int) -> QueueLive:
    """Return a state of the queue sales."""
    level = ServiceLevel(method="sl6", formula="", threshold_s=20, value=None)
    return QueueLive(
        queue="sales", waiting=waiting, talking=0, version=version,
        agents=QueueAgents(total=0, available=0, ringing=0, talking=0, wrap_up=0, paused=0),
        today=QueueToday(since=NOON, offered=0, answered=0, abandoned=0, short_abandoned=0,
                         service_level=level),
    )  # fmt: skip


def agent(version: int, *, paused: bool = False, queue: str = "sales") -> AgentRecord:
    mark = QueueMark(queue=queue, logged_in=True, login_at=NOON, paused=paused, reason=None,
                paused_at=NOON)  # fmt: skip
    return AgentRecord(
        employee_id=1, calls=(), marks=(mark,), last_call_ended_at=None, version=version
    )


def test_an_unchanged_queue_is_published_once() -> None:
    """A later read of the same is no change, and each zone has its own watchers."""
    news = PublishedQueues()

    first = news.changed_queues({"UTC": [queue(1, 10)], "Asia/Tokyo": [queue(1, 10)]})
    again = news.changed_queues({"UTC": [queue(1, 20)]})
    changed = news.changed_queues({"UTC": [queue(2, 30)]})

    assert first.keys() == {"UTC", "Asia/Tokyo"}
    assert again == {}
    assert b'"waiting":2' in changed["UTC"]["sales"]


def test_a_state_that_only_a_new_watcher_received_is_published_to_all() -> None:
    """Otherwise a caller who has left would stay on the new watcher's screen."""
    news = PublishedQueues()
    news.changed_queues({"UTC": [queue(0, 10)]})

    assert news.shown("UTC", [queue(1, 20)]) == {"sales"}
    assert news.changed_queues({"UTC": [queue(0, 30)]}).keys() == {"UTC"}
    assert news.shown("UTC", [queue(0, 40)]) == set()
    assert news.changed_queues({"UTC": [queue(0, 50)]}) == {}


def test_an_agent_is_published_to_the_queues_that_they_left_too() -> None:
    """An unchanged agent is no change; a moved one concerns the previous queue, too."""
    news = PublishedQueues()

    first = news.changed_agent(derive(agent(1)))
    same = news.changed_agent(derive(agent(2)))
    moved = news.changed_agent(derive(agent(3, queue="support")))

    assert first is not None
    assert first[1] == {"sales"}
    assert same is None
    assert moved is not None
    assert moved[1] == {"sales", "support"}
    assert news.shown_agents([derive(agent(4)).to_wire()]) == {1}
    assert news.people == []


def test_what_nobody_watches_is_forgotten() -> None:
    """Queues by zone and name, agents by id."""
    news = PublishedQueues()
    news.changed_queues({"UTC": [queue(1, 1)], "Asia/Tokyo": [queue(1, 1)]})
    news.changed_agent(derive(agent(1)))

    news.retain(lambda tz, _: tz == "UTC", lambda _: False)

    assert news.changed_queues({"UTC": [queue(1, 2)], "Asia/Tokyo": [queue(1, 2)]}).keys() == {
        "Asia/Tokyo"
    }
    assert news.people == []


def test_time_alone_makes_a_wait_too_long_and_a_new_day() -> None:
    """Each is published once; nothing is scheduled without watchers."""
    times, now = TimedChanges(), datetime.now(UTC)
    times.watch_zone("UTC")
    late = QueueSnapshot(replace(queue(1, 1)), now + timedelta(seconds=5))
    times.set_waiting([late])

    assert 4 < times.next_in_s(60) <= 5
    assert times.pop_due(now) == (set(), False)
    assert times.pop_due(now + timedelta(seconds=6)) == ({"sales"}, False)
    assert times.pop_due(now + timedelta(days=1)) == (set(), True)
    assert times.pop_due(now + timedelta(days=1)) == (set(), False)
    times.retain_zones(set())
    assert times.next_in_s(60) == 60


def test_all_queues_cover_any() -> None:
    """And some cover those that are among them."""
    everything = QueueSubscription(None, agents=False, calls=False, tz="UTC")
    some = QueueSubscription(frozenset(("sales",)), agents=False, calls=False, tz="UTC")

    assert everything.covers(())
    assert some.covers(("support", "sales"))
    assert not some.covers(("support",))
