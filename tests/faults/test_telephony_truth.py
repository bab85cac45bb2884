"""A good history of calls made wrong in each way: every mutant is named by its rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from ingest import AsteriskNormaliser, CallEvent, fold, parse_events
from ingest.framing.ami_messages import AmiParser
from loadtests.ami_calls import AmiCall
from loadtests.generated_events import EventGenerator
from tests.faults import telephony_truth as truth
from tests.faults.telephony_truth import (
    OFFICE,
    WEB,
    PostedCall,
    Recovery,
    StoredTelephony,
    TelephonyRecord,
)


def rung(number: int, *, answers: bool) -> tuple[PostedCall, list[CallEvent]]:
    """Return a call as its PBX told it, and what was heard."""
    one = PostedCall(AmiCall(number, "101"), answers)
    parser, normaliser = AmiParser(), AsteriskNormaliser(OFFICE)
    parser.feed(b"Asterisk Call Manager/5.0\r\n")
    heard: list[CallEvent] = []
    for part in ("ringing", "answered", "ended") if answers else ("ringing", "given_up"):
        at = datetime.now(UTC)
        one.told.append((part, at))
        for message in parser.feed(getattr(one.call, part)()):
            heard += normaliser.events(message, at)
    return one, heard


def good() -> tuple[TelephonyRecord, StoredTelephony]:
    """Return a history in which nothing went wrong."""
    told, stored = TelephonyRecord(), StoredTelephony()
    maker = EventGenerator(1, in_progress=5)
    told.acknowledged = maker.take(250) + maker.finish()
    calls: dict[tuple[str, str], list[CallEvent]] = {}
    for event in parse_events(told.acknowledged, source=WEB, region="UA").events:
        stored.web[event.event_id] += 1
        calls.setdefault((WEB, event.call_key or ""), []).append(event)
    for number in range(1, 13):
        one, heard = rung(number, answers=number % 3 != 0)
        told.rung.append(one)
        stored.office += Counter((event.leg_key or "", event.type) for event in heard)
        calls[OFFICE, one.call.caller_id] = heard
    for key, events in calls.items():
        if state := fold(events, call_id=uuid4(), version=3):  # of some only the end was told
            stored.calls[key] = state
    told.recoveries = [Recovery("fault 0, pbx_cut", 1, 2.0)]
    told.grown_mib = {0: 3.0}
    return told, stored


def test_a_good_history_violates_nothing() -> None:
    """Nothing is said against it."""
    assert not any(truth.check(*good(), faults=1).values())


def unheard(_: TelephonyRecord, stored: StoredTelephony) -> None:
    del stored.office[AmiCall(1, "101").agent_id, "leg.answered"]


def lost(told: TelephonyRecord, stored: StoredTelephony) -> None:
    (event,) = parse_events(told.acknowledged[:1], source=WEB, region="UA").events
    del stored.web[event.event_id]


def twice(_: TelephonyRecord, stored: StoredTelephony) -> None:
    stored.web[next(iter(stored.web))] += 1


def refused(told: TelephonyRecord, _: StoredTelephony) -> None:
    told.refused.append("500")


def posted_wrong(told: TelephonyRecord, stored: StoredTelephony) -> None:
    key = WEB, str(told.acknowledged[0]["call_key"])
    stored.calls[key] = replace(stored.calls[key], queue="another")


def heard_wrong(_: TelephonyRecord, stored: StoredTelephony) -> None:
    key = OFFICE, AmiCall(1, "101").caller_id
    stored.calls[key] = replace(stored.calls[key], outcome="missed")


def goes_on(_: TelephonyRecord, stored: StoredTelephony) -> None:
    key = OFFICE, AmiCall(1, "101").caller_id
    stored.calls[key] = replace(stored.calls[key], status="talking")


def never_again(told: TelephonyRecord, _: StoredTelephony) -> None:
    told.recoveries[0] = Recovery("fault 0, pbx_cut", 1, None)


def grows(told: TelephonyRecord, _: StoredTelephony) -> None:
    told.grown_mib[0] = 500.0


def harmless(told: TelephonyRecord, _: StoredTelephony) -> None:
    told.recoveries[0] = Recovery("fault 0, pbx_cut", 0, 2.0)


@pytest.mark.parametrize(
    ("mutate", "rule"),
    [
        (lost, "lost"), (twice, "duplicated"), (refused, "refused"),
        (posted_wrong, "misfolded"), (heard_wrong, "misheard"), (unheard, "ungapped"),
        (goes_on, "open"), (never_again, "recovery"), (grows, "memory"), (harmless, "vacuity"),
    ],
)  # fmt: skip
def test_each_wrong_is_named(
    mutate: Callable[[TelephonyRecord, StoredTelephony], None], rule: str
) -> None:
    """The rule says so; what a gap explains is no violation."""
    told, stored = good()

    mutate(told, stored)

    found = truth.check(told, stored, faults=1)
    assert found[rule]
    assert {name for name, lines in found.items() if lines} <= {rule, "misheard"}


def test_what_lies_in_a_gap_may_be_unheard() -> None:
    """The PBX was not heard, and that is said."""
    told, stored = good()
    unheard(told, stored)
    now = datetime.now(UTC)
    stored.gaps.append((now - timedelta(minutes=1), now))

    assert not any(truth.check(told, stored, faults=1).values())
