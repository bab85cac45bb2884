"""Events as a PBX posts them: whole calls, a fixed number in progress, each event once.

EventGenerator ─▶ the webhook's JSON objects ─▶ parse_events or an HTTP body. The same for the same
seed; memory depends on the calls in progress, not on the number of events.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

QUEUES = ("sales", "support", "billing", "service")
FIRST, TELEPHONES = 101, 60
STEP = timedelta(milliseconds=5)
"""Between two events: 200 a second."""

Event = dict[str, Any]
Steps = deque[Event]


@dataclass(slots=True)
class EventGenerator:
    """Generates the events of concurrent calls."""

    seed: int
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(hours=12))
    in_progress: int = 200
    calls: int = 0
    """Begun so far."""
    events: int = 0
    _dice: random.Random = field(init=False)
    _live: list[Steps] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)

    def take(self, count: int) -> list[Event]:
        """Return the next events of all calls, in the order of their times."""
        return [self._next() for _ in range(count)]

    def finish(self) -> list[Event]:
        """Return what is left of the calls in progress."""
        found = []
        while self._live:
            found.append(self._next(begin=False))
        return found

    def _next(self, *, begin: bool = True) -> Event:
        while begin and len(self._live) < self.in_progress:
            steps = self._call()
            # From the beginning there are calls at every stage, as at any later time.
            for _ in range(self._dice.randrange(len(steps)) if not self.events else 0):
                steps.popleft()
            self._live.append(steps)
        place = self._dice.randrange(len(self._live))
        steps = self._live[place]
        event = steps.popleft()
        if not steps:
            self._live[place] = self._live[-1]
            self._live.pop()
        at = self.began_at + self.events * STEP
        self.events += 1
        return {"event_id": f"{self.seed}-{self.events}", "occurred_at": at.isoformat(), **event}

    def _call(self) -> Steps:
        """Plan a call that comes into a queue, and what becomes of it."""
        self.calls += 1
        key = f"{self.seed}.{self.calls}"
        caller = f"{key}.c"
        queue = self._dice.choice(QUEUES)
        number = f"+38067{self._dice.randrange(10**7):07d}"
        waits = {"call_key": key, "leg_key": caller, "queue": queue}
        steps: Steps = deque(
            [
                {"type": "call.started", "call_key": key, "leg_key": caller,
                 "attrs": {"direction": "inbound", "number": number, "kind": "external",
                           "name": "Іван Петренко"}},
                {"type": "queue.entered", **waits},
            ]
        )  # fmt: skip
        phones = self._dice.sample(range(TELEPHONES), 3)
        for phone in phones[: self._dice.choice((0, 0, 0, 1, 1, 2))]:
            steps += _rung(key, caller, str(FIRST + phone))
            steps.append(
                {"type": "leg.ended", "call_key": key, "leg_key": f"{key}.{FIRST + phone}",
                 "attrs": {"result": "no_answer", "cause": 19}}
            )  # fmt: skip
        if self._dice.random() < 0.8:
            steps += self._talk(key, caller, queue, str(FIRST + phones[2]))
        else:
            steps += [{"type": "queue.abandoned", **waits}, {"type": "queue.left", **waits}]
        steps.append({"type": "leg.ended", "call_key": key, "leg_key": caller,
                      "attrs": {"cause": 16}})  # fmt: skip
        steps.append({"type": "call.ended", "call_key": key, "leg_key": caller})
        return steps

    def _talk(self, key: str, caller: str, queue: str, phone: str) -> Iterator[Event]:
        agent = f"{key}.{phone}"
        bridge = {"attrs": {"bridge": f"{key}.b"}}
        yield from _rung(key, caller, phone)
        yield {"type": "leg.answered", "call_key": key, "leg_key": agent, "extension": phone}
        waits = {"call_key": key, "leg_key": caller, "queue": queue}
        yield {"type": "queue.left", **waits}
        yield {"type": "queue.connected", **waits, "peer_leg_key": agent}
        yield {"type": "bridge.joined", "call_key": key, "leg_key": caller, **bridge}
        yield {"type": "bridge.joined", "call_key": key, "leg_key": agent, **bridge}
        if self._dice.random() < 0.1:
            yield {"type": "leg.hold_on", "call_key": key, "leg_key": agent}
            yield {"type": "leg.hold_off", "call_key": key, "leg_key": agent}
        yield {"type": "bridge.left", "call_key": key, "leg_key": agent, **bridge}
        yield {"type": "bridge.left", "call_key": key, "leg_key": caller, **bridge}
        yield {"type": "leg.ended", "call_key": key, "leg_key": agent, "attrs": {"cause": 16}}


def _rung(key: str, caller: str, phone: str) -> Iterator[Event]:
    agent = f"{key}.{phone}"
    rings = {"call_key": key, "leg_key": agent, "extension": phone}
    yield {"type": "offer.started", **rings, "peer_leg_key": caller, "attrs": {"kind": "agent"}}
    yield {"type": "leg.created", **rings, "attrs": {"kind": "agent"}}
    yield {"type": "leg.ringing", **rings}
