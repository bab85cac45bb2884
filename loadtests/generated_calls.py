"""Calls as ingest would have stored them: any number, the same for the same seed.

They include what is difficult for statistics: stints in two queues, callers who hang up at once,
holds, lost ends, calls in progress, merged calls, transfers, wrap-up, unassigned telephones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

TELEPHONES = 60
FIRST = 101
QUEUES = ("sales", "support", "billing", "service", "parts", "night")
OUTCOMES = ("connected",) * 16 + ("abandoned",) * 4 + ("timeout", "key", "leave_empty", "full")
CALL_OUTCOME = {
    "connected": "answered", "abandoned": "abandoned", "timeout": "timeout", "key": "left_queue",
    "leave_empty": "left_queue", "full": "failed",
}  # fmt: skip
REASONS = ("no_answer", "busy", "rejected", "answered_elsewhere", "canceled", "other_device")
PAUSES = ("Wrapup", "lunch", "ACW", None, "meeting")

Row = dict[str, Any]


@dataclass(slots=True)
class GeneratedRows:
    """Rows of each table."""

    calls: list[Row] = field(default_factory=list)
    stints: list[Row] = field(default_factory=list)
    legs: list[Row] = field(default_factory=list)
    transfers: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)


class CallGenerator:
    """Makes calls that begin within `days` after `since`."""

    def __init__(self, seed: int, since: datetime, days: float, numbers: int) -> None:
        self._random = random.Random(seed)
        self._since, self._days, self._numbers = since, days, max(1, numbers)

    def batches(self, calls: int, *, size: int = 20_000) -> Iterator[GeneratedRows]:
        """Generate the calls in batches of `size`, in the order of their beginning."""
        for first in range(0, calls, size):
            made = GeneratedRows()
            for place in range(first, min(calls, first + size)):
                self._call(made, self._since + timedelta(days=self._days) * (place / calls))
            yield made

    def pauses(self, count: int) -> GeneratedRows:
        """Make telephones pause and come back, now and then without the one or the other.

        Some change the reason, log off while they are paused, or join a queue paused.
        """
        made, rnd = GeneratedRows(), self._random
        for _ in range(count):
            at, extension = self._since + timedelta(days=self._days * rnd.random()), self._phone()
            queue = rnd.choice((*QUEUES[:2], None))
            shape = {"source": "main", "queue": queue, "extension": extension, "leg_key": None}
            reason = rnd.choice(PAUSES)
            if rnd.random() < 0.95:
                made.events.append(self._event("agent.paused", at, {**shape, "reason": reason}))
            if rnd.random() < 0.95:
                back = at + self._ms(600_000)
                made.events.append(self._event("agent.unpaused", back, shape))
            if rnd.random() < 0.1:
                end = at + self._ms(1_200_000)
                kind = rnd.choice(("agent.paused", "agent.logoff", "agent.login"))
                more = {} if kind == "agent.logoff" else {"reason": rnd.choice(PAUSES)}
                event = self._event(kind, end, {**shape, **more})
                if kind == "agent.login" and rnd.random() < 0.5:
                    event["attrs"]["paused"] = True
                made.events.append(event)
        return made

    def _call(self, made: GeneratedRows, at: datetime) -> None:
        rnd = self._random
        at += self._ms(60_000)
        call_id = UUID(int=rnd.getrandbits(128), version=4)
        inbound = rnd.random() < 0.8
        direction = "inbound" if inbound else rnd.choice(("outbound", "outbound", "internal"))
        stints = self._stints(call_id, at) if inbound and rnd.random() < 0.9 else []
        outcome = self._outcome(stints, direction)
        source = "two" if rnd.random() < 0.1 else "main"
        answered_at = self._answered_at(at, stints, outcome)
        over = rnd.random() < 0.995
        rung_at = stints[-1]["entered_at"] if stints else at
        legs = self._legs(call_id, rung_at, answered_at, over=over)
        ended_at = max(
            [stint["left_at"] for stint in stints]
            + [leg["ended_at"] for leg in legs if leg["ended_at"]]
            + [at + self._ms(5_000)]
        )
        number = f"+38067{rnd.randrange(self._numbers):07d}" if rnd.random() < 0.97 else None
        talks = [leg["talk_ms"] for leg in legs if leg["talk_ms"] is not None]
        made.calls.append(
            {
                "id": call_id, "source": source, "version": 1, "direction": direction,
                "status": "ended" if over else "talking", "outcome": outcome if over else None,
                "number_raw": number, "number_e164": number,
                "queue": stints[-1]["queue"] if stints else None, "started_at": at,
                "answered_at": answered_at, "ended_at": ended_at if over else None,
                "wait_ms": self._wait_ms(stints), "talk_ms": sum(talks) if talks else None,
                "merged_into": call_id if rnd.random() < 0.01 else None,
                "first_event_at": at, "last_event_at": ended_at,
            }
        )  # fmt: skip
        if made.calls[-1]["merged_into"]:  # what is part of another call has nothing of its own
            return
        made.stints += [{**stint, "started_at": at} for stint in stints]
        made.legs += [{**leg, "source": source, "started_at": at} for leg in legs]
        if answered_at and legs and rnd.random() < 0.06:
            made.transfers.append(self._transfer(call_id, rnd.choice(legs), answered_at))

    def _stints(self, call_id: UUID, at: datetime) -> list[Row]:
        rnd, stints, entered = self._random, [], at + self._ms(10_000)
        for position in range(2 if rnd.random() < 0.12 else 1):
            outcome = rnd.choice(OUTCOMES)
            # Round numbers are frequent: some wait exactly as long as the threshold.
            wait = timedelta(seconds=rnd.choice((4, 5, 20, 21))) if rnd.random() < 0.1 else (
                self._ms(90_000))  # fmt: skip
            stints.append(
                {
                    "call_id": call_id, "position": position, "queue": rnd.choice(QUEUES),
                    "entered_at": entered, "left_at": entered + wait, "outcome": outcome,
                    "answered_at": entered + wait if outcome == "connected" else None,
                    "wait_ms": wait // timedelta(milliseconds=1),
                }
            )  # fmt: skip
            entered += wait + self._ms(200_000 if outcome == "connected" else 1_000)
        return stints

    def _legs(
        self, call_id: UUID, at: datetime, answered_at: datetime | None, *, over: bool
    ) -> list[Row]:
        rnd = self._random
        legs = [self._leg(call_id, 0, None, (at, at if answered_at else None), over=over)]
        legs += [
            self._leg(call_id, number, self._phone(), (at, None), over=True)
            for number in range(1, rnd.choice((1, 2, 2, 3)))
        ]
        if answered_at:
            rang = answered_at - self._ms(8_000) if rnd.random() < 0.85 else None
            shape = (rang, answered_at)
            legs.append(self._leg(call_id, len(legs), self._phone(), shape, over=over))
            if rnd.random() < 0.1:
                later = answered_at + self._ms(60_000)
                shape = (later - self._ms(2_000), later)
                legs.append(self._leg(call_id, len(legs), self._phone(), shape, over=True))
        return legs

    def _leg(
        self,
        call_id: UUID,
        position: int,
        extension: str | None,
        times: tuple[datetime | None, datetime | None],
        *,
        over: bool,
    ) -> Row:
        rnd = self._random
        ringing_at, answered_at = times
        began = answered_at or ringing_at
        assert began is not None
        took = self._ms(400_000 if answered_at else 20_000)
        lost = rnd.random() < 0.01
        reason = "lost" if lost else "completed" if answered_at else rnd.choice(REASONS)
        talk = took // timedelta(milliseconds=1) if answered_at and over else None
        held = talk is not None and rnd.random() < 0.1
        doubled = position > 0 and rnd.random() < 0.2
        return {
            "call_id": call_id, "leg_key": f"{position}", "position": position,
            "extension": extension, "kind": "agent" if extension else "external",
            "status": "ended" if over else "talking", "ringing_at": ringing_at,
            "answered_at": answered_at, "ended_at": began + took if over else None,
            "ended_reason": reason if over else None, "talk_ms": talk,
            "overlap_ms": rnd.choice((0, talk // 2, talk)) if talk and doubled else None,
            "placed": bool(extension and ringing_at) and rnd.random() < 0.05,
            "hold_ms": rnd.randrange(talk + 1) if talk is not None and held else
            None if talk is None else 0,
        }  # fmt: skip

    def _transfer(self, call_id: UUID, leg: Row, at: datetime) -> Row:
        return {
            "call_id": call_id, "position": 0, "kind": self._random.choice(("blind", "attended")),
            "at": at + self._ms(30_000), "by_leg_key": leg["leg_key"],
            "by_extension": leg["extension"],
        }  # fmt: skip

    def _event(self, type_: str, at: datetime, shape: Row) -> Row:
        event_id = UUID(int=self._random.getrandbits(128), version=4)
        reason = shape.pop("reason", None)
        return {
            "event_id": event_id, "type": type_, "occurred_at": at, "time_quality": "source",
            "call_id": None, "attrs": {"reason": reason} if reason else {}, **shape,
        }  # fmt: skip

    def _outcome(self, stints: list[Row], direction: str) -> str:
        if not stints:
            return self._direct(direction)
        outcome = CALL_OUTCOME[stints[-1]["outcome"]]
        connected = any(stint["answered_at"] for stint in stints)
        if outcome == "timeout" and not connected and int(stints[-1]["wait_ms"]) % 4 == 0:
            return "voicemail"
        return outcome

    def _direct(self, direction: str) -> str:
        return self._random.choice(
            ("answered", "answered", "missed", "abandoned" if direction == "inbound" else "failed")
        )

    def _answered_at(self, at: datetime, stints: list[Row], outcome: str) -> datetime | None:
        answers = [stint["answered_at"] for stint in stints if stint["answered_at"]]
        if answers:
            return min(answers)  # type: ignore[no-any-return]
        return at + self._ms(20_000) if outcome == "answered" else None

    def _wait_ms(self, stints: list[Row]) -> int | None:
        if not stints:
            return None
        answers = [stint["answered_at"] for stint in stints if stint["answered_at"]]
        until = min(answers) if answers else stints[-1]["left_at"]
        waited: timedelta = until - stints[0]["entered_at"]
        return waited // timedelta(milliseconds=1)

    def _phone(self) -> str:
        return str(FIRST + self._random.randrange(TELEPHONES))

    def _ms(self, below: int) -> timedelta:
        return timedelta(microseconds=int(self._random.random() ** 2 * below) * 1_000)
