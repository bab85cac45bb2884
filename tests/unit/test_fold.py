"""Events ─▶ calls: what a recording folds to is what happened, in any order and repetition."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest

from ingest.fold.event_log import EventLog
from ingest.fold.fold import fold, group_by_call
from ingest.fold.intervals import intersection, pair, total_ms
from ingest.framing import ami_recording
from ingest.model.call_state import CallChange, CallState
from ingest.model.events import CallEvent, EventType, derive_id
from ingest.normalise.asterisk import AsteriskDialect, AsteriskNormaliser
from tests.support.amounts import tries
from tests.support.call_truth import (
    CALL_ID,
    RECORDINGS,
    SHARED,
    call_for,
    calls_of,
    differences,
    events_of_recording,
    names,
    truths_of,
)

NOT_CLAIMED = {
    "l26_click_to_call": "the customer's telephone never answered, though the script meant it to",
    "l34_ami_connection_lost_in_mid_call": "needs the connector's snapshot after a gap",
}
"""Recordings whose truth the fold does not reach, and why."""
CLAIMED = [name for name in names() if name not in NOT_CLAIMED]
MIXED = "m01_mixed_local"
MIXED_ODD = {
    "m019": "its truth says that the caller waited -2.3 s",
    "m030": "its truth stops at the first queue; the caller gave up in the second",
    "m063": "its truth stops at the first queue; the caller gave up in the second",
    "m104": "its truth has the transfer of another call that this telephone took",
    "m106": "its truth says that the caller waited -1.9 s",
    "m108": "its truth counts the first of two queues only",
    "m162": "two telephones answered within 1 ms; its truth names the one that lost",
    "m165": "transferred to the telephone that transfers; its truth has 0 s of ringing for 3",
}
"""Calls whose truth file contradicts its own log of the telephones."""

T0 = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def event(
    event_type: EventType, at: float, leg: str | None = "caller", **fields: object
) -> CallEvent:
    """Make one event of a hand-made call, `at` seconds after its beginning."""
    made = CallEvent(
        event_id=UUID(int=0),
        source="pbx",
        type=event_type,
        occurred_at=T0 + timedelta(seconds=at),
        call_key="call",
        leg_key=leg,
    )
    made = replace(made, **fields)  # type: ignore[arg-type]
    return replace(made, event_id=derive_id("pbx", repr(made)))


def folded(*events: CallEvent) -> CallState:
    call = fold(events, call_id=CALL_ID)
    assert call is not None
    return call


def in_queue() -> list[CallEvent]:
    """A caller in a queue, with one telephone ringing."""
    return [
        event("leg.created", 0, attrs={"number_raw": "0671112233", "number_e164": "+380671112233"}),
        event("queue.entered", 1, queue="sales"),
        event("leg.created", 2, "a", extension="101"),
        event("offer.started", 2, "a", peer_leg_key="caller", extension="101"),
        event("leg.ringing", 2, "a"),
    ]


def answered() -> list[CallEvent]:
    """The same, answered after 5 s."""
    return [
        *in_queue(),
        event("leg.answered", 7, "a"),
        event("queue.left", 7, queue="sales"),
        event("queue.connected", 7, queue="sales", peer_leg_key="a"),
        event("bridge.joined", 7, "a", attrs={"bridge": "b"}),
        event("bridge.joined", 7, attrs={"bridge": "b"}),
    ]


@pytest.mark.parametrize("name", CLAIMED)
def test_a_recording_folds_to_what_really_happened(name: str) -> None:
    """Who rang and how long, who answered, waits, talks, holds, the outcome and the end."""
    calls = calls_of(events_of_recording(name))
    truths = truths_of(name)

    wrong = {truth["caller"]: differences(call_for(truth, calls), truth) for truth in truths
             if "caller" in truth} or {name: differences(calls[0], truths[0])}  # fmt: skip

    assert len(calls) == len(truths)
    assert not any(wrong.values()), wrong


@pytest.mark.parametrize(
    "name", [name for name in names() if name[:3] not in {"l07", "l22", "l26", "l34"}]
)
def test_a_user_with_few_rights_sees_the_same_calls(name: str) -> None:
    """read=call,agent: no VarSet, no Newexten; refusals, empty queues and mailboxes need them."""
    normaliser = AsteriskNormaliser("pbx", AsteriskDialect(region="UA"))
    heard = [
        event
        for told in ami_recording.read_messages(RECORDINGS / f"{name}.jsonl.gz")
        if told.message.event not in {"VarSet", "Newexten", "FullyBooted", "Cdr"}
        for event in normaliser.events(told.message, told.received_at)
    ]
    calls = calls_of(heard)

    for truth in truths_of(name):
        call = call_for(truth, calls) if "caller" in truth else calls[0]
        assert not differences(call, truth)


def test_what_is_not_claimed_is_still_folded() -> None:
    """The two recordings without a verdict give a call each, and the list of them is current."""
    assert set(NOT_CLAIMED) <= set(names())
    assert [len(calls_of(events_of_recording(name))) for name in sorted(NOT_CLAIMED)] == [1, 1]


def test_two_hundred_mixed_calls_fold_to_what_really_happened() -> None:
    """All 200 calls of six busy minutes, but for eight whose truth contradicts itself."""
    if not (SHARED / f"{MIXED}.jsonl.gz").exists():
        pytest.skip(f"{MIXED} is not beside this repository")
    calls = calls_of(events_of_recording(MIXED, SHARED))

    wrong = {
        truth["ref"]: found
        for truth in truths_of(MIXED, SHARED)
        if (found := differences(call_for(truth, calls), truth))
    }

    assert set(wrong) == set(MIXED_ODD), wrong


@pytest.mark.parametrize("name", names())
@tries(20, 200)
def test_any_order_and_any_repetition_fold_alike(name: str, tries: int) -> None:
    """Shuffles with random repeats give the same calls, byte for byte."""
    events = events_of_recording(name)
    expected = orjson.dumps(calls_of(events))
    dice = random.Random(name)

    for _ in range(tries):
        shuffled = events + dice.choices(events, k=dice.randrange(len(events)))
        dice.shuffle(shuffled)
        assert orjson.dumps(calls_of(shuffled)) == expected


@pytest.mark.parametrize("name", names())
@tries(4, 20)
def test_what_is_added_in_pieces_folds_like_the_whole(name: str, tries: int) -> None:
    """As batches bring it: any order, any pieces, with repeats, folded in between or not."""
    dice = random.Random(name)

    for call in group_by_call(events_of_recording(name)):
        expected = orjson.dumps(fold(call, call_id=CALL_ID))
        for _ in range(tries):
            shuffled = call + dice.choices(call, k=dice.randrange(len(call)))
            dice.shuffle(shuffled)
            told = EventLog()
            while shuffled:
                piece = dice.randrange(1, len(shuffled) + 1)
                told.add(shuffled[:piece])
                del shuffled[:piece]
                if dice.random() < 0.5:
                    fold(told, call_id=CALL_ID)
            assert orjson.dumps(fold(told, call_id=CALL_ID)) == expected


@tries(1, 5)
def test_mixed_calls_fold_alike_in_any_order(tries: int) -> None:
    """Each of the 200 busy calls, with random repeats."""
    if not (SHARED / f"{MIXED}.jsonl.gz").exists():
        pytest.skip(f"{MIXED} is not beside this repository")
    dice = random.Random(MIXED)

    for call in group_by_call(events_of_recording(MIXED, SHARED)):
        expected = orjson.dumps(fold(call, call_id=CALL_ID))
        for _ in range(tries):
            shuffled = call + dice.choices(call, k=dice.randrange(len(call)))
            dice.shuffle(shuffled)
            assert orjson.dumps(fold(shuffled, call_id=CALL_ID)) == expected


@pytest.mark.parametrize("name", [name for name in names() if not name.startswith("l31")])
def test_a_telephone_is_offered_a_call_once_for_each_time_it_rings(name: str) -> None:
    """Heard event by event, as it happens; and a call that is over stays over."""
    events = events_of_recording(name)
    known: dict[UUID, CallState] = {}
    offered: list[str] = []
    reopened: list[UUID] = []

    for heard in range(1, len(events) + 1):
        for part in group_by_call(events[:heard]):
            if after := fold(part, call_id=part[0].event_id):
                change = CallChange(known.get(after.id), after)
                offered += change.offered
                was_over = change.before is not None and change.before.status == "ended"
                reopened += [after.id] if was_over and after.status != "ended" else []
                known[after.id] = after

    rang = [leg.extension for call in calls_of(events) for leg in call.legs if leg.ringing_at]
    assert sorted(offered) == sorted(filter(None, rang))
    assert not reopened


@pytest.mark.parametrize("name", names())
@tries(10, 50)
def test_any_part_of_a_recording_folds(name: str, tries: int) -> None:
    """Whatever was lost, folding gives calls; one is over exactly when all its legs are."""
    events = events_of_recording(name)
    dice = random.Random(name)

    for _ in range(tries):
        for call in calls_of(dice.sample(events, k=dice.randrange(1, len(events)))):
            open_legs = [leg for leg in call.legs if leg.ended_at is None]
            assert (call.status == "ended") == (not open_legs)
            assert (call.outcome is None) == bool(open_legs)


def test_leaving_the_queue_before_the_connection_is_not_a_loss() -> None:
    """QueueCallerLeave comes before AgentConnect: for that moment the outcome is open."""
    left = folded(*in_queue(), event("queue.left", 7, queue="sales"))

    assert left.stints[0].left_at == T0 + timedelta(seconds=7)
    assert left.stints[0].outcome is None
    assert folded(*answered()).stints[0].outcome == "connected"


def test_abandoned_is_also_reported_when_the_queue_gave_up() -> None:
    """If the caller's channel lives on, or the queue said so, it was a timeout."""
    gave_up = event("queue.abandoned", 9, queue="sales")
    said = event("queue.outcome", 9.01, attrs={"outcome": "timeout"})
    waiting = [*in_queue(), event("leg.ended", 9, "a"), gave_up]
    now, later = event("leg.ended", 9.2), event("leg.ended", 30)

    assert folded(*waiting, now).outcome == "abandoned"
    assert folded(*waiting, later).outcome == "timeout"
    assert folded(*waiting, said, now).outcome == "timeout"


def test_a_late_hangup_of_a_known_call_does_not_open_it_again() -> None:
    """Events after a channel's own end change nothing that is visible."""
    over = [*answered(), event("leg.ended", 12), event("leg.ended", 12, "a")]
    late = [event("party.updated", 13, "a", attrs={"number_raw": "1"}), event("leg.ringing", 14)]

    assert folded(*over, *late).status == "ended"
    assert folded(*over, *late).ended_at == folded(*over).ended_at


def test_cause_26_is_answered_elsewhere_and_never_a_miss() -> None:
    """The telephones that lost the race of a ring group did not miss anything."""
    lost = [
        event("offer.started", 2, "b", peer_leg_key="caller", extension="102"),
        event("leg.ringing", 2, "b"),
        event("leg.ended", 7, "b", attrs={"cause": 26}),
    ]
    call = folded(*answered(), *lost, event("leg.ended", 9), event("leg.ended", 9, "a"))

    assert {leg.extension: leg.ended_reason for leg in call.legs if leg.extension} == {
        "101": "completed",
        "102": "answered_elsewhere",
    }
    assert not call.missed


def test_a_call_goes_through_its_states() -> None:
    """Created, waiting, ringing, talking, held, ended."""
    events = [*answered(), event("leg.hold_on", 8, "a"), event("leg.hold_off", 9, "a")]
    events += [event("leg.ended", 10), event("leg.ended", 10, "a")]
    seen = [folded(*events[: n + 1]) for n in range(len(events))]
    held = [leg.status for call in seen for leg in call.legs if leg.status == "held"]

    assert list(dict.fromkeys(call.status for call in seen)) == [
        "created", "waiting", "ringing", "talking", "ended",
    ]  # fmt: skip
    assert held == ["held"]


def test_hold_and_unhold_do_not_have_to_pair() -> None:
    """A repeated Hold keeps the first, an Unhold without Hold is nothing, the end closes."""
    holds = [event("leg.hold_on", at, "a") for at in (8, 9)]
    over = [event("leg.ended", 11, leg) for leg in ("caller", "a")]
    call = folded(*answered(), event("leg.hold_off", 7.5, "a"), *holds, *over)
    agent = next(leg for leg in call.legs if leg.extension)

    assert agent.hold_ms == 3_000


def test_a_call_without_events_of_its_legs_is_closed_by_its_end() -> None:
    """A small PBX posts call.started and call.ended: every leg ends with the call."""
    start = event("call.started", 0, attrs={"direction": "inbound", "number_raw": "1"})
    rings = event("offer.started", 1, "x", peer_leg_key="caller", extension="7")
    call = folded(start, rings, event("leg.ringing", 1, "x"), event("call.ended", 5, None))

    assert (call.status, call.outcome, call.missed) == ("ended", "abandoned", True)
    assert {leg.ended_at for leg in call.legs} == {T0 + timedelta(seconds=5)}


def test_a_queue_that_connects_is_believed_without_the_telephone() -> None:
    """A PBX that tells nothing of the agent's telephone: talking from then on, and answered."""
    told = [
        event("call.started", 0, attrs={"direction": "inbound", "number_raw": "1"}),
        event("queue.entered", 1, queue="sales"),
        event("queue.connected", 9, queue="sales"),
    ]

    def rings(leg: str, at: float) -> list[CallEvent]:
        offer = event("offer.started", at, leg, peer_leg_key="caller", extension="101")
        return [offer, event("leg.ringing", at, leg)]

    talking = folded(*told)
    rang = folded(*told, *rings("a", 3))
    passed_on = folded(*told, *rings("b", 12))
    done = folded(*told, event("queue.completed", 20, queue="sales"))
    over = folded(*told, event("call.ended", 21, None))

    assert [call.status for call in (talking, rang, passed_on, done, over)] == [
        "talking", "talking", "ringing", "created", "ended",
    ]  # fmt: skip
    assert (over.outcome, over.missed, over.wait_ms) == ("answered", False, 8_000)
    assert {call.answered_at for call in (talking, over)} == {T0 + timedelta(seconds=9)}


def test_a_call_is_offered_by_extension() -> None:
    """A telephone that shows as its Local channel first is not offered the call twice."""
    ringing = folded(*in_queue())
    twice = folded(*in_queue(), event("offer.started", 3, "b", extension="101", peer_leg_key="a"),
                   event("leg.ringing", 3, "b"))  # fmt: skip

    assert CallChange(None, ringing).offered == {"101"}
    assert CallChange(ringing, twice).offered == frozenset()
    assert CallChange(None, ringing, repeated=True).offered == frozenset()


def test_events_without_a_telephone_are_no_call() -> None:
    """A caller id, or the echo of a call that ended before we listened, shows nothing."""
    echo = event("party.updated", 1, attrs={"number_raw": "1"})

    assert fold([echo], call_id=CALL_ID) is None


def test_keys_join_transitively() -> None:
    """A names B, B names C: one call, whichever is heard first; another source is another call."""
    first = event("leg.created", 0, "a", call_key="b")
    second = event("leg.created", 1, "c", call_key="d")
    joining = event("call.linked", 2, "b", call_key=None, peer_leg_key="d")
    elsewhere = replace(first, source="other", event_id=UUID(int=7))

    assert len(group_by_call([first, second])) == 2
    assert len(group_by_call([joining, second, first])) == 1
    assert len(group_by_call([first, elsewhere])) == 2


def test_intervals_pair_by_time() -> None:
    """Boundaries need no order; overlaps are counted once; what is open is not counted."""
    at = [T0 + timedelta(seconds=second) for second in range(10)]

    starts, ends = [(at[5], 0), (at[1], 0), (at[2], 0)], [(at[3], 0), (at[4], 0)]
    assert pair(starts, ends, None) == [(at[1], at[3]), (at[5], None)]
    assert pair([(at[5], 0)], [], at[7]) == [(at[5], at[7])]
    assert total_ms([(at[1], at[4]), (at[3], at[5]), (at[6], None)]) == 4_000
    assert intersection((at[1], at[3]), (at[2], None)) == (at[2], at[3])
    assert intersection((at[1], at[3]), (at[3], at[5])) is None  # only touching


def test_an_end_told_in_the_moment_before_its_start_closes_it() -> None:
    """A stay of 3 ms is one in either order; an end without any start near it is nothing."""
    at, later = T0, T0 + timedelta(milliseconds=3)

    assert pair([(at, 0)], [(later, 0)], None) == [(at, later)]
    assert pair([(later, 0)], [(at, 0)], None) == [(at, later)]
    assert pair([(T0 + timedelta(seconds=1), 0)], [(at, 0)], None)[0][1] is None
