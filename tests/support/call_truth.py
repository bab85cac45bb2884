"""Recorded calls and what really happened in them, to compare with the fold."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from ingest.fold.callers import divide, is_conference
from ingest.fold.event_log import EventLog
from ingest.fold.fold import fold, group_by_call
from ingest.model.call_state import CallState, LegState
from ingest.model.events import CallEvent
from ingest.normalise.asterisk import AsteriskDialect
from ingest.upkeep.replay import read_recording_sync

RECORDINGS = Path(__file__).parents[1] / "recordings"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "asterisk"
CALL_ID = UUID(int=1)
NEAR_S = 1.0

OUTCOMES = {
    "abandoned": "abandoned",
    "callback": "timeout",
    "hung up before": "abandoned",
    "left by key": "left_queue",
    "left empty": "left_queue",
    "not answered": "missed",
    "refused": "failed",
    "timeout in": "answered",
    "timeout": "timeout",
    "voicemail 100": "voicemail",
    "voicemail": "timeout",
}
"""Beginning of the truth → outcome; everything else was answered. Who only reached a mailbox,
and hung up before saying anything, is a caller whom the queue gave up."""


KINDS = {"attended, completed while ringing": "blonde", "three-way then leave": "threeway"}
"""Transfer in the truth → kind in the fold, where that is not the first word."""


def names() -> list[str]:
    return sorted(path.name.removesuffix(".jsonl.gz") for path in RECORDINGS.glob("*.jsonl.gz"))


def events_of_recording(name: str, folder: Path = RECORDINGS) -> list[CallEvent]:
    """Return new events each time: storing one numbers it."""
    return [replace(event) for event in _read_once(folder / f"{name}.jsonl.gz")]


def read_anew(path: Path) -> list[CallEvent]:
    dialect = AsteriskDialect(region="UA")
    return read_recording_sync(path, source="pbx", dialect=dialect)


_read_once = functools.cache(read_anew)
"""Reading takes 60 µs an event, copying 3."""


def truths_of(name: str, folder: Path = RECORDINGS) -> list[dict[str, Any]]:
    loaded = json.loads((folder / f"{name}.truth.json").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = loaded.get("truth") or loaded["calls"]
    if found and "callers" in found[0]:
        return [{"caller": c["number"], "answered_by": "301"} for c in found[0]["callers"]]
    return found


def calls_of(events: list[CallEvent]) -> list[CallState]:
    logs = [
        log for events in group_by_call(events) if events for log in _of_callers(EventLog(events))
    ]
    folded = (fold(log, call_id=CALL_ID, version=1) for log in logs)
    return sorted((call for call in folded if call), key=lambda call: call.started_at)


def _of_callers(log: EventLog) -> list[EventLog]:
    """Return the calls of a conference's callers, as they are stored; else the call."""
    callers = divide(log) if is_conference(log) else []
    return [caller.log for caller in callers] or [log]


def call_for(truth: dict[str, Any], calls: list[CallState]) -> CallState:
    """Return the call that the truth is about: by its beginning, else by its number."""
    if "started" in truth and len(calls) > 1:
        began = float(truth["started"])
        return min(calls, key=lambda call: abs(call.started_at.timestamp() - began))
    numbers = [call for call in calls if call.number_raw == truth.get("caller")]
    return (numbers or calls)[0]


def differences(call: CallState, truth: dict[str, Any]) -> list[str]:
    """Return the points in which the call differs from what happened."""
    return [text for text in (*_facts(call, truth), *_durations(call, truth)) if text]


def _facts(call: CallState, truth: dict[str, Any]) -> list[str]:
    answered_by = (truth.get("answered_by") or truth.get("agent") or "")[:3] or None
    number = truth.get("number") or truth.get("caller") or None
    exits = [item["status"] for item in truth.get("queue_exits", ())]
    stints = [stint.outcome for stint in call.stints]
    found = [
        _same("answered by", call.answered_extension, answered_by),
        _same("outcome", call.outcome, expected_outcome(truth)),
        _same("direction", call.direction, truth.get("direction", "inbound")),
        _same("status", call.status, "ended"),
        _same("number", call.number_raw, number),
        *_rang(call, truth.get("rang", [])),
        *_handed_on(call, truth.get("transfer") or {}),
    ]
    if "queues" in truth:
        queues = [item["queue"] for item in truth["queues"]]
        found.append(_same("queues", [stint.queue for stint in call.stints], queues))
        found += [_same("exit", s.lower() in str(stints).replace("_", ""), True) for s in exits]
    return found


def _handed_on(call: CallState, truth: dict[str, Any]) -> list[str]:
    """By whom, to whom or into which queue, and how long was asked before."""
    if len(call.transfers) != 1 or not truth or truth.get("result") == "cancelled":
        happened = bool(truth) and truth.get("result") != "cancelled"
        return [_same("handed on", len(call.transfers), int(happened))]
    (handed,) = call.transfers
    kind = KINDS.get(truth.get("type", ""), truth.get("type", "blind").partition(" ")[0])
    to = truth["to"].removeprefix("queue ")
    known = (handed.queue, handed.to_extension, handed.to_number)
    consulted = truth.get("consult_s")
    return [
        _same("handed on", handed.kind, kind),
        _same("handed on by", handed.by_extension, truth.get("by", handed.by_extension)),
        "" if to in known else f"handed on to: {known}, really {to}",
        _near_ms("consulted", handed.consult_ms, consulted) if consulted else "",
    ]


def expected_outcome(truth: dict[str, Any]) -> str:
    said = truth.get("outcome", "answered")
    return next((ours for begin, ours in OUTCOMES.items() if said.startswith(begin)), "answered")


def _rang(call: CallState, rang: list[Any]) -> list[str]:
    if rang and isinstance(rang[0], str):
        ours = {leg.extension for leg in call.legs if leg.ringing_at}
        return [_same("rang", sorted(filter(None, ours)), sorted(rang))]
    found = []
    for item in rang:
        legs = [leg for leg in call.legs if _rang_then(call, leg, item)]
        found.append(_same(f"{item['agent']} rang at {item['at']}", bool(legs), True))
    return found


def _rang_then(call: CallState, leg: LegState, item: dict[str, Any]) -> bool:
    """Whether the leg rang when and as long as the telephone did; busy ones never ring."""
    if leg.extension != item["agent"]:
        return False
    if item["rang_s"] < 0.1 and not leg.ringing_at:
        return leg.ended_reason in {"busy", "failed"}
    until = leg.answered_at or leg.ended_at
    if leg.ringing_at is None or until is None:
        return False
    at = leg.ringing_at - call.started_at
    rang = until - leg.ringing_at
    return _near(at, item["at"]) and _near(rang, item["rang_s"])


def _durations(call: CallState, truth: dict[str, Any]) -> list[str]:
    waited = truth.get("waited_in_queue_s", truth.get("waited_s"))
    found = [
        *_talks(call, truth),
        _near_ms("waited", call.wait_ms, waited) if waited is not None else "",
    ]
    held = truth.get("held_s")
    if held:
        ours = sum(leg.hold_ms or 0 for leg in call.legs if leg.extension)
        found.append(_near_ms("held", ours, sum(held) if isinstance(held, list) else held))
    if truth.get("caller_hung_up_at") and call.ended_at:
        over = call.ended_at - call.started_at
        found.append(_same("end", _near(over, truth["caller_hung_up_at"]), True))
    return found


def _talks(call: CallState, truth: dict[str, Any]) -> list[str]:
    expected: dict[str, float] = {}
    for talk in truth.get("talks", ()):
        expected[talk["agent"]] = expected.get(talk["agent"], 0) + talk["talked_s"]
    if "talked_s" in truth:
        who = str(truth.get("answered_by") or truth["agent"])
        expected[who[:3]] = truth["talked_s"]
    transfer = truth.get("transfer") or {}
    if "talked_s" in transfer:
        expected[transfer["to"]] = transfer["talked_s"] + transfer.get("consult_s", 0)
    return [
        _near_ms(
            f"{who} talked", sum(leg.talk_ms or 0 for leg in call.legs if leg.extension == who), s
        )
        for who, s in expected.items()
    ]


def _same(what: str, ours: object, theirs: object) -> str:
    return "" if ours == theirs else f"{what}: {ours!r}, really {theirs!r}"


def _near(ours: timedelta, theirs_s: float) -> bool:
    return abs(ours.total_seconds() - theirs_s) <= NEAR_S


def _near_ms(what: str, ours: int | None, theirs_s: float) -> str:
    near = ours is not None and abs(ours / 1000 - theirs_s) <= NEAR_S
    return "" if near else f"{what}: {ours} ms, really {theirs_s} s"
