"""What a node remembers of calls: as long as nobody else has written, and not too much."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from ingest.fold.event_log import Told
from ingest.model.events import CallEvent
from ingest.queries.events import Turn
from ingest.storing.call_cache import Held, Known


def event(key: str, source: str = "pbx") -> CallEvent:
    return CallEvent(
        event_id=uuid4(),
        source=source,
        type="leg.ringing",
        occurred_at=datetime.now(UTC),
        leg_key=key,
    )


def remember(known: Known, before: UUID | None, key: str, source: str = "pbx") -> tuple[UUID, UUID]:
    """Store one event of a new call; return the call, and the mark left behind."""
    call_id, turns = uuid4(), {source: Turn(before, uuid4())}
    known.check(turns)
    known.hold(call_id, Held(source, Told()), [event(key, source)])
    known.name({(source, key): call_id})
    known.keep(turns)
    return call_id, turns[source].now


def test_calls_are_known_while_the_mark_is_ours() -> None:
    """The next transaction that finds our mark finds the call by its native id, with its events."""
    known = Known(10)
    call_id, mark = remember(known, None, "a")

    known.check({"pbx": Turn(mark, uuid4())})

    assert known.find([("pbx", "a"), ("pbx", "b")]) == {("pbx", "a"): call_id}
    held = known.call(call_id)
    assert held is not None
    assert [one.leg_key for one in held.told.events] == ["a"]


def test_calls_of_a_pbx_that_another_node_wrote_are_forgotten() -> None:
    """Another mark forgets that PBX's calls, and no other's."""
    known = Known(10)
    gone, _ = remember(known, None, "a")
    kept, mark = remember(known, None, "b", "other")

    known.check({"pbx": Turn(uuid4(), uuid4()), "other": Turn(mark, uuid4())})

    assert known.call(gone) is None
    assert known.find([("pbx", "a")]) == {}
    assert known.call(kept) is not None
    assert known.held_events == 1


def test_what_was_not_committed_is_forgotten() -> None:
    """A transaction that began and did not end leaves nothing that the next one trusts."""
    known = Known(10)
    call_id, mark = remember(known, None, "a")

    known.check({"pbx": Turn(mark, uuid4())})
    known.check({"pbx": Turn(mark, uuid4())})

    assert known.call(call_id) is None

    remember(known, None, "b")
    known.forget()
    assert known.held_events == 0
    assert known.find([("pbx", "b")]) == {}


def test_the_oldest_calls_make_room() -> None:
    """With more events than allowed, the calls not touched for longest are let go."""
    known = Known(2)
    first, mark = remember(known, None, "a")
    second, mark = remember(known, mark, "b")
    turns = {"pbx": Turn(mark, uuid4())}
    known.check(turns)
    held = known.call(first)
    assert held is not None

    known.hold(first, held, [event("a")])
    known.keep(turns)

    assert known.call(second) is None
    assert known.call(first) is held
    assert known.held_events == 2
