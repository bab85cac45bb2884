"""mod_callcenter's calls: an agent who is rung for a caller is a part of the caller's call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.model.call_state import CallState
from ingest.model.events import CallEvent
from ingest.normalise.freeswitch import FreeswitchNormaliser
from tests.support.call_truth import calls_of
from tests.support.scripted_pbx import NUMBER, leg_of_extension, seconds, talk_seconds

T0 = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
CALLER, A, B = "caller", "agent-a", "agent-b"


class Core:
    """Says what a FreeSWITCH would."""

    def __init__(self) -> None:
        self._normaliser = FreeswitchNormaliser("core", region="UA")
        self._told = 0
        self.heard: list[CallEvent] = []

    def say(self, at: float, name: str, uuid: str = "", **fields: str) -> None:
        """Tell an event; underscores stand for hyphens but in variables."""
        self._told += 1
        told = {"Event-Name": name, "Unique-ID": uuid, "Event-Sequence": str(self._told)}
        for field, value in fields.items():
            told[field if field.startswith("variable") else field.replace("_", "-")] = value
        self.heard += self._normaliser.events(told, T0 + timedelta(seconds=at))

    def queue(self, at: float, action: str, **fields: str) -> None:
        fields = {"CC_Queue": "sales", **fields}
        self.say(at, "CUSTOM", Event_Subclass="callcenter::info", CC_Action=action,
                 CC_Member_Session_UUID=CALLER, **fields)  # fmt: skip

    def ring(self, at: float, uuid: str, extension: str) -> None:
        """mod_callcenter rings an agent: without an originator, as there is no session."""
        self.say(at, "CHANNEL_CREATE", uuid, Call_Direction="outbound", Channel_Call_UUID=uuid,
                 Channel_Name=f"sofia/internal/{extension}@10.0.0.9", variable_cc_side="agent",
                 variable_cc_member_session_uuid=CALLER)  # fmt: skip
        self.say(at, "CHANNEL_PROGRESS", uuid, Call_Direction="outbound")

    def hangup(self, at: float, uuid: str, cause: str = "NORMAL_CLEARING") -> None:
        self.say(at, "CHANNEL_HANGUP_COMPLETE", uuid, Hangup_Cause=cause)

    @property
    def call(self) -> CallState:
        (call,) = calls_of(self.heard)
        return call


def waiting() -> Core:
    """A caller in the queue."""
    core = Core()
    core.say(0, "CHANNEL_CREATE", CALLER, Call_Direction="inbound", Channel_Call_UUID=CALLER,
             Channel_Name="sofia/external/trunk", Caller_Caller_ID_Number=NUMBER)  # fmt: skip
    core.queue(0, "member-queue-start")
    return core


def test_agents_who_are_rung_for_a_caller_ring_in_his_call() -> None:
    """1001 does not answer, 1002 does; each sees who calls while it rings."""
    core = waiting()
    core.ring(1, A, "1001")
    ringing = core.call
    core.hangup(6, A, "NO_ANSWER")
    core.ring(7, B, "1002")
    core.say(9, "CHANNEL_ANSWER", B)
    core.queue(9, "bridge-agent-start", CC_Agent_UUID=B)
    core.say(9, "CHANNEL_BRIDGE", CALLER, Bridge_A_Unique_ID=CALLER, Bridge_B_Unique_ID=B)
    core.hangup(15, B)
    core.hangup(15, CALLER)

    assert (ringing.status, ringing.number_raw) == ("ringing", NUMBER)
    assert ringing.ringing == {"1001"}
    assert (core.call.outcome, core.call.answered_extension) == ("answered", "1002")
    assert leg_of_extension(core.call, "1001").ended_reason == "no_answer"
    assert talk_seconds(core.call) == {"1002": 6}
    assert seconds(core.call.wait_ms) == 9


def test_an_agent_who_still_rings_as_the_caller_gives_up_missed_nothing_of_his_own() -> None:
    """One call, abandoned; no second one between nobody and 1001."""
    core = waiting()
    core.ring(1, A, "1001")
    core.hangup(6, A, "ORIGINATOR_CANCEL")
    core.queue(6, "member-queue-end", CC_Cause="Cancel", CC_Cancel_Reason="BREAK_OUT")
    core.hangup(6, CALLER)

    assert (core.call.outcome, core.call.missed) == ("abandoned", True)
    assert leg_of_extension(core.call, "1001").ended_reason == "canceled"


GONE = {-0.4: "abandoned", 0: "abandoned", 0.02: "abandoned", 1.5: "abandoned",
        2.5: "key", 15: "key", 3_600: "key"}  # fmt: skip
"""Seconds from leaving the queue until the caller's channel ends → how the stay ended."""


@pytest.mark.parametrize(("lives", "outcome"), GONE.items())
def test_how_a_broken_out_caller_goes_on_says_why_they_left(lives: float, outcome: str) -> None:
    """Who hangs up has given up; who is transferred out of the queue has left it."""
    core = waiting()
    core.ring(1, A, "1001")
    core.hangup(5, A, "ORIGINATOR_CANCEL")
    if lives < 0:
        core.hangup(6 + lives, CALLER)
    core.queue(6, "member-queue-end", CC_Cause="Cancel", CC_Cancel_Reason="BREAK_OUT")
    if lives >= 0:
        core.hangup(6 + lives, CALLER)

    (stint,) = core.call.stints
    assert (stint.outcome, seconds(stint.wait_ms)) == (outcome, 6)
    assert core.call.outcome == ("abandoned" if outcome == "abandoned" else "left_queue")


def test_while_a_broken_out_callers_channel_lives_nothing_is_decided() -> None:
    """Until two seconds have passed: then they have left the queue and not hung up."""
    core = waiting()
    core.queue(6, "member-queue-end", CC_Cause="Cancel", CC_Cancel_Reason="BREAK_OUT")
    at_once = core.call
    core.ring(9, A, "1001")

    assert [stint.outcome for stint in at_once.stints] == [None]
    assert [stint.outcome for stint in core.call.stints] == ["key"]


def test_a_caller_broken_out_into_another_queue_has_left_the_first() -> None:
    """Even if they hang up right after that: it is the second queue that they abandon."""
    core = waiting()
    core.queue(6, "member-queue-end", CC_Cause="Cancel", CC_Cancel_Reason="BREAK_OUT")
    core.queue(6.1, "member-queue-start", CC_Queue="support")
    core.queue(6.9, "member-queue-end", CC_Queue="support", CC_Cause="Cancel",
               CC_Cancel_Reason="BREAK_OUT")  # fmt: skip
    core.hangup(7, CALLER)

    stints = [(stint.queue, stint.outcome) for stint in core.call.stints]
    assert stints == [("sales", "key"), ("support", "abandoned")]


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [("TIMEOUT", "timeout"), ("NO_AGENT_TIMEOUT", "leave_empty"), ("EXIT_WITH_KEY", "key")],
)
@pytest.mark.parametrize("lives", [0, 15])
def test_a_reason_that_the_queue_gives_needs_no_guess(
    reason: str, outcome: str, lives: float
) -> None:
    """However soon the caller hangs up after it."""
    core = waiting()
    core.queue(6, "member-queue-end", CC_Cause="Cancel", CC_Cancel_Reason=reason)
    core.hangup(6 + lives, CALLER)

    assert [stint.outcome for stint in core.call.stints] == [outcome]


def test_a_caller_who_was_connected_has_not_given_up() -> None:
    """Whatever reason the end of waiting has."""
    core = waiting()
    core.ring(1, A, "1001")
    core.say(3, "CHANNEL_ANSWER", A)
    core.queue(3, "bridge-agent-start", CC_Agent_UUID=A)
    core.queue(9, "member-queue-end", CC_Cause="Cancel", CC_Cancel_Reason="BREAK_OUT")
    core.hangup(9, A)
    core.hangup(9, CALLER)

    assert [stint.outcome for stint in core.call.stints] == ["connected"]
