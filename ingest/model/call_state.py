"""What a call is: the fold's result, and what the database keeps of it.

fold ─▶ CallState ─▶ sessions ─▶ CallChange ─▶ announce. Two states of one call are compared by
`version`; whoever holds a higher one ignores a lower one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from ingest.model.frozen import frozen

MS = timedelta(milliseconds=1)

Direction = Literal["inbound", "outbound", "internal"]
CallStatus = Literal["created", "waiting", "ringing", "talking", "ended"]
Outcome = Literal["answered", "abandoned", "missed", "timeout", "left_queue", "failed", "unknown"]
LegKind = Literal["external", "agent"]
LegStatus = Literal["created", "ringing", "talking", "held", "ended"]
EndedReason = Literal[
    "completed", "no_answer", "answered_elsewhere", "busy", "rejected", "canceled", "failed", "lost"
]
TransferKind = Literal["blind", "attended", "blonde", "threeway"]
"""Blonde: asked first, and handed on while the other telephone still rang."""
RecordingStatus = Literal["recording", "stopped", "ready", "failed"]
StintOutcome = Literal[
    "connected",
    "abandoned",
    "timeout",
    "key",
    "leave_empty",
    "join_empty",
    "full",
    "withdrawn",
    "unknown",
]


@frozen
class LegState:
    """One telephone's part. Plumbing (a Local channel between two telephones) is no leg."""

    leg_key: str
    extension: str | None
    kind: LegKind
    status: LegStatus
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    ended_reason: EndedReason | None = None
    talk_ms: int | None = None
    """Time in a conversation so far, holds included; what is still going on is not counted yet."""
    hold_ms: int | None = None
    sip_call_id: str | None = None
    """By which the telephone itself knows its part: the first that the PBX told."""


@frozen
class StintState:
    """One stay in one queue: the unit that waiting and losing is counted in."""

    queue: str
    entered_at: datetime
    answered_at: datetime | None = None
    left_at: datetime | None = None
    outcome: StintOutcome | None = None
    """None while waiting, and for the moment in which leaving is not yet explained."""
    wait_ms: int | None = None


@frozen
class TransferState:
    """One handing-on of a call."""

    kind: TransferKind
    at: datetime
    by_leg_key: str | None
    by_extension: str | None
    to_number: str | None = None
    """What was dialled."""
    to_extension: str | None = None
    """Of the telephone that took it; of the one that was rung while nobody has."""
    queue: str | None = None
    """The queue that it went into."""
    answered_at: datetime | None = None
    """When that telephone answered, with a consultation before `at`; None: nobody has."""
    consult_ms: int | None = None
    """From that answer to the transfer."""


@frozen
class RecordingState:
    """One recording of one channel; the sound itself is elsewhere."""

    id: UUID
    """Derived from the PBX's name for it: the same wherever the call goes."""
    recording: str
    leg_key: str | None
    extension: str | None
    state: RecordingStatus
    started_at: datetime
    stopped_at: datetime | None = None
    duration_ms: int | None = None
    channels: int | None = None
    url: str | None = None
    """http(s), or a path at the PBX."""


@frozen
class CallState:
    id: UUID
    version: int = field(compare=False)
    """Two states that differ in nothing else are equal: there is nothing to tell."""
    source: str
    direction: Direction
    status: CallStatus
    outcome: Outcome | None
    number_raw: str | None
    number_e164: str | None
    caller_name: str | None
    queue: str | None
    started_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    wait_ms: int | None = None
    talk_ms: int | None = None
    answered_extension: str | None = None
    merged_into: UUID | None = None
    """This call turned out to be part of another one; it is over, and that one goes on."""
    legs: tuple[LegState, ...] = ()
    stints: tuple[StintState, ...] = ()
    transfers: tuple[TransferState, ...] = ()
    recordings: tuple[RecordingState, ...] = ()

    @property
    def missed(self) -> bool:
        """An outsider called and nobody talked to them: somebody ought to call back."""
        over = self.status == "ended" and self.merged_into is None
        return over and self.direction == "inbound" and self.outcome not in {"answered", None}

    @property
    def ringing(self) -> frozenset[str]:
        """Extensions that ring now."""
        return frozenset(
            leg.extension for leg in self.legs if leg.status == "ringing" and leg.extension
        )

    @property
    def extensions(self) -> frozenset[str]:
        """Extensions that take or took part."""
        return frozenset(leg.extension for leg in self.legs if leg.extension)


@dataclass(frozen=True, slots=True)
class CallChange:
    """A committed change of one call. `before` is None when the call is new."""

    before: CallState | None
    after: CallState
    repeated: bool = False
    """Nobody knows whether it was announced, or when it happened: it rings nobody's telephone."""

    @property
    def offered(self) -> frozenset[str]:
        """Extensions that ring now and did not before.

        By extension: one telephone may show as a Local channel first, as its own a moment later.
        """
        if self.repeated:
            return frozenset()
        return self.after.ringing - (self.before.ringing if self.before else frozenset())

    @property
    def ended(self) -> bool:
        """Whether this change ended the call."""
        was_over = self.before is not None and self.before.status == "ended"
        return self.after.status == "ended" and not was_over


def ms_between(start: datetime, end: datetime) -> int:
    """Return whole milliseconds; never negative, whatever two clocks say."""
    return max(0, (end - start) // MS)
