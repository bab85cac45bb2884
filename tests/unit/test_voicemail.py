"""Callers who reach a mailbox, as each kind of PBX says it."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from ingest import AsteriskNormaliser, twilio_events
from ingest.framing.ami_messages import AmiMessage
from ingest.model.call_state import CallState
from ingest.normalise.asterisk_snapshot import AsteriskSnapshot
from ingest.normalise.webhook import parse_events
from tests.support.call_truth import calls_of, events_of_recording
from tests.support.scripted_pbx import CALLER, A, B, ScriptedPbx, seconds, talk_seconds
from tests.unit.test_callcenter import CALLER as CHANNEL
from tests.unit.test_callcenter import Core, waiting

NOW = datetime.now(UTC)
BEFORE = ("nothing", "queue", "queue left by key", "telephone")
"""What the caller went through → how the call ends without a mailbox."""
WITHOUT = {"nothing": "abandoned", "queue": "timeout", "queue left by key": "left_queue",
           "telephone": "missed"}  # fmt: skip
TOLD: dict[str, tuple[bool | None, dict[str, str]]] = {
    "SUCCESS": (True, {"Variable": "VMSTATUS", "Value": "SUCCESS"}),
    "FAILED": (False, {"Variable": "VMSTATUS", "Value": "FAILED"}),
    "USEREXIT": (False, {"Variable": "VMSTATUS", "Value": "USEREXIT"}),
    "minivm": (True, {"Variable": "MVM_RECORD_STATUS", "Value": "SUCCESS"}),
    "lamp": (True, {"Mailbox": "100@default", "Waiting": "1", "New": "2"}),
    "lamp off": (None, {"Mailbox": "100@default", "Waiting": "0", "New": "0"}),
    "nothing": (None, {}),
}
"""What the PBX tells of the message → whether there is one."""


def went_through(before: str) -> ScriptedPbx:
    """Return a PBX with a caller whom nobody has answered."""
    pbx = ScriptedPbx()
    if before.startswith("queue"):
        pbx.into_queue()
        pbx.rings(A)
        pbx.at(10)
        pbx.hangup(A, cause="19")
        pbx.send("QueueCallerLeave", CALLER, Queue="sales")
        if before == "queue":
            pbx.send("VarSet", CALLER, Variable="QUEUESTATUS", Value="TIMEOUT")
    else:
        pbx.call_in()
        if before == "telephone":
            pbx.rings(A)
            pbx.at(10)
            pbx.hangup(A, cause="19")
    pbx.at(11)
    return pbx


def tell(pbx: ScriptedPbx, channel: str, fields: dict[str, str]) -> None:
    if fields:
        pbx.send("VarSet" if "Variable" in fields else "MessageWaiting", channel, **fields)


def test_a_recorded_caller_left_a_message() -> None:
    """The queue gave up, which stays so; the call is to be called back."""
    (call,) = calls_of(events_of_recording("l07_queue_timeout_voicemail"))

    assert (call.outcome, call.missed, call.answered_at) == ("voicemail", True, None)
    assert (call.mailbox, call.message_left) == ("100@default", True)
    assert [stint.outcome for stint in call.stints] == ["timeout"]


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize("before", BEFORE)
def test_who_reached_a_mailbox_is_neither_answered_nor_only_missed(before: str, told: str) -> None:
    """Unless the PBX tells that there is no message: then how the call went before says more."""
    pbx = went_through(before)
    left, fields = TOLD[told]
    application = "MinivmRecord" if told == "minivm" else "VoiceMail"

    pbx.send("Newexten", CALLER, Application=application, AppData="100@default&200@other,us")
    pbx.send("Newstate", CALLER, ChannelStateDesc="Up")
    during = pbx.call
    pbx.at(30)
    tell(pbx, CALLER, fields)
    pbx.hangup(CALLER)

    assert (during.status, during.mailbox, during.message_left) == ("created", "100@default", None)
    assert pbx.call.outcome == ("voicemail" if left is not False else WITHOUT[before])
    assert (pbx.call.mailbox, pbx.call.message_left) == ("100@default", left)
    assert pbx.call.missed
    assert [stint.outcome for stint in pbx.call.stints] == (
        {"queue": ["timeout"], "queue left by key": ["key"]}.get(before, [])
    )


@pytest.mark.parametrize("before", BEFORE)
def test_an_operator_behind_the_mailbox_answers(before: str) -> None:
    """Pressing 0 leads out of it again: the call is answered, and still names the mailbox."""
    pbx = went_through(before)
    pbx.send("Newexten", CALLER, Application="VoiceMail", AppData="100@default,o")
    pbx.send("VarSet", CALLER, Variable="VMSTATUS", Value="USEREXIT")
    pbx.at(15)
    pbx.rings(B)
    pbx.at(17)
    pbx.up(B, CALLER)
    pbx.enter("talk", CALLER, B)
    pbx.at(40)
    pbx.hangup(CALLER, B)

    assert (pbx.call.outcome, pbx.call.answered_extension) == ("answered", "302")
    assert (pbx.call.mailbox, pbx.call.missed) == ("100@default", False)


def test_of_several_mailboxes_the_last_is_named() -> None:
    """A message in any of them counts."""
    pbx = went_through("telephone")
    for at, mailbox, status in ((11, "100", "SUCCESS"), (20, "200", "FAILED")):
        pbx.at(at)
        pbx.send("Newexten", CALLER, Application="VoiceMail", AppData=mailbox)
        pbx.at(at + 5)
        pbx.send("VarSet", CALLER, Variable="VMSTATUS", Value=status)
    pbx.hangup(CALLER)

    assert (pbx.call.outcome, pbx.call.mailbox, pbx.call.message_left) == ("voicemail", "200", True)


@pytest.mark.parametrize("told", TOLD)
def test_an_employee_who_listens_to_messages_has_left_none(told: str) -> None:
    """VoiceMailMain is no mailbox that was reached, although the lamp changes on its channel."""
    pbx = ScriptedPbx()
    pbx.new(A, of=A, number="301")
    pbx.send("Newexten", A, Application="VoiceMailMain", AppData="301@default")
    tell(pbx, A, TOLD[told][1])
    pbx.hangup(A)

    assert (pbx.call.direction, pbx.call.outcome) == ("internal", "unknown")
    assert (pbx.call.mailbox, pbx.call.message_left) == (None, None)


@pytest.mark.parametrize("telephone", [True, False])
@pytest.mark.parametrize("queue", [True, False])
def test_a_mailbox_in_an_agents_place_answers_for_nobody(telephone: bool, queue: bool) -> None:
    """Behind a member's pair the mailbox picks up, and the queue takes it for the member."""
    pbx = ScriptedPbx()
    pbx.into_queue() if queue else pbx.call_in()
    near, far = pbx.pair("301@from-queue")
    pbx.dial(CALLER, near)
    if telephone:
        pbx.rings(A, by=far)
        pbx.at(5)
        pbx.hangup(A, cause="19")
    pbx.at(6)
    pbx.send("Newexten", far, Application="VoiceMail", AppData="301@default,u")
    pbx.up(near, CALLER)
    if queue:
        pbx.answered(near)
    else:
        pbx.enter("talk", near, CALLER)
    pbx.at(20)
    pbx.send("VarSet", far, Variable="VMSTATUS", Value="SUCCESS")
    pbx.hangup(CALLER, near, far)

    assert (pbx.call.outcome, pbx.call.mailbox) == ("voicemail", "301@default")
    assert (pbx.call.answered_extension, pbx.call.talk_ms, pbx.call.answered_at) == (None,) * 3
    assert [stint.outcome for stint in pbx.call.stints] == (["key"] if queue else [])


@pytest.mark.parametrize("inside", [True, False])
def test_whom_a_conversation_sends_to_a_mailbox_had_answered(inside: bool) -> None:
    """The conversation before it counts, that with the mailbox does not."""
    pbx = ScriptedPbx()
    called = B if inside else "PJSIP/trunk-00000009"
    pbx.new(A, of=A, number="301")
    pbx.new(called, of=A)
    pbx.send("DialBegin", A, called, DialString="302" if inside else "trunk/0671234567")
    pbx.ring(called)
    pbx.at(3)
    pbx.up(called, A)
    pbx.enter("talk", called, A)
    pbx.at(60)
    pbx.send("BlindTransfer", TransfererChannel=A, TransfererUniqueid=A, TransfererLinkedid=A,
             TransfereeChannel=called, TransfereeUniqueid=called, TransfereeLinkedid=A,
             Extension="*303", Result="Success")  # fmt: skip
    pbx.leave(called, A)
    pbx.hangup(A)
    pbx.at(62)
    pbx.send("Newexten", called, Application="VoiceMail", AppData="303@default,u")
    pbx.at(80)
    pbx.send("VarSet", called, Variable="VMSTATUS", Value="SUCCESS")
    pbx.send("HangupRequest", called)
    pbx.hangup(called)

    call, whole = pbx.call, {"301": 57, "302": 57} if inside else {"301": 57}
    assert (call.outcome, seconds(call.talk_ms), talk_seconds(call)) == ("answered", 57, whole)
    assert (call.mailbox, call.message_left) == ("303@default", True)
    assert {leg.ended_reason for leg in call.legs} == {"completed"}


def test_whatever_the_order_the_call_is_the_same() -> None:
    """All events of a call into a mailbox, shuffled and repeated."""
    pbx = went_through("queue")
    pbx.send("Newexten", CALLER, Application="VoiceMail", AppData="100")
    pbx.send("VarSet", CALLER, Variable="VMSTATUS", Value="SUCCESS")
    pbx.hangup(CALLER)
    expected, dice = pbx.calls, random.Random(7)

    for _ in range(50):
        heard = dice.sample(pbx.heard, len(pbx.heard))
        assert calls_of([*heard, *dice.choices(heard, k=9)]) == expected


def test_a_snapshot_finds_who_is_in_a_mailbox() -> None:
    """Asked when the gateway connects in mid-call."""
    snapshot = AsteriskSnapshot("pbx", "t")
    snapshot.accept(
        AmiMessage((
            ("Event", "CoreShowChannel"), ("ActionID", "t-CoreShowChannels"), ("Uniqueid", "1.1"),
            ("Channel", "PJSIP/trunk-1"), ("ChannelStateDesc", "Up"), ("Linkedid", "1.1"),
            ("Application", "VoiceMail"), ("ApplicationData", "100@default,u"),
        ))
    )  # fmt: skip

    (call,) = calls_of(list(snapshot.result(NOW).facts))

    assert call.mailbox == "100@default"


SAID = {
    "left": (True, {"variable_last_arg": "default ua 100", "variable_voicemail_account": "100",
                    "variable_voicemail_message_len": "00:00:07"}),
    "left, then hung up by the dialplan": (
        True, {"variable_last_app": "hangup", "variable_voicemail_account": "100",
               "variable_voicemail_message_len": "00:00:07"}),
    "none": (False, {"variable_last_arg": "default ua 100"}),
}  # fmt: skip


@pytest.mark.parametrize("queue", [True, False])
@pytest.mark.parametrize("said", SAID)
def test_freeswitch_tells_when_the_channel_ends(said: str, queue: bool) -> None:
    """By the channel's last application, and by what mod_voicemail has set."""
    left, fields = SAID[said]
    core = waiting() if queue else Core()
    if queue:
        core.queue(9, "member-queue-end", CC_Cause="Cancel", CC_Cancel_Reason="TIMEOUT")
    else:
        core.say(0, "CHANNEL_CREATE", CHANNEL, Call_Direction="inbound",
                 Channel_Name="sofia/external/trunk")  # fmt: skip
    core.say(30, "CHANNEL_HANGUP_COMPLETE", CHANNEL,
             **{"variable_last_app": "voicemail", **fields})  # fmt: skip

    assert (core.call.mailbox, core.call.message_left) == ("100", left)
    assert core.call.outcome == ("voicemail" if left else "timeout" if queue else "abandoned")
    assert core.call.missed


@pytest.mark.parametrize("arguments", ["check default ua 1001", "check auth default ua", "check"])
@pytest.mark.parametrize("length", ["", "00:00:07"])
def test_who_listens_in_freeswitch_has_reached_no_mailbox(arguments: str, length: str) -> None:
    """`voicemail check`, which sets the same variables when it sends a message on."""
    core = Core()
    core.say(0, "CHANNEL_CREATE", "a", Call_Direction="inbound",
             Channel_Name="sofia/internal/1001@10.0.0.9", variable_user_name="1001")  # fmt: skip
    core.say(9, "CHANNEL_HANGUP_COMPLETE", "a", variable_last_app="voicemail",
             variable_last_arg=arguments, variable_voicemail_message_len=length)  # fmt: skip

    assert core.call.mailbox is None


def posted(*items: dict[str, Any]) -> CallState:
    at = NOW.isoformat()
    parsed = parse_events(
        [{"occurred_at": at, "call_key": "c", **item} for item in items], source="pbx"
    )
    assert not parsed.rejected
    (call,) = calls_of(parsed.events)
    return call


@pytest.mark.parametrize(("message", "left"), [("left", True), ("none", False), (None, None)])
@pytest.mark.parametrize("leg", [{}, {"leg_key": "c"}])
def test_a_pbx_that_posts_says_it(message: str | None, left: bool | None, leg: Any) -> None:
    """Without a leg it is the caller."""
    ended = [{"type": "voicemail.ended", **leg, "attrs": {"message": message}}] if message else []

    call = posted(
        {"type": "call.started", "attrs": {"number": "+380671234567"}},
        {"type": "voicemail.started", **leg, "attrs": {"mailbox": "100"}},
        *ended,
        {"type": "call.ended"},
    )

    assert (call.mailbox, call.message_left) == ("100", left)
    assert call.outcome == ("abandoned" if left is False else "voicemail")


def test_an_unknown_word_for_a_message_is_refused() -> None:
    """As other attributes with a choice of values."""
    item = {"type": "voicemail.ended", "occurred_at": NOW.isoformat(), "call_key": "c",
            "attrs": {"message": "maybe"}}  # fmt: skip

    (refused,) = parse_events([item], source="pbx").rejected

    assert refused.code == "event.invalid"


@pytest.mark.parametrize(("source", "status"), list(itertools.product(
    ["RecordVerb", "DialVerb", "OutboundAPI", ""], ["completed", "absent"])))  # fmt: skip
def test_twilio_records_a_message_by_its_own_verb(source: str, status: str) -> None:
    """`<Record>` records the caller alone; other recordings are of conversations."""
    sid = "CA" + "1" * 32
    said = {"CallSid": sid, "RecordingSid": "RE" + "1" * 32, "RecordingStatus": status,
            "RecordingUrl": "https://api.twilio.com/r", "RecordingSource": source,
            "RecordingStartTime": NOW.strftime("%a, %d %b %Y %H:%M:%S +0000")}  # fmt: skip
    call = {"CallSid": sid, "Direction": "inbound", "From": "+380671234567", "To": "+380442223344"}
    events = [
        event
        for fields in (
            {**call, "CallStatus": "ringing"}, said, {**call, "CallStatus": "completed"},
        )
        for event in twilio_events(fields, source="pbx", received_at=NOW)
    ]  # fmt: skip

    (found,) = calls_of(events)

    left = status == "completed" if source == "RecordVerb" else None
    assert (found.mailbox, found.message_left) == ("" if left is not None else None, left)
    assert found.outcome == ("voicemail" if left else "abandoned")


def test_asterisk_is_asked_for_no_other_application() -> None:
    """Newexten is sent for each step of a dialplan; the normaliser reads two kinds of it."""

    def read(application: str) -> int:
        fields = (("Event", "Newexten"), ("Uniqueid", "1"), ("Application", application))
        return len(AsteriskNormaliser("pbx").events(AmiMessage(fields), NOW))

    assert [read(one) for one in ("VoiceMail", "MinivmRecord", "Queue")] == [1, 1, 1]
    assert [read(one) for one in ("VoiceMailMain", "Playback", "Dial", "MinivmMWI")] == [0] * 4
