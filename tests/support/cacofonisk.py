"""Event streams recorded elsewhere (VoIPGRID/cacofonisk), and the results expected there.

Another installation's Asterisk: accounts of nine digits as telephones, routes of Local pairs, no
times. What both models say is compared: who rang, answered and talked with whom, and how it ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ingest.fold.end_reasons import ended_reason
from ingest.fold.event_log import EventLog
from ingest.fold.intervals import intersection
from ingest.fold.legs import Leg, build_legs
from ingest.framing.ami_messages import AmiMessage
from ingest.model.call_state import CallState
from ingest.model.events import CallEvent
from ingest.normalise.asterisk import AsteriskDialect, AsteriskNormaliser
from tests.support.call_truth import calls_of

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "cacofonisk"
DIALECT = AsteriskDialect(region="NL", extension=r"^SIP/(1\d{8})(?=-)")
T0 = datetime(2026, 11, 22, tzinfo=UTC)
TICK = timedelta(milliseconds=1)

ENDS = {
    "answer": {"completed"},
    "busy": {"busy", "rejected"},
    "cancel": {"answered_elsewhere", "canceled"},
}
"""How a dialled telephone's part ended there → how it ends here."""


@dataclass(frozen=True)
class Scenario:
    """One stream and the sequence expected of it."""

    name: str
    expected: list[tuple[str, dict[str, Any]]]

    def events(self, *, by_clock: bool = False) -> list[CallEvent]:
        """Translate the stream, 1 ms a message; or with the seconds that unique ids begin with."""
        normaliser = AsteriskNormaliser("pbx", DIALECT)
        at, found = T0, []
        for fields in self._messages():
            at += TICK
            if by_clock and fields.get("Event") == "Newchannel":
                seconds = float(fields["Uniqueid"].rpartition("-")[2].partition(".")[0])
                at = max(at, datetime.fromtimestamp(seconds, UTC))
            found += normaliser.events(AmiMessage(tuple(fields.items())), at)
        return found

    def channels(self) -> dict[str, str]:
        """Return each channel's unique id by its name."""
        made = (f for f in self._messages() if f.get("Event") == "Newchannel")
        return {fields["Channel"]: fields["Uniqueid"] for fields in made}

    def events_named(self, *events: str) -> Iterator[dict[str, Any]]:
        """Return what was expected under these names."""
        return (report for event, report in self.expected if event in events)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Who was expected to talk with whom, in this order."""
        ups = self.events_named("on_up", "on_attended_transfer")
        return [(name_of(report["caller"]), name_of(report["target"])) for report in ups]

    @property
    def dialled(self) -> set[str]:
        report = self.events_named("on_b_dial", "on_blind_transfer", "on_blonde_transfer")
        return {name_of(target) for item in report for target in item["targets"]}

    def _messages(self) -> list[dict[str, str]]:
        loaded = json.loads((FOLDER / f"{self.name}.json").read_text(encoding="utf-8"))
        return [{key: str(value) for key, value in fields.items()} for fields in loaded]


def scenarios() -> list[Scenario]:
    """Return all of them; none when they are not beside this repository."""
    path = FOLDER / "expected_high_level_events.json"
    if not path.exists():
        return []
    return [
        Scenario(
            item["fixtures"][0].removeprefix("fixtures/").removesuffix(".json"),
            [(event, report) for event, report in item["expected"]],
        )
        for item in json.loads(path.read_text(encoding="utf-8"))
    ]


def name_of(channel: Any) -> str:
    return str(channel["name"] if isinstance(channel, dict) else channel)


def is_outside(channel: str) -> bool:
    return "siproute" in channel


class FoldedScenario:
    """One scenario, folded, with its telephones by the names of their channels."""

    def __init__(self, scenario: Scenario, events: list[CallEvent]) -> None:
        self.scenario = scenario
        self.events = events
        self.calls = calls_of(events)
        self.channels = scenario.channels()
        self.legs = build_legs(EventLog(events).channels, None)
        self._by_key = {key: leg for leg in self.legs for key in leg.keys}

    @property
    def call(self) -> CallState:
        (call,) = self.calls
        return call

    def leg(self, channel: str) -> Leg:
        return self._by_key[self.channels[channel]]

    def rang(self) -> set[str]:
        names = {key: name for name, key in self.channels.items()}
        return {names[leg.key] for leg in self.legs if leg.ringing_at}

    def reason(self, channel: str) -> str | None:
        return ended_reason(self.leg(channel), self.legs)

    def talked(self, one: str, other: str) -> datetime | None:
        """Return when these two were last in a conversation together."""
        both = [
            shared
            for ours in self.leg(one).talks
            for theirs in self.leg(other).talks
            if (shared := intersection(ours, theirs))
        ]
        return max((start for start, _ in both), default=None)


def differences(judged: FoldedScenario) -> list[str]:
    """Return the points in which the call differs from what was expected."""
    found = (*_telephones(judged), *_conversations(judged), *_call(judged), *_transfers(judged))
    return [text for text in found if text]


def _telephones(judged: FoldedScenario) -> Iterator[str]:
    """Who rang; a telephone that the PBX rang to place a call for it was no target there."""
    scenario = judged.scenario
    callers = {name_of(report["caller"]) for _, report in scenario.expected}
    targets = scenario.dialled
    if scenario.expected:
        yield _same("rang", judged.rang() - (callers - targets), targets)
    for report in scenario.events_named("on_b_dial_end"):
        for target in map(name_of, report["targets"]):
            ended, wanted = judged.reason(target), ENDS[report["reason"]]
            yield "" if ended in wanted else f"{target} ended {ended}, not {wanted}"


def _conversations(judged: FoldedScenario) -> Iterator[str]:
    pairs = judged.scenario.pairs
    for one, other in pairs:
        yield "" if judged.talked(one, other) else f"{one} did not talk with {other}"
    talked = {name for pair in pairs for name in pair}
    for target in judged.scenario.dialled - talked:
        yield _same(f"{target} talked", judged.leg(target).talks, ())


def _call(judged: FoldedScenario) -> Iterator[str]:
    scenario, call = judged.scenario, judged.call
    pairs, direction = scenario.pairs, _direction(scenario)
    yield _same("direction", call.direction, direction)
    yield _same("status", call.status, "ended")
    yield _same("answered", call.outcome == "answered", bool(pairs))
    yield _same("missed", call.missed, direction == "inbound" and not pairs)
    if pairs:
        who = pairs[0][0 if direction == "outbound" else 1]
        yield _same("answered by", call.answered_extension, None if is_outside(who) else _ext(who))
        yield _same("talk", bool(call.talk_ms), True)
    for report in scenario.events_named("on_hangup"):
        dialled = [judged.reason(channel) for channel in _called(judged)]
        if report["reason"] == "busy":
            yield _same("busy", bool(set(dialled) & ENDS["busy"]), True)
        if report["reason"] == "cancelled":
            yield _same("cancelled", set(dialled), {"canceled"})
    yield from _number(scenario, call)


def _called(judged: FoldedScenario) -> list[str]:
    names = {key: name for name, key in judged.channels.items()}
    return [names[leg.key] for leg in judged.legs if not leg.calling]


def _direction(scenario: Scenario) -> str:
    if not scenario.expected:
        return "internal"
    first = scenario.expected[0][1]
    if is_outside(name_of(first["caller"])):
        return "outbound" if scenario.name.startswith("originate/") else "inbound"
    targets = first.get("targets", [])
    return "outbound" if any(is_outside(name_of(target)) for target in targets) else "internal"


def _number(scenario: Scenario, call: CallState) -> Iterator[str]:
    if not scenario.expected or call.direction == "internal":
        return
    first = scenario.expected[0][1]
    outsider = first["caller"] if call.direction == "inbound" else first["targets"][0]
    if isinstance(outsider, dict):
        yield _same("number", call.number_raw, outsider["caller_id"]["num"])
        yield _same("e164", call.number_e164, outsider["caller_id"]["num"])


def _transfers(judged: FoldedScenario) -> Iterator[str]:
    """Compare by whom each transfer was, and that those whom it joined talk after it."""
    kinds = {"on_blind_transfer": "transfer.blind", "on_attended_transfer": "transfer.attended",
             "on_blonde_transfer": "transfer.attended"}  # fmt: skip
    for event, report in judged.scenario.expected:
        if event not in kinds:
            continue
        by = judged.channels[name_of(report["transferer"])]
        facts = [e for e in judged.events if e.type == kinds[event]]
        kind = event.removeprefix("on_").removesuffix("_transfer")
        yield _same("handed on", [one.kind for one in judged.call.transfers], [kind])
        yield _same(event, [by in (e.leg_key, e.peer_leg_key) for e in facts], [True])
        caller, last = name_of(report["caller"]), judged.scenario.pairs[-1]
        if caller == last[0] and name_of(report["transferer"]) not in last and facts:
            until = max(end or start for start, end in judged.leg(last[1]).talks)
            yield _same("talked after it", until > facts[0].occurred_at, True)
            ended_at = judged.leg(name_of(report["transferer"])).ended_at
            yield _same("transferer left", ended_at is not None and ended_at < until, True)


def _ext(channel: str) -> str:
    return channel.removeprefix("SIP/").partition("-")[0]


def _same(what: str, ours: object, theirs: object) -> str:
    return "" if ours == theirs else f"{what}: {ours!r}, expected {theirs!r}"
