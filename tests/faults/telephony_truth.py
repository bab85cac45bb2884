"""What PBXs sent and how they were answered, what is stored, and what must be true of both.

telephony ─▶ TelephonyRecord, StoredTelephony ─▶ check ─▶ Findings: rule → evidence. Pure functions
without waiting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ingest import CallState, fold, parse_events
from ingest.model.events import CallEvent
from loadtests.ami_calls import AmiCall

Findings = dict[str, list[str]]
Fact = tuple[str, str]
"""A leg and a type of event."""

WEB, OFFICE = "web", "office"
SLACK = timedelta(seconds=1)
"""Between a PBX's clock when it speaks and ours when we have read it."""
RECOVERED_S = 12.0
"""With the connectors' times of broken_calls.py, and a worker that needs 3 s to start."""
GROWN_MIB = 80.0
LEAST_ACKNOWLEDGED, LEAST_CALLS = 200, 10


@dataclass(slots=True)
class PostedCall:
    """A call of the PBX that is listened to."""

    call: AmiCall
    answers: bool
    told: list[tuple[str, datetime]] = field(default_factory=list)
    """Parts of the call that the PBX sent, and when."""
    cut: bool = False
    """The PBX was restarted meanwhile: nobody tells of its end."""

    def facts(self) -> Iterator[tuple[Fact, datetime]]:
        """Return what must be stored of the parts sent."""
        caller, agent = self.call.caller_id, self.call.agent_id
        says: dict[str, list[Fact]] = {
            "ringing": [(caller, "leg.created"), (agent, "leg.created"),
                        (agent, "offer.started"), (agent, "leg.ringing")],
            "answered": [(agent, "leg.answered"), (agent, "offer.ended"),
                         (caller, "leg.answered"), (caller, "bridge.joined"),
                         (agent, "bridge.joined")],
            "ended": [(caller, "bridge.left"), (agent, "bridge.left"), (agent, "leg.ended"),
                      (caller, "leg.ended")],
            "given_up": [(agent, "offer.ended"), (agent, "leg.ended"), (caller, "leg.ended")],
        }  # fmt: skip
        for part, at in self.told:
            for fact in says[part]:
                yield fact, at


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long after a fault both PBXs were received again; None: not at all."""

    fault: str
    trace: int
    took_s: float | None


@dataclass(slots=True)
class TelephonyRecord:
    """What happened outside."""

    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    """Events that the webhook acknowledged."""
    again: int = 0
    """How often a body was posted again."""
    refused: list[str] = field(default_factory=list)
    rung: list[PostedCall] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    grown_mib: dict[int, float] = field(default_factory=dict)
    """Worker → how much more memory it has in the end than after its start."""


@dataclass(slots=True)
class StoredTelephony:
    """What the database holds in the end."""

    web: Counter[UUID] = field(default_factory=Counter)
    """Event of the webhook → how often it is there."""
    office: Counter[Fact] = field(default_factory=Counter)
    calls: dict[tuple[str, str], CallState] = field(default_factory=dict)
    """(PBX, native id) → the call."""
    gaps: list[tuple[datetime, datetime]] = field(default_factory=list)


def check(told: TelephonyRecord, stored: StoredTelephony, *, faults: int) -> Findings:
    """Return the evidence against each rule."""
    events = parse_events(told.acknowledged, source=WEB, region="UA").events
    return {
        "lost": _lost(events, stored),
        "duplicated": [f"{one} is stored {n} times" for one, n in stored.web.items() if n > 1],
        "refused": told.refused,
        "misfolded": _misfolded(events, stored),
        "misheard": [line for rung in told.rung for line in _misheard(rung, stored)],
        "ungapped": [line for rung in told.rung for line in _ungapped(rung, stored)],
        "open": list(_open(stored)),
        "recovery": list(_recovery(told)),
        "memory": [
            f"worker {number + 1} has grown by {mib:.0f} MiB"
            for number, mib in told.grown_mib.items()
            if mib > GROWN_MIB
        ],
        "vacuity": list(_vacuity(told, stored, faults)),
    }


def _lost(events: list[CallEvent], stored: StoredTelephony) -> list[str]:
    """An acknowledged event is not stored."""
    return [
        f"{event.type} of {event.call_key} was acknowledged"
        for event in events
        if not stored.web[event.event_id]
    ]


def _misfolded(events: list[CallEvent], stored: StoredTelephony) -> list[str]:
    """A posted call, all of whose events are stored, is not what they say."""
    calls: dict[str, list[CallEvent]] = {}
    for event in events:
        assert event.call_key
        calls.setdefault(event.call_key, []).append(event)
    found = []
    for key, said in calls.items():
        if any(not stored.web[event.event_id] for event in said):
            continue
        is_now = stored.calls.get((WEB, key))
        if is_now is None:  # only the end was sent of a call that had begun before
            if fold(said, call_id=UUID(int=0)) is not None:
                found.append(f"{key} is no call")
            continue
        ought = fold(said, call_id=is_now.id, version=is_now.version)
        types = {event.type for event in said}
        answered = "leg.answered" in types if "call.started" in types else None
        if is_now != ought or answered not in {None, is_now.outcome == "answered"}:
            found.append(f"{key} is {_short(is_now)}, and ought to be {_short(ought)}")
    return found


def _misheard(rung: PostedCall, stored: StoredTelephony) -> Iterator[str]:
    """A call of which all events were received differs from what happened."""
    if rung.cut or any(not stored.office[fact] for fact, _ in rung.facts()):
        return
    call = stored.calls.get((OFFICE, rung.call.caller_id))
    outcome = "answered" if rung.answers else "abandoned"
    extension = rung.call.extension if rung.answers else None
    ought = ("ended", outcome, rung.call.caller, extension)
    if call is None:
        yield f"{rung.call.caller_id} is no call"
    elif (call.status, call.outcome, call.number_e164, call.answered_extension) != ought:
        yield f"{rung.call.caller_id} is {_short(call)}, and was {ought}"


def _ungapped(rung: PostedCall, stored: StoredTelephony) -> Iterator[str]:
    """An event that was not received lies in no recorded gap."""
    for fact, at in rung.facts():
        said = any(began - SLACK <= at <= ended + SLACK for began, ended in stored.gaps)
        if not (stored.office[fact] or said):
            yield f"{fact} at {at.isoformat()} was not received, and no gap covers it"


def _open(stored: StoredTelephony) -> Iterator[str]:
    """A call is open in the database, and is over."""
    for (source, key), call in stored.calls.items():
        if call.status != "ended":
            yield f"{key} of {source} is {_short(call)}"


def _recovery(told: TelephonyRecord) -> Iterator[str]:
    """After a fault it takes too long until both PBXs are received again."""
    for one in told.recoveries:
        if one.took_s is None or one.took_s > RECOVERED_S:
            took = "never" if one.took_s is None else f"after {one.took_s:.1f} s"
            yield f"{one.fault}: received again {took}"


def _vacuity(told: TelephonyRecord, stored: StoredTelephony, faults: int) -> Iterator[str]:
    """The run proves nothing."""
    if len(told.acknowledged) < LEAST_ACKNOWLEDGED:
        yield f"only {len(told.acknowledged)} events were acknowledged"
    heard = sum(all(stored.office[fact] for fact, _ in rung.facts()) for rung in told.rung)
    if heard < LEAST_CALLS:
        yield f"only {heard} calls were received whole"
    if len(told.recoveries) < faults:
        yield f"only {len(told.recoveries)} of {faults} faults occurred"
    yield from (f"{one.fault} did nothing" for one in told.recoveries if not one.trace)


def _short(call: CallState | None) -> str:
    if call is None:
        return "nothing"
    legs = ", ".join(f"{leg.extension}:{leg.ended_reason or leg.status}" for leg in call.legs)
    return f"{call.status}/{call.outcome} by {call.answered_extension} ({legs})"
