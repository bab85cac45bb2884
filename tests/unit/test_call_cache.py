"""What a node remembers of calls: as long as nobody else has written, and not too much."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from ingest.fold.event_log import EventLog
from ingest.model.events import CallEvent
from ingest.queries.events import SourceTurn
from ingest.storing.call_cache import CachedCall, CallCache


def event(key: str, source: str = "pbx") -> CallEvent:
    return CallEvent(
        event_id=uuid4(),
        source=source,
        type="leg.ringing",
        occurred_at=datetime.now(UTC),
        leg_key=key,
    )


def remember(
    cache: CallCache, before: UUID | None, key: str, source: str = "pbx"
) -> tuple[UUID, UUID]:
    """Store one event of a new call; return the call, and the mark left behind."""
    call_id, turns = uuid4(), {source: SourceTurn(before, uuid4())}
    cache.validate(turns)
    cache.add(call_id, CachedCall(source, EventLog()), [event(key, source)])
    cache.add_aliases({(source, key): call_id})
    cache.confirm(turns)
    return call_id, turns[source].now


def test_calls_are_cached_while_the_mark_is_ours() -> None:
    """The next transaction that finds our mark finds the call by its native id, with its events."""
    cache = CallCache(10)
    call_id, mark = remember(cache, None, "a")

    cache.validate({"pbx": SourceTurn(mark, uuid4())})

    assert cache.find([("pbx", "a"), ("pbx", "b")]) == {("pbx", "a"): call_id}
    held = cache.get(call_id)
    assert held is not None
    assert [one.leg_key for one in held.log.events] == ["a"]


def test_calls_of_a_pbx_that_another_node_wrote_are_forgotten() -> None:
    """Another mark forgets that PBX's calls, and no other's."""
    cache = CallCache(10)
    gone, _ = remember(cache, None, "a")
    kept, mark = remember(cache, None, "b", "other")

    cache.validate({"pbx": SourceTurn(uuid4(), uuid4()), "other": SourceTurn(mark, uuid4())})

    assert cache.get(gone) is None
    assert cache.find([("pbx", "a")]) == {}
    assert cache.get(kept) is not None
    assert cache.cached_events == 1


def test_what_was_not_committed_is_forgotten() -> None:
    """A transaction that began and did not end leaves nothing that the next one trusts."""
    cache = CallCache(10)
    call_id, mark = remember(cache, None, "a")

    cache.validate({"pbx": SourceTurn(mark, uuid4())})
    cache.validate({"pbx": SourceTurn(mark, uuid4())})

    assert cache.get(call_id) is None

    remember(cache, None, "b")
    cache.clear()
    assert cache.cached_events == 0
    assert cache.find([("pbx", "b")]) == {}


def test_the_oldest_calls_make_room() -> None:
    """With more events than allowed, the calls not touched for longest are let go."""
    cache = CallCache(2)
    first, mark = remember(cache, None, "a")
    second, mark = remember(cache, mark, "b")
    turns = {"pbx": SourceTurn(mark, uuid4())}
    cache.validate(turns)
    held = cache.get(first)
    assert held is not None

    cache.add(first, held, [event("a")])
    cache.confirm(turns)

    assert cache.get(second) is None
    assert cache.get(first) is held
    assert cache.cached_events == 2
