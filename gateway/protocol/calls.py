"""Calls on the wire."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, PlainText, Position, frame
from gateway.protocol.search import Moment

Direction = Literal["inbound", "outbound", "internal"]
CallStatus = Literal["created", "waiting", "ringing", "talking", "ended"]
Outcome = Literal["answered", "abandoned", "missed", "timeout", "left_queue", "failed", "unknown"]
LegKind = Literal["external", "agent", "technical"]
TransferKind = Literal["blind", "attended", "blonde", "threeway"]
LegStatus = Literal["created", "ringing", "talking", "held", "ended"]

QueueName = Annotated[PlainText, Field(min_length=1, max_length=200)]
Number = Annotated[PlainText, Field(min_length=1, max_length=64)]
DispositionCode = Annotated[PlainText, Field(pattern=r"^[a-z0-9_.-]{1,64}$")]


@frame
class OpenWork:
    """Something the CRM has open for a customer: what a screen-pop shows."""

    kind: Literal["lead", "work_order"]
    id: int
    title: str
    status: str


@frame
class LastCall:
    """An earlier call with the same number."""

    call_id: UUID
    at: datetime
    direction: Direction
    outcome: Outcome | None
    employee_id: int | None
    """Who of us talked first; null when nobody did, or nobody's telephone."""
    talk_ms: int | None


@frame
class Customer:
    """Who the CRM thinks is on the other end of the line."""

    id: int
    name: str
    company: str | None = None
    open_work: list[OpenWork] = field(default_factory=list)
    contacts: list[LastCall] = field(default_factory=list)
    """The last 5 calls with this number, newest first; only in call.offered and the welcome."""
    last_spoke: int | None = None
    """The employee who talked with them last, where contacts are, in one of the last 50 calls."""


@frame
class CallLeg:
    """One telephone's part in a call."""

    employee_id: int | None = None
    extension: str | None = None
    kind: LegKind
    status: LegStatus
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    ended_reason: str | None = None
    """Why it ended: completed, no_answer, answered_elsewhere, busy, rejected, canceled, failed."""
    sip_call_id: str | None = None
    """The Call-ID of its SIP dialogue, where the PBX tells it: a softphone finds its leg by it."""


@frame
class QueueStint:
    """One stay of a call in one queue."""

    queue: str
    entered_at: datetime
    answered_at: datetime | None = None
    left_at: datetime | None = None
    outcome: str | None = None
    """connected, abandoned, timeout, key, leave_empty, full …; null while waiting."""
    wait_ms: int | None = None


@frame
class CallTransfer:
    """One handing-on of a call."""

    kind: TransferKind
    """blind; attended, after asking; blonde, while the one asked still rang; threeway."""
    at: datetime
    by: int | None = None
    """The employee who handed it on."""
    by_extension: str | None = None
    to: int | None = None
    """The employee who took it, or whose telephone was rung while nobody has."""
    to_extension: str | None = None
    to_number: str | None = None
    """What was dialled, where the PBX tells it."""
    queue: str | None = None
    """The queue that it went into."""
    answered_at: datetime | None = None
    """When they answered, before `at` where they were asked first; null: nobody has."""
    consult_ms: int | None = None
    """How long they were asked before."""


@frame
class Call:
    """A call's whole state. It travels whole: keep the highest version."""

    id: UUID
    version: Position
    source: str
    """Which PBX it came from."""
    direction: Direction
    status: CallStatus
    outcome: Outcome | None = None
    """null until it has ended."""
    number: str | None = None
    """The outside party's number in E.164, or as the PBX gave it when it is not a number."""
    caller_name: str | None = None
    """The name the PBX shows; the CRM's own is customer.name."""
    customer: Customer | None = None
    customers_found: int = 0
    """How many customers have this number, at most 20; customer is the best of them."""
    queue: str | None = None
    started_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    wait_ms: int | None = None
    talk_ms: int | None = None
    answered_by: int | None = None
    """The employee who talked first."""
    legs: list[CallLeg] = field(default_factory=list)
    stints: list[QueueStint] = field(default_factory=list)
    transfers: list[CallTransfer] = field(default_factory=list)


@frame
class CallPage:
    """Calls, newest first."""

    calls: list[Call]
    dispositions: dict[str, CallDisposition] = field(default_factory=dict)
    """call → how it went, for those of which somebody said so."""
    next: str | None = None
    """Where to go on, null at the end. A page that has one may be short, even empty: what was asked
    for together is rare, and the rest of the calls has not been gone through yet."""


@command(reply=CallPage, cost="read")
class CallList:
    """Client → server: calls I took part in (everyone's with permission `calls.view_all`)."""

    type: Literal["call.list"] = "call.list"
    status: Literal["live", "ended"] | None = None
    outcome: Outcome | None = None
    direction: Direction | None = None
    queue: QueueName | None = None
    """Calls that were in this queue at any time."""
    number: Number | None = None
    """However it is written, as for the look-up; or, of calls without a number in E.164, exactly
    as the PBX gave it: an extension, `anonymous`."""
    agent_id: Id | None = None
    """Calls in which a telephone of this employee took part; another than me needs
    `calls.view_all`, without it permission.denied."""
    customer_id: Id | None = None
    """Calls with one of the numbers that the CRM has of this customer, at most 50, in either
    direction."""
    disposition: DispositionCode | None = None
    """Calls that have this one now."""
    since: Moment | None = None
    """Calls that began then or later …"""
    until: Moment | None = None
    """… and before this."""
    limit: Annotated[int, Field(strict=True, ge=1, le=100)] = 50
    cursor: Annotated[PlainText, Field(max_length=200)] | None = None


@frame
class CallDisposition:
    """How somebody says a call went."""

    code: str
    label: str
    set_by: Id
    set_at: datetime


@event(lane="call")
class CallOffered:
    """Server → an agent: your telephone rings."""

    type: Literal["call.offered"] = "call.offered"
    call: Call


@event(lane="call")
class CallUpdated:
    """Server → the call's agents: answered, held, transferred, or no longer ringing for you."""

    type: Literal["call.updated"] = "call.updated"
    call: Call


@event(lane="call")
class CallEnded:
    """Server → the call's agents: it is over; call.outcome says how."""

    type: Literal["call.ended"] = "call.ended"
    call: Call


@event(lane="call")
class CallRevised:
    """Server → the call's agents: it was over and has become another one, by a late event."""

    type: Literal["call.revised"] = "call.revised"
    call: Call
