"""Posted JSON ─▶ events: one invalid item never affects the others, and is returned with why."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingest.fold.fold import fold, group_by_call
from ingest.normalise.webhook import parse_events
from tests.support.call_truth import CALL_ID

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def item(**fields: Any) -> dict[str, Any]:
    """Make a posted event that is in order, with some of it changed; ... takes a field away."""
    made = {
        "event_id": "e1",
        "type": "leg.created",
        "occurred_at": "2026-11-22T19:59:00Z",
        "call_key": "c1",
        "leg_key": "l1",
        **fields,
    }
    return {name: value for name, value in made.items() if value is not ...}


def codes(*items: Any) -> list[tuple[int, str]]:
    parsed = parse_events(list(items), source="pbx", now=NOW)
    return [(rejected.index, rejected.code) for rejected in parsed.rejected]


def test_an_event_in_order_is_taken_as_it_is() -> None:
    """Times in UTC, numbers raw and E.164."""
    posted = item(
        occurred_at="2026-11-22T21:59:00.5+02:00",
        extension="101",
        attrs={"number": "067 123-45-67", "name": "Олена"},
    )
    (event,) = parse_events([posted], source="pbx", region="UA", now=NOW).events

    assert event.occurred_at == datetime(2026, 11, 22, 19, 59, 0, 500_000, tzinfo=UTC)
    assert (event.source, event.leg_key, event.extension) == ("pbx", "l1", "101")
    assert event.attrs == {
        "number_raw": "067 123-45-67",
        "number_e164": "+380671234567",
        "name": "Олена",
    }


@pytest.mark.parametrize(
    "time",
    ["2026-11-22T19:59:00Z", "2026-11-22t19:59:00z", "2026-11-22 19:59:00Z",
     "2026-11-22T21:59:00+02:00", "2026-11-22T19:59:00-00:00", "2026-11-22T19:59:00.000000999Z"],
)  # fmt: skip
def test_every_way_that_rfc_3339_writes_a_time_is_read(time: str) -> None:
    """Small letters, a space, any number of decimals: microseconds are kept."""
    (event,) = parse_events([item(occurred_at=time)], source="pbx", now=NOW).events

    assert event.occurred_at == datetime(2026, 11, 22, 19, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (None, "event.invalid"),
        ([], "event.invalid"),
        ("text", "event.invalid"),
        (item(type="call.teleported"), "event.unknown_type"),
        (item(type=...), "event.unknown_type"),
        (item(type=["leg.created"]), "event.unknown_type"),
        (item(occurred_at=...), "event.bad_time"),
        (item(occurred_at="yesterday"), "event.bad_time"),
        (item(occurred_at=1795377152), "event.bad_time"),
        (item(occurred_at="2026-11-22T19:59:00"), "event.bad_time"),
        (item(occurred_at="2026-W47-7T19:59:00Z"), "event.bad_time"),
        (item(occurred_at="20261122T195900Z"), "event.bad_time"),
        (item(occurred_at="2026-11-22T195900Z"), "event.bad_time"),
        (item(occurred_at="2026-11-22T19:59Z"), "event.bad_time"),
        (item(occurred_at="2026-11-22T19Z"), "event.bad_time"),
        (item(occurred_at="2026-11-22T19:59:00,5Z"), "event.bad_time"),
        (item(occurred_at="2026-11-22T19:59:00.Z"), "event.bad_time"),
        (item(occurred_at="2026-11-22T19:59:00+0200"), "event.bad_time"),
        (item(occurred_at="2026-11-22T19:59:00+02:00:30"), "event.bad_time"),
        (item(occurred_at="2026-11-22x19:59:00Z"), "event.bad_time"),
        (item(occurred_at="2026-11-22T19:59:00Z\n"), "event.bad_time"),
        (item(occurred_at="٢026-11-22T19:59:00Z"), "event.bad_time"),
        (item(occurred_at="1970-01-01T00:00:00Z"), "event.bad_time"),
        (item(occurred_at="2027-11-22T00:00:00Z"), "event.bad_time"),
        (item(occurred_at="0001-01-01T00:00:00+23:59"), "event.bad_time"),
        (item(occurred_at="9999-12-31T23:59:59-23:59"), "event.bad_time"),
        (item(leg_key="x" * 201), "event.too_long"),
        (item(queue="x" * 201), "event.too_long"),
        (item(event_id="x" * 201), "event.too_long"),
        (item(attrs={"name": "x" * 201}), "event.too_long"),
        (item(leg_key="a\0b"), "event.invalid"),
        (item(leg_key="\ud800"), "event.invalid"),
        (item(attrs={"name": "a\0"}), "event.invalid"),
        (item(leg_key=7), "event.invalid"),
        (item(attrs=[]), "event.invalid"),
        (item(attrs={"cause": "16"}), "event.invalid"),
        (item(attrs={"cause": True}), "event.invalid"),
        (item(attrs={"cause": -1}), "event.invalid"),
        (item(attrs={"cause": 2**63}), "event.invalid"),
        (item(attrs={"direction": "sideways"}), "event.invalid"),
        (item(attrs={"kind": "technical"}), "event.invalid"),
        (item(attrs={"pair": "x"}), "event.unknown_field"),
        (item(call_id="x"), "event.unknown_field"),
        (item(call_key=..., leg_key=...), "event.no_call"),
        (item(call_key="", leg_key=""), "event.no_call"),
        (item(type="queue.entered"), "event.no_queue"),
    ],
)
def test_a_bad_event_is_named_and_the_others_are_taken(wrong: Any, code: str) -> None:
    """Its index, a code, a sentence."""
    parsed = parse_events([item(), wrong, item(event_id="e2")], source="pbx", now=NOW)

    assert [(r.index, r.code) for r in parsed.rejected] == [(1, code)]
    assert parsed.rejected[0].message
    assert parsed.indexes == [0, 2]


def test_what_was_sent_is_not_echoed_at_length() -> None:
    """A field name of a megabyte does not come back, nor into the log."""
    (rejected,) = parse_events([item(**{"x" * 1_000_000: 1})], source="pbx", now=NOW).rejected

    assert len(rejected.message) < 100


def test_ids_tell_repeats_and_sources_apart() -> None:
    """The sender's id counts; without one, all that the event says."""
    first, same, other = item(), item(occurred_at="2026-11-22T19:58:00Z"), item(event_id="e2")
    nameless, again = item(event_id=...), item(event_id=...)
    later = item(event_id=..., occurred_at="2026-11-22T19:58:00Z")

    def ids(*items: dict[str, Any], source: str = "pbx") -> list[str]:
        parsed = parse_events(list(items), source=source, now=NOW)
        return [str(event.event_id) for event in parsed.events]

    a, b, c, d, e, f = ids(first, same, other, nameless, again, later)
    assert a == b
    assert d == e
    assert len({a, c, d, f}) == 4
    assert ids(first, source="other") != [a]


def test_retention_bounds_how_late_an_event_may_come() -> None:
    """A day too old is refused, a day inside is taken."""
    keep = timedelta(days=30)
    old, fresh = (item(occurred_at=(NOW - timedelta(days=n)).isoformat()) for n in (31, 29))
    parsed = parse_events([old, fresh], source="pbx", now=NOW, max_age=keep)

    assert parsed.indexes == [1]


def test_what_is_posted_is_at_most_366_days_old() -> None:
    """As documented; its month is kept for longer."""
    old, fresh = (item(occurred_at=(NOW - timedelta(days=n)).isoformat()) for n in (367, 366))

    assert parse_events([old, fresh], source="pbx", now=NOW).indexes == [1]


def test_a_whole_call_can_be_posted() -> None:
    """Started, queue, one telephone, answered, ended: by a PBX that is no Asterisk."""
    at = [(NOW - timedelta(seconds=60 - second)).isoformat() for second in range(30)]
    posted = [
        item(type="call.started", occurred_at=at[0], leg_key=...,
             attrs={"number": "+380671234567", "direction": "inbound"}),
        item(type="queue.entered", occurred_at=at[1], leg_key=..., queue="sales"),
        item(type="offer.started", occurred_at=at[2], leg_key="a", peer_leg_key="c1",
             extension="101"),
        item(type="leg.ringing", occurred_at=at[2], leg_key="a"),
        item(type="leg.answered", occurred_at=at[6], leg_key="a"),
        item(type="queue.connected", occurred_at=at[6], leg_key=..., queue="sales"),
        item(type="bridge.joined", occurred_at=at[6], leg_key="a", attrs={"bridge": "b"}),
        item(type="bridge.joined", occurred_at=at[6], leg_key="c1", attrs={"bridge": "b"}),
        item(type="call.ended", occurred_at=at[16], leg_key=...),
    ]  # fmt: skip
    for number, event in enumerate(posted):
        event["event_id"] = f"e{number}"
    random.Random(1).shuffle(posted)

    call = fold(parse_events(posted, source="pbx", now=NOW).events, call_id=CALL_ID)

    assert call is not None
    assert (call.outcome, call.answered_extension, call.queue) == ("answered", "101", "sales")
    assert (call.wait_ms, call.talk_ms, call.number_e164) == (5_000, 10_000, "+380671234567")


def conversation(call: str, begun: timedelta, **fields: Any) -> list[dict[str, Any]]:
    """Make a posted call of 101 with a caller, of 10 s, in a bridge that every call names so."""
    at = [(NOW - begun + timedelta(seconds=second)).isoformat() for second in range(20)]
    caller, agent = f"{call}-caller", f"{call}-agent"
    room = {"attrs": {"bridge": "room1"}}
    told: list[dict[str, Any]] = [
        {"type": "call.started", "occurred_at": at[0], "leg_key": caller,
         "attrs": {"direction": "inbound"}},
        {"type": "offer.started", "occurred_at": at[1], "leg_key": agent, "peer_leg_key": caller,
         "extension": "101"},
        {"type": "leg.answered", "occurred_at": at[5], "leg_key": agent},
        {"type": "bridge.joined", "occurred_at": at[5], "leg_key": agent, **room},
        {"type": "bridge.joined", "occurred_at": at[5], "leg_key": caller, **room},
        {"type": "bridge.left", "occurred_at": at[15], "leg_key": caller, **room},
        {"type": "bridge.left", "occurred_at": at[15], "leg_key": agent, **room},
        {"type": "leg.ended", "occurred_at": at[15], "leg_key": agent},
        {"type": "leg.ended", "occurred_at": at[15], "leg_key": caller},
    ]  # fmt: skip
    return [{"call_key": call, **one, **fields} for one in told]


def test_calls_with_keys_of_their_own_may_use_one_bridge_after_the_other() -> None:
    """They are two calls, and in each the two talked for 10 s."""
    posted = conversation("a", timedelta(minutes=9)) + conversation("b", timedelta(minutes=5))
    events = parse_events(posted, source="pbx", now=NOW).events

    calls = [fold(one, call_id=CALL_ID) for one in group_by_call(events)]

    assert [call and (call.outcome, call.talk_ms) for call in calls] == [("answered", 10_000)] * 2


def test_a_bridge_joins_legs_that_name_no_call() -> None:
    """Without call_key nothing else says that who answered talked with the caller."""
    posted = conversation("a", timedelta(minutes=9), call_key=None, peer_leg_key=None)
    events = parse_events(posted, source="pbx", now=NOW).events

    (call,) = (fold(one, call_id=CALL_ID) for one in group_by_call(events))

    assert call is not None
    assert (call.outcome, call.talk_ms) == ("answered", 10_000)
