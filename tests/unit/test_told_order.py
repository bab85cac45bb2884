"""Events of one time keep the order in which they were told; between different times it is nothing.

Many PBXs report whole seconds. A second implementation, which walks through what was told, says
what is right; the fold receives the same in another order of arrival.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import groupby
from typing import Any

import orjson
import pytest

from ingest import group_by_call
from ingest.fold.agent_marks import current_marks
from ingest.fold.event_log import EventLog
from ingest.fold.fold import fold
from ingest.model.call_state import CallState
from ingest.model.events import CallEvent, EventType, number
from tests.support.amounts import seeds, tries
from tests.support.call_truth import CALL_ID, calls_of, events_of_recording, names
from tests.unit.test_agent_pauses import sent
from tests.unit.test_fold import T0, event

Stay = tuple[str, float, float, str]
"""Queue, beginning, end, outcome."""


@dataclass
class ScriptedCaller:
    """What a PBX tells of one call, in whole seconds."""

    dice: random.Random
    now: int = 0
    events: list[CallEvent] = field(default_factory=list)
    stays: list[Stay] = field(default_factory=list)

    def tell(self, kind: EventType, leg: str = "caller", **fields: Any) -> None:
        """Tell of something; it may be in the same second as the last."""
        at = len(self.events) / 1e9  # equal events of one second are still two
        fields["attrs"] = {**fields.get("attrs", {}), "mode": str(at)}
        self.events.append(event(kind, self.now, leg, **fields))

    def wait(self, least: int = 0) -> None:
        self.now += max(least, self.dice.choice((0, 0, 0, 1, 3, 20)))

    def folded(self) -> CallState:
        """Number the events as they were told, and fold them in another order of arrival."""
        number(self.events, 1)
        arrived = list(self.events)
        self.dice.shuffle(arrived)
        call = fold(arrived, call_id=CALL_ID)
        assert call is not None
        return call


def queued(dice: random.Random) -> ScriptedCaller:
    """Tell of a caller who goes from queue to queue."""
    told = ScriptedCaller(dice)
    told.tell("leg.created", attrs={"number_raw": "0671112233"})
    for _ in range(dice.randrange(1, 6)):
        queue, entered = dice.choice("stu"), told.now
        told.tell("queue.entered", queue=queue)
        told.wait()
        how = dice.choice(("timeout", "key", "withdrawn", "connected"))
        left = told.now
        if how == "connected":
            told.tell("queue.left", queue=queue)
            told.tell("queue.connected", queue=queue, peer_leg_key="agent")
        elif how == "key":
            told.tell("queue.left", queue=queue)
        else:
            reason = {"attrs": {"outcome": how}, "queue": dice.choice((queue, None))}
            leaving: list[tuple[EventType, dict[str, Any]]] = [
                ("queue.outcome", reason),
                ("queue.left", {"queue": queue}),
            ]
            dice.shuffle(leaving)
            for kind, fields in leaving:
                told.tell(kind, **fields)
        told.stays.append((queue, entered, left, how))
        told.wait()
    told.wait(least=60)
    told.tell("leg.ended", attrs={"cause": 16})
    return told


@seeds(60, 300)
def test_stays_in_queues_are_those_that_were_told(seed: int) -> None:
    """A caller who leaves one queue and enters another in one second stayed in both."""
    told = queued(random.Random(seed))

    call = told.folded()

    assert [
        (stint.queue, stint.entered_at, stint.answered_at or stint.left_at, stint.outcome)
        for stint in call.stints
    ] == [
        (queue, T0 + timedelta(seconds=entered), T0 + timedelta(seconds=left), how)
        for queue, entered, left, how in told.stays
    ]


def test_a_timeout_and_the_next_queue_in_one_second_are_two_stays() -> None:
    """20 s in the first until its timeout, 5 s in the second until its answer; nobody gave up."""
    told = ScriptedCaller(random.Random(1))
    told.tell("call.started", attrs={"direction": "inbound", "number_raw": "0671112233"})
    told.tell("queue.entered", queue="s")
    told.now = 20
    told.tell("queue.outcome", queue="s", attrs={"outcome": "timeout"})
    told.tell("queue.left", queue="s")
    told.tell("queue.entered", queue="t")
    told.now = 25
    told.tell("leg.answered", "a", extension="101", peer_leg_key="caller")
    told.tell("queue.connected", queue="t", peer_leg_key="a")
    told.now = 80
    told.tell("call.ended")

    first, second = told.folded().stints

    assert (first.queue, first.outcome, first.wait_ms) == ("s", "timeout", 20_000)
    assert (second.queue, second.outcome, second.wait_ms) == ("t", "connected", 5_000)


def switched(dice: random.Random, on: EventType, off: EventType) -> tuple[ScriptedCaller, int]:
    """Tell that something begins and ends, in any second; return for how long it was on."""
    told, lasted = ScriptedCaller(dice), 0
    since: int | None = None
    told.tell("leg.created", attrs={"number_raw": "0671112233"})
    told.tell("offer.started", "a", extension="101", peer_leg_key="caller")
    told.tell("leg.answered", "a")
    if on != "bridge.joined":
        told.tell("bridge.joined", "a", attrs={"bridge": "b"})
    for _ in range(dice.randrange(1, 12)):
        begins = dice.random() < 0.5
        told.tell(on if begins else off, "a", attrs={"bridge": "b"})
        if begins:
            since = told.now if since is None else since
        elif since is not None:
            lasted += told.now - since
            since = None
        told.wait()
    if since is not None:
        lasted += told.now - since
    for leg in ("a", "caller"):
        told.tell("leg.ended", leg, attrs={"cause": 16})
    return told, lasted


@seeds(25, 100)
def test_holds_last_as_they_were_told(seed: int) -> None:
    """A hold that ends in the second of its beginning does not last until the end of the call."""
    told, held = switched(random.Random(seed), "leg.hold_on", "leg.hold_off")

    (leg,) = (leg for leg in told.folded().legs if leg.leg_key == "a")

    assert (leg.hold_ms or 0) == held * 1_000


@seeds(25, 100)
def test_conversations_last_as_they_were_told(seed: int) -> None:
    """Whoever leaves and comes back in one second goes on talking."""
    told, talked = switched(random.Random(seed), "bridge.joined", "bridge.left")

    (leg,) = (leg for leg in told.folded().legs if leg.leg_key == "a")

    assert (leg.talk_ms or 0) == talked * 1_000


def test_a_recording_goes_on_if_that_was_told_last() -> None:
    """Stopped and started again in one second; the other way round it is over."""

    def state(*kinds: EventType) -> str:
        told = ScriptedCaller(random.Random(1))
        told.tell("leg.created", attrs={"number_raw": "0671112233"})
        for kind in kinds:
            told.tell(kind, attrs={"recording": "r"})
        return told.folded().recordings[0].state

    assert state("recording.started", "recording.stopped", "recording.started") == "recording"
    assert state("recording.started", "recording.started", "recording.stopped") == "stopped"


@seeds(10, 50)
def test_an_agent_is_what_was_told_last(seed: int) -> None:
    """Paused and back within one second, signed in and out: in the order of the PBX."""
    dice = random.Random(seed)
    kinds = [dice.choice(("paused", "unpaused", "login", "logoff")) for _ in range(6)]
    told = [sent(kind, 1) for kind in kinds]
    number(told, 1)
    arrived = dice.sample(told, k=len(told))

    stands = current_marks(arrived)["sales"]

    paused, logged_in = False, None
    for kind in kinds:
        paused = kind == "paused" or (paused and kind == "login")
        logged_in = {"login": True, "logoff": False}.get(kind, logged_in)
    assert (stands.paused, stands.logged_in) == (paused, logged_in)


def copies(events: list[CallEvent]) -> list[CallEvent]:
    """Return events that were not numbered yet."""
    return [replace(one, told=None) for one in events]


@tries(4, 20)
@pytest.mark.parametrize("name", names())
def test_numbers_decide_only_between_equal_times(name: str, tries: int) -> None:
    """However the seconds of a recording arrive, what was told of one time keeps its order."""
    recorded = copies(events_of_recording(name))
    number(recorded, 1)
    expected = orjson.dumps(calls_of(recorded))
    dice = random.Random(name)

    recorded.sort(key=lambda one: (one.occurred_at, one.told))
    for _ in range(tries):
        moments = [list(some) for _, some in groupby(recorded, key=lambda one: one.occurred_at)]
        dice.shuffle(moments)
        arrived = copies([one for some in moments for one in some])
        number(arrived, 1)
        assert orjson.dumps(calls_of(arrived)) == expected


@pytest.mark.parametrize("name", names())
def test_recordings_fold_as_before_when_they_are_numbered(name: str) -> None:
    """The order of telling and the order of causes agree, so nothing depends on the upgrade."""
    recorded = copies(events_of_recording(name))
    before = orjson.dumps(calls_of(recorded))
    number(recorded, 1)

    assert orjson.dumps(calls_of(recorded)) == before


def test_unnumbered_events_come_first_at_their_time() -> None:
    """A node of an earlier release stored them; in pieces and at once the order is one."""
    old = event("queue.entered", 1, queue="s")
    new = event("queue.left", 1, queue="s")
    number([new], 7)

    whole, pieces = EventLog([new, old]), EventLog([new])
    pieces.add([old])

    assert [one.type for one in whole.events] == ["queue.entered", "queue.left"]
    assert whole.events == pieces.events
    assert len(group_by_call([new, old])) == 1


def test_two_caller_ids_of_one_time_without_numbers_are_one_caller_in_any_order() -> None:
    """Which of them is shown matters less than that a rebuilt call shows the same."""
    ids = [
        event("party.updated", 1, attrs={"number_raw": number, "name": number})
        for number in ("0671112233", "0442223344", "0933334455", "0507776655")
    ]
    begun = event("leg.created", 0)

    one, other = (fold([begun, *told], call_id=CALL_ID) for told in (ids, ids[::-1]))

    assert one == other
