"""CallState: the state of one call, as the fold returns it and the database stores it.

fold ─▶ CallState ─▶ sessions ─▶ CallChange ─▶ announce. Of two states of one call the one with the
higher `version` is newer; a client ignores a lower version than it has.
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
Outcome = Literal[
    "answered", "voicemail", "abandoned", "missed", "timeout", "left_queue", "failed", "unknown"
]  # fmt: skip
LegKind = Literal["external", "agent"]
LegStatus = Literal["created", "ringing", "talking", "held", "ended"]
EndedReason = Literal[
    "completed",
    "no_answer",
    "answered_elsewhere",
    "other_device",
    "busy",
    "rejected",
    "canceled",
    "failed",
    "lost",
]
"""other_device: the offer is counted with another device of the same telephone."""
EndedBy = Literal["customer", "agent", "pbx"]
TransferKind = Literal["blind", "attended", "blonde", "threeway", "redirect"]
"""Blonde: a consultation transfer, completed while the other telephone still rang. Redirect: from
outside, by no telephone of the call."""
ParkingResult = Literal["picked_up", "timeout", "given_up"]
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
    """One telephone's part in a call. A Local channel between two telephones is no leg."""

    leg_key: str
    extension: str | None
    kind: LegKind
    status: LegStatus
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    ended_reason: EndedReason | None = None
    talk_ms: int | None = None
    """Time in conversations that are over, holds included."""
    overlap_ms: int | None = None
    """Part of talk_ms in which the telephone also talked on an earlier line in this call, as in a
    consultation; None: it had none."""
    hold_ms: int | None = None
    forwarded_from: str | None = None
    """The extension that sent the call on to it, without taking it."""
    sip_call_id: str | None = None
    """The SIP Call-ID by which the telephone knows its call: the first that the PBX reported."""
    shared: bool = False
    """It talks with several outside callers in a conference, and is counted in another call."""
    placed: bool = False
    """The PBX rang it to call somebody for its employee (click-to-call): nobody called it."""


@frozen
class StintState:
    """One stint in one queue: the unit in which waiting and abandoning are counted."""

    queue: str
    entered_at: datetime
    answered_at: datetime | None = None
    left_at: datetime | None = None
    outcome: StintOutcome | None = None
    """None while waiting, and until the reason for leaving has arrived."""
    wait_ms: int | None = None


@frozen
class TransferState:
    """One transfer of a call."""

    kind: TransferKind
    at: datetime
    by_leg_key: str | None
    by_extension: str | None
    to_number: str | None = None
    """What was dialled."""
    to_extension: str | None = None
    """Of the telephone that took the call; while none has, of the one that was rung first."""
    queue: str | None = None
    """The queue that the call was transferred into."""
    answered_at: datetime | None = None
    """When that telephone answered, after a consultation before `at`; None: nobody has."""
    consult_ms: int | None = None
    """From that answer to the transfer, in milliseconds."""


@frozen
class ParkingState:
    """One time that a call was parked: put where anybody can pick it up."""

    at: datetime
    until: datetime | None = None
    slot: str | None = None
    """The number by which it can be picked up."""
    by_extension: str | None = None
    result: ParkingResult | None = None
    """None while it is parked, and when the PBX does not say how it ended."""
    to_extension: str | None = None
    """Of the telephone that picked it up."""


@frozen
class RecordingState:
    """One recording of one PBX channel; the audio itself is stored elsewhere."""

    id: UUID
    """Derived from the PBX's name for it, so it stays the same when calls are merged."""
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
    """Not compared: two states that differ in nothing else are equal, and no change."""
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
    did: str | None = None
    """The number of ours that the caller dialled: in E.164, or as the PBX says it."""
    mailbox: str | None = None
    """The mailbox that the caller reached, as the PBX names it; of several, the last."""
    message_left: bool | None = None
    """Whether they left a message there; None: no mailbox, or the PBX does not tell."""
    ring_group: str | None = None
    """The number or name of the ring group that was rung first."""
    asked_extension: str | None = None
    """The extension that the caller asked for: dialled, or that was rung first for them."""
    ended_by: EndedBy | None = None
    """Who hung up; None while the call goes on, and when the PBX does not tell."""
    ended_by_extension: str | None = None
    """Of the telephone of ours that hung up."""
    room: str | None = None
    """The conference that the call was in, as the PBX names it; of several, the last."""
    parked_ms: int | None = None
    """How long it was parked, without a time that goes on; None: never."""
    events_in: UUID | None = None
    """The call with which its events are stored: of another caller in the same conference."""
    events_leg: str | None = None
    """Then the first channel of its own caller."""
    merged_into: UUID | None = None
    """The call that this one turned out to be a part of. This one is over, that one goes on."""
    legs: tuple[LegState, ...] = ()
    stints: tuple[StintState, ...] = ()
    transfers: tuple[TransferState, ...] = ()
    parkings: tuple[ParkingState, ...] = ()
    recordings: tuple[RecordingState, ...] = ()

    @property
    def missed(self) -> bool:
        """Whether an outside caller was not answered: somebody should call back."""
        over = self.status == "ended" and self.merged_into is None
        return over and self.direction == "inbound" and self.outcome not in {"answered", None}

    @property
    def ringing(self) -> frozenset[str]:
        """Extensions that are ringing."""
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
    """Announced again, as it is not known whether it was before: it starts no ringing."""

    @property
    def offered(self) -> frozenset[str]:
        """Extensions that are ringing now and were not before.

        By extension: a telephone may appear as a Local channel first and as its own channel later.
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
    """Return whole milliseconds; never negative, even if the two clocks disagree."""
    return max(0, (end - start) // MS)
