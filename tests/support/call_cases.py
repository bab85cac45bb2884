"""Small calls made by hand, each with what is right about it; and calls with swapped times."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from ingest.framing.ami_messages import AmiMessage
from ingest.model.call_state import CallState
from ingest.model.events import CallEvent
from ingest.normalise.asterisk import AsteriskDialect, AsteriskNormaliser
from tests.support.call_truth import RECORDINGS

FOLDER = RECORDINGS / "cases"
ONE_MOMENT = timedelta(milliseconds=10)
JITTER_MS = 25
"""Swapping two times of one moment changes a duration by twice that, and rounding."""


@dataclass(frozen=True)
class CallCase:
    """One call's messages and what is right about it."""

    name: str
    t0: datetime
    messages: list[dict[str, Any]]
    right: list[tuple[list[Any], Any]]

    def events(self) -> list[CallEvent]:
        normaliser = AsteriskNormaliser("main", AsteriskDialect(region="UA"))
        found: list[CallEvent] = []
        for message in self.messages:
            at = self.t0 + timedelta(seconds=message["t"])
            fields = tuple((name, value) for name, value in message.items() if name != "t")
            found += normaliser.events(AmiMessage(fields), at)
        return found

    def differences(self, call: CallState) -> list[str]:
        """Return the points in which the call differs from what is right."""
        state = {**asdict(call), "missed": call.missed}
        found = []
        for path, right in self.right:
            value: Any = state
            for step in path:
                value = value[step]
            if isinstance(value, datetime):
                value = (value - self.t0).total_seconds()
            if value != right:
                found.append(f"{path}: {value!r}, right is {right!r}")
        return found


def call_cases() -> list[CallCase]:
    return [
        CallCase(path.stem, datetime.fromisoformat(item["t0"]), item["ami"], item["right"])
        for path in sorted(FOLDER.glob("*.json"))
        for item in [json.loads(path.read_text(encoding="utf-8"))]
    ]


def swaps(
    events: list[CallEvent],
) -> Iterator[tuple[CallEvent, CallEvent, list[CallEvent]]]:
    """Exchange the times of each two neighbouring events of one moment, one pair at a time.

    Two caller ids of one channel stay: the one replaces the other, and one thread tells of both.
    """
    for n, (one, other) in enumerate(pairwise(events)):
        replaced = one.leg_key == other.leg_key and "number_raw" in one.attrs.keys() & other.attrs
        if not replaced and timedelta() < other.occurred_at - one.occurred_at <= ONE_MOMENT:
            swapped = list(events)
            swapped[n] = replace(other, occurred_at=one.occurred_at)
            swapped[n + 1] = replace(one, occurred_at=other.occurred_at)
            yield one, other, swapped


def shuffled_moments(
    events: list[CallEvent], dice: random.Random
) -> Iterator[tuple[list[datetime], list[CallEvent]]]:
    """Exchange the times of all events of a moment in any way, one moment at a time.

    A channel's own caller ids keep their order, as in swaps().
    """
    moments: list[list[int]] = []
    for n, event in enumerate(events):
        if moments and event.occurred_at - events[moments[-1][0]].occurred_at <= ONE_MOMENT:
            moments[-1].append(n)
        else:
            moments.append([n])
    for moment in moments:
        times = [events[n].occurred_at for n in moment]
        drawn = dict(zip(moment, dice.sample(times, len(times)), strict=True))
        own: dict[str | None, list[int]] = defaultdict(list)
        for n in moment:
            if events[n].attrs.keys() & {"number_raw", "name"}:
                own[events[n].leg_key].append(n)
        for numbers in own.values():
            kept = sorted(drawn[n] for n in numbers)
            drawn |= zip(numbers, kept, strict=True)
        told = list(events)
        for n, at in drawn.items():
            told[n] = replace(events[n], occurred_at=at)
        yield times, told


def meaning(call: CallState | None, *times: datetime) -> Any:
    """Return what the call says but for these times, and for the order of its legs."""

    def plain(value: Any) -> Any:
        if is_dataclass(value):
            return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        if isinstance(value, dict):
            return {name: plain(found) for name, found in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(found) for found in value]
        return times[0] if value in times else value

    state = plain(call) if call else {}
    state["legs"] = {leg["leg_key"]: leg for leg in state.get("legs", ())}
    return state


def changes(before: Any, after: Any, path: str = "call") -> Iterator[str]:
    """Yield where two meanings differ, by more than the swapped times can explain."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            yield from changes(before.get(name), after.get(name), f"{path}.{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for n, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from changes(one, other, f"{path}[{n}]")
    elif path.endswith("_ms") and isinstance(before, int) and isinstance(after, int):
        if abs(before - after) > JITTER_MS:
            yield f"{path}: {before} → {after}"
    elif before != after:
        yield f"{path}: {before!r} → {after!r}"
