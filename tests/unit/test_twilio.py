"""Twilio's callbacks: their signature, and what calls they make in any order."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from ingest import (
    CallState,
    InvalidCallback,
    InvalidSignature,
    fold,
    sign_twilio,
    twilio_events,
    verify_twilio,
)

URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FIELDS = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
    ("Caller", "+14158675309"),
]
TOKEN = "12345"
SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
AT = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)


def test_the_published_vectors_are_signed_alike() -> None:
    """Twilio's own example, and the one with a name that comes twice."""
    twice = [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234")]

    assert sign_twilio(URL, FIELDS, token=TOKEN) == SIGNATURE
    assert sign_twilio(URL, twice, token=TOKEN) == "IK+Dwps556ElfBT0I3Rgjkr1wJU="


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        (URL, SIGNATURE),
        (URL.replace(".com", ".com:1234"), SIGNATURE),
        (URL.replace("https://mycompany.com", "http://mycompany.com:1234"),
         "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
        (URL, "kvajT1Ptam85bY51eRf/AJRuM3w="),
        (URL.replace("https", "http"), "0ZXoZLH/DfblKGATFgpif+LLRf4="),
    ],
    ids=["plain", "https without its port", "http with its port", "with 443", "with 80"],
)  # fmt: skip
def test_a_port_may_be_signed_or_not(url: str, signature: str) -> None:
    """Twilio's own vectors; any token of two will do while one replaces the other."""
    verify_twilio(url, FIELDS, signature=signature, tokens=["another", TOKEN])


@pytest.mark.parametrize(
    "changes",
    [
        {"url": URL.replace("bar=2", "bar=3")},
        {"fields": [*FIELDS, ("CallStatus", "completed")]},
        {"fields": FIELDS[1:]},
        {"signature": SIGNATURE.lower()},
        {"signature": ""},
        {"signature": None},
        {"signature": "сигнатура"},
        {"tokens": ["1234"]},
        {"tokens": []},
    ],
    ids=["url", "added", "removed", "case", "empty", "none", "odd", "token", "no token"],
)
def test_whatever_is_changed_is_noticed(changes: dict[str, Any]) -> None:
    """No field, address or token can be another one."""
    given: dict[str, Any] = {
        "url": URL,
        "fields": FIELDS,
        "signature": SIGNATURE,
        "tokens": [TOKEN],
    }
    given |= changes

    with pytest.raises(InvalidSignature):
        verify_twilio(given.pop("url"), given.pop("fields"), **given)


def callback(status: str, after_s: int, **fields: str) -> dict[str, str]:
    at = (AT + timedelta(seconds=after_s)).strftime("%a, %d %b %Y %H:%M:%S +0000")
    return {
        "CallSid": "CAparent", "Direction": "inbound", "From": "+380671234567",
        "To": "+380441110001", "CallStatus": status, "Timestamp": at,
        "CallbackSource": "call-progress-events", "SequenceNumber": "0",
    } | fields  # fmt: skip


def dialled(status: str, after_s: int, number: int, **fields: str) -> dict[str, str]:
    """Say what happens at the agent's telephone, which <Dial> rang."""
    agent = {
        "CallSid": "CAchild", "ParentCallSid": "CAparent", "Direction": "outbound-dial",
        "To": "client:101", "SequenceNumber": str(number),
    }  # fmt: skip
    return callback(status, after_s, **agent, **fields)


ANSWERED = [
    dialled("initiated", 1, 0),
    dialled("ringing", 1, 1),
    dialled("in-progress", 6, 2),
    dialled("completed", 36, 3, CallDuration="30"),
    callback("completed", 36, CallDuration="36"),
]


def folded(callbacks: list[dict[str, str]]) -> CallState:
    events = [
        event
        for fields in callbacks
        for event in twilio_events(fields, source="tw", received_at=AT, region="UA")
    ]
    call = fold(events, call_id=UUID(int=0))
    assert call is not None
    return call


def test_an_answered_call_consists_of_its_two_parts() -> None:
    """Who called, who answered, for how long they talked."""
    call = folded(ANSWERED)

    assert (call.direction, call.status, call.outcome) == ("inbound", "ended", "answered")
    assert (call.number_e164, call.answered_extension) == ("+380671234567", "101")
    assert call.talk_ms == 30_000
    agent = next(leg for leg in call.legs if leg.extension)
    assert (agent.ringing_at, agent.ended_reason) == (AT + timedelta(seconds=1), "completed")


def test_any_order_and_repetition_make_the_same_call() -> None:
    """Twilio promises no order, and sends again what was not answered in time."""
    expected = folded(ANSWERED)

    for order in itertools.permutations(ANSWERED):
        assert folded([*order, order[0]]) == expected


@pytest.mark.parametrize(
    ("status", "reason"),
    [("busy", "busy"), ("no-answer", "no_answer"), ("failed", "failed"), ("canceled", "canceled")],
)
def test_who_did_not_answer_missed_the_call(status: str, reason: str) -> None:
    """The agent's telephone rang in vain; the customer is to be called back."""
    call = folded([*ANSWERED[:2], dialled(status, 20, 2), callback("completed", 21)])

    agent = next(leg for leg in call.legs if leg.extension)
    assert agent.ended_reason == reason
    assert call.missed


def test_the_default_subscription_is_enough_for_the_record() -> None:
    """Only `completed`: when it was answered follows from how long it lasted."""
    call = folded([ANSWERED[3], ANSWERED[4]])

    assert call.talk_ms == 30_000
    assert call.answered_extension == "101"


@pytest.mark.parametrize(
    "changes",
    [
        {"CallSid": ""},
        {"CallSid": "CA" * 40},
        {"CallSid": "a\0b"},
        {"ParentCallSid": "a b"},
        {"CallStatus": "dancing"},
        {"Timestamp": "yesterday"},
        {"Timestamp": "Sat, 22 Nov 2014 10:00:00 +0000"},
        {"Timestamp": "Sat, 22 Nov 2036 10:00:00 +0000"},
        {"Timestamp": "Sat, 22 Nov 99999 10:00:00 +0000"},
    ],
    ids=["no sid", "long sid", "nul", "parent", "status", "time", "old", "future", "year"],
)
def test_what_is_no_callback_is_refused(changes: dict[str, str]) -> None:
    """Signed, and yet of no use."""
    with pytest.raises(InvalidCallback):
        twilio_events(callback("completed", 0) | changes, source="tw", received_at=AT)


def test_a_call_that_a_program_placed_is_no_missed_call() -> None:
    """Nobody of ours has a leg in it: outbound, over, and nobody to call back."""
    placed = {"Direction": "outbound-api", "From": "+16465550100", "To": "+551130000000"}
    call = folded([callback("completed", 49, CallDuration="49", **placed)])

    assert (call.direction, call.status, call.missed) == ("outbound", "ended", False)
    assert (call.started_at, call.ended_at) == (AT, AT + timedelta(seconds=49))
