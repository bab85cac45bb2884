"""Calls under way between the PBX users and the softphones of one Locust process.

PbxUser ─▶ CallBoard ◀─ SoftphoneUser. Each part of a call is timed from its sending until the
agent's socket has read its event. The events that are posted, by part.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

PARTS = ("ringing", "answered", "ended")
EVENT_OF = {"ringing": "call.offered", "answered": "call.updated", "ended": "call.ended"}
"""Part of a call → the event that the agent receives for it."""
STATUS = {"ringing": "ringing", "answered": "talking", "ended": "ended"}
QUEUES = ("sales", "support", "billing", "service")


@dataclass(slots=True)
class CallBoard:
    """Telephones that nobody calls now, and parts of calls of which an agent should hear."""

    idle: deque[str] = field(default_factory=deque)
    here: set[str] = field(default_factory=set)
    """Telephones whose softphone is connected."""
    _due: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)
    """(caller, part) → telephone, and when the part was sent."""
    _told: dict[str, threading.Event] = field(default_factory=dict)

    def connected(self, extension: str) -> None:
        self.here.add(extension)
        self.idle.append(extension)

    def leaving(self, extension: str) -> None:
        """Expect nothing more of this telephone: its user goes."""
        self.here.discard(extension)
        if extension in self.idle:
            self.idle.remove(extension)
        for (caller, part), (phone, _) in list(self._due.items()):
            if phone == extension:
                self._done(caller, part)

    def take(self) -> str | None:
        """Return a telephone for a new call; give it back by call_over."""
        return self.idle.popleft() if self.idle else None

    def call_over(self, extension: str) -> None:
        if extension in self.here and extension not in self.idle:
            self.idle.append(extension)

    def sent(self, caller: str, part: str, extension: str) -> None:
        """Note that a part leaves the PBX now; wait_for waits for its event."""
        self._told[caller] = threading.Event()
        if extension in self.here:
            self._due[caller, part] = (extension, time.perf_counter())
        else:
            self._told[caller].set()

    def wait_for(self, caller: str, part: str, late_s: float) -> bool:
        """Return whether the agent heard of this part in time; afterwards it is not expected."""
        self._told[caller].wait(late_s)
        del self._told[caller]
        return self._due.pop((caller, part), None) is None

    def received(self, event: dict[str, Any]) -> list[float]:
        """Return when the parts were sent of which this event is the first news."""
        found = []
        for part, type_ in EVENT_OF.items():
            call = event.get("call") or {}
            if event["type"] == type_ and call.get("status") == STATUS[part]:
                due = self._due.get((call["number"], part))
                if due is not None:
                    found.append(due[1])
                    self._done(call["number"], part)
        return found

    def _done(self, caller: str, part: str) -> None:
        self._due.pop((caller, part), None)
        if caller in self._told:
            self._told[caller].set()


def posted_call(
    key: str, caller: str, extension: str, queue: str
) -> dict[str, list[dict[str, Any]]]:
    """Return the webhook's events of a whole call, without their times, by part."""
    outside, agent = f"{key}.c", f"{key}.a"
    first = {"call_key": key, "leg_key": outside}
    second = {"call_key": key, "leg_key": agent}
    phone = second | {"extension": extension}
    waits = first | {"queue": queue}
    bridge = {"attrs": {"bridge": f"{key}.b"}}
    return {
        "ringing": [
            {"type": "call.started", **first,
             "attrs": {"direction": "inbound", "number": caller, "kind": "external"}},
            {"type": "queue.entered", **waits},
            {"type": "offer.started", **phone, "peer_leg_key": outside, "attrs": {"kind": "agent"}},
            {"type": "leg.created", **phone, "attrs": {"kind": "agent"}},
            {"type": "leg.ringing", **phone},
        ],
        "answered": [
            {"type": "leg.answered", **phone},
            {"type": "queue.left", **waits},
            {"type": "queue.connected", **waits, "peer_leg_key": agent},
            {"type": "bridge.joined", **first, **bridge},
            {"type": "bridge.joined", **second, **bridge},
        ],
        "ended": [
            {"type": "bridge.left", **second, **bridge},
            {"type": "bridge.left", **first, **bridge},
            {"type": "leg.ended", **second, "attrs": {"cause": 16}},
            {"type": "leg.ended", **first, "attrs": {"cause": 16}},
            {"type": "call.ended", **first},
        ],
    }  # fmt: skip


def timed(events: list[dict[str, Any]], key: str, part: str) -> list[dict[str, Any]]:
    """Give events an id each, and the time now, a millisecond apart."""
    now = datetime.now(UTC) - timedelta(milliseconds=len(events))
    return [
        {
            "event_id": f"{key}.{part}.{place}",
            "occurred_at": (now + timedelta(milliseconds=place)).isoformat(),
            **event,
        }
        for place, event in enumerate(events)
    ]
