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
    known: CallCache, before: UUID | None, key: str, source: str = "pbx"
) -> tuple[UUID, UUID]:
    """Store one event of a new call; return the call, and the mark left behind."""
    call_id, turns = uuid4(), {source: SourceTurn(before, uuid4())}
    known.validate(turns)
    known.add(call_id, CachedCall(source, EventLog()), [event(key, source)])
    known.add_aliases({(source, key): call_id})
    known.confirm(turns)
    return call_id, turns[source].now


def test_calls_are_cached_while_the_mark_is_ours() -> None:
    """The next transaction that finds our mark finds the call by its native id, with its events."""
    known = CallCache(10)
    call_id, mark = remember(known, None, "a")

    known.validate({"pbx": SourceTurn(mark, uuid4())})

    assert known.find([("pbx", "a"), ("pbx", "b")]) == {("pbx", "a"): call_id}
    held = known.get(call_id)
    assert held is not None
    assert [one.leg_key for one in held.log.events] == ["a"]


def test_calls_of_a_pbx_that_another_node_wrote_are_forgotten() -> None:
    """Another mark forgets that PBX's calls, and no other's."""
    known = CallCache(10)
    gone, _ = remember(known, None, "a")
    kept, mark = remember(known, None, "b", "other")

    known.validate({"pbx": SourceTurn(uuid4(), uuid4()), "other": SourceTurn(mark, uuid4())})

    assert known.get(gone) is None
    assert known.find([("pbx", "a")]) == {}
    assert known.get(kept) is not None
    assert known.cached_events == 1


def test_what_was_not_committed_is_forgotten() -> None:
    """A transaction that began and did not end leaves nothing that the next one trusts."""
    known = CallCache(10)
    call_id, mark = remember(known, None, "a")

    known.validate({"pbx": SourceTurn(mark, uuid4())})
    known.validate({"pbx": SourceTurn(mark, uuid4())})

    assert known.get(call_id) is None

    remember(known, None, "b")
    known.clear()
    assert known.cached_events == 0
    assert known.find([("pbx", "b")]) == {}


def test_the_oldest_calls_make_room() -> None:
    """With more events than allowed, the calls not touched for longest are let go."""
    known = CallCache(2)
    first, mark = remember(known, None, "a")
    second, mark = remember(known, mark, "b")
    turns = {"pbx": SourceTurn(mark, uuid4())}
    known.validate(turns)
    held = known.get(first)
    assert held is not None

    known.add(first, held, [event("a")])
    known.confirm(turns)

    assert known.get(second) is None
    assert known.get(first) is held
    assert known.cached_events == 2
