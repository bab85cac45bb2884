"""Calls on the wire."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Annotated, Literal, get_args
from uuid import UUID

from pydantic import BeforeValidator, Field

from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, PlainText, Position, frame
from gateway.protocol.search import Moment

Direction = Literal["inbound", "outbound", "internal"]
CallStatus = Literal["created", "waiting", "ringing", "talking", "ended"]
Outcome = Literal[
    "answered", "voicemail", "abandoned", "missed", "timeout", "left_queue", "failed", "unknown"
]  # fmt: skip
OUTCOMES = frozenset(get_args(Outcome))


def _known_outcome(value: object) -> object:
    return "unknown" if isinstance(value, str) and value not in OUTCOMES else value


ToldOutcome = Annotated[Outcome, BeforeValidator(_known_outcome)]
"""In what the server tells: a client takes an outcome of a later version for `unknown`."""

LegKind = Literal["external", "agent", "technical"]
EndedBy = Literal["customer", "agent", "pbx"]
TransferKind = Literal["blind", "attended", "blonde", "threeway", "redirect"]
LegStatus = Literal["created", "ringing", "talking", "held", "ended"]

QueueName = Annotated[PlainText, Field(min_length=1, max_length=200)]
Number = Annotated[PlainText, Field(min_length=1, max_length=200)]
Duration = Annotated[int, Field(strict=True, ge=0, le=10**10)]
"""Milliseconds, at most 115 days."""
DispositionCode = Annotated[str, Field(strict=True, pattern=r"^[a-z0-9_.-]{1,64}$")]


@frame
class OpenWork:
    """Something that is open for a customer: a lead, a work order … For the screen pop."""

    kind: str
    """As the CRM names it; `id` is unique within it."""
    id: int
    title: str
    status: str
    label: str | None = None
    """The kind for people to read."""
    external_id: str | None = None
    """The CRM's own id, where its ids are not numbers."""
    url: str | None = None
    """The address of its page in the CRM."""


@frame
class LastCall:
    """An earlier call with the same number."""

    call_id: UUID
    at: datetime
    direction: Direction
    outcome: ToldOutcome | None
    employee_id: int | None
    """The employee who talked first; null when no employee's telephone answered."""
    talk_ms: int | None


@frame
class Customer:
    """The customer of the CRM who has the outside number."""

    id: int
    name: str
    company: str | None = None
    external_id: str | None = None
    """The CRM's own id, where its ids are not numbers."""
    url: str | None = None
    """The address of the customer's page in the CRM."""
    open_work: list[OpenWork] = field(default_factory=list)
    contacts: list[LastCall] = field(default_factory=list)
    """The last 5 calls with this number, newest first; only in call.offered and welcome."""
    last_spoke: int | None = None
    """The employee who talked with the customer last, within the last 50 calls; set where contacts
    are."""


@frame
class CallLeg:
    """The part of one telephone in a call."""

    employee_id: int | None = None
    extension: str | None = None
    kind: LegKind
    status: LegStatus
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    ended_reason: str | None = None
    """Why it ended: completed, no_answer, answered_elsewhere, other_device (of the same telephone),
    busy, rejected, canceled, failed."""
    forwarded_from: str | None = None
    """The extension that sent the call on to this telephone, without taking it."""
    sip_call_id: str | None = None
    """The Call-ID of its SIP dialogue, when the PBX reports it; a softphone finds its leg by it."""


@frame
class QueueStint:
    """The time that a call was in one queue."""

    queue: str
    entered_at: datetime
    answered_at: datetime | None = None
    left_at: datetime | None = None
    outcome: str | None = None
    """connected, abandoned, timeout, key, leave_empty, full …; null while waiting."""
    wait_ms: int | None = None


@frame
class CallTransfer:
    """One transfer of a call."""

    kind: TransferKind
    """blind; attended: after a consultation; blonde: completed while the target was still ringing;
    threeway; redirect: from outside, by no telephone of the call."""
    at: datetime
    by: int | None = None
    """The employee who transferred the call; null for a redirect."""
    by_extension: str | None = None
    to: int | None = None
    """The employee who answered, or whose telephone rang when nobody answered."""
    to_extension: str | None = None
    to_number: str | None = None
    """The number that was dialled, when the PBX reports it."""
    queue: str | None = None
    """The queue that the call was transferred to."""
    answered_at: datetime | None = None
    """When the target answered, before `at` for a consultation; null: nobody answered."""
    consult_ms: int | None = None
    """How long the consultation took."""


@frame
class CallParking:
    """One time that a call was parked: put where anybody can pick it up."""

    at: datetime
    until: datetime | None = None
    """null while it is parked."""
    slot: str | None = None
    """The number by which it can be picked up, when the PBX reports it."""
    by: int | None = None
    """The employee who parked the call."""
    by_extension: str | None = None
    result: str | None = None
    """picked_up; timeout: nobody did, and it went back or on; given_up: the caller hung up."""
    to: int | None = None
    """The employee who picked it up."""
    to_extension: str | None = None


@frame
class CallLeftOut:
    """How many parts of a call are not shown; GET /v1/telephony/calls/{id}/parts returns them."""

    legs: int = 0
    stints: int = 0
    transfers: int = 0
    parkings: int = 0


@frame
class Call:
    """The whole state of a call. It is always sent whole; keep the highest version."""

    id: UUID
    version: Position
    source: str
    """The PBX that it came from."""
    direction: Direction
    status: CallStatus
    outcome: ToldOutcome | None = None
    """null until the call has ended."""
    number: str | None = None
    """The outside number in E.164, or as the PBX sent it when it is not a number."""
    caller_name: str | None = None
    """The name that the PBX reports; the CRM's is customer.name."""
    customer: Customer | None = None
    customers_found: int = 0
    """How many customers have this number, at most 20; customer is the best match."""
    did: str | None = None
    """The number of ours that the caller of an inbound call dialled, in E.164 or as the PBX says
    it; null when it does not."""
    mailbox: str | None = None
    """The mailbox that the caller reached, as the PBX names it, empty when it does not; null:
    none."""
    message_left: bool | None = None
    """Whether the caller left a message there; null: no mailbox, or the PBX does not tell."""
    room: str | None = None
    """The conference that the call was in, as the PBX names it; of several, the last."""
    parked_ms: int | None = None
    """How long it was parked, without a time that goes on; null: never."""
    queue: str | None = None
    started_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    wait_ms: int | None = None
    talk_ms: int | None = None
    answered_by: int | None = None
    """The employee who talked first."""
    ring_group: str | None = None
    """The number or name of the ring group that was rung first, as the PBX has it."""
    asked_extension: str | None = None
    """The extension that the caller asked for: dialled inside, or that was rung first; null for a
    queue, a group, an outsider. Who took the call may be another one."""
    ended_by: EndedBy | None = None
    """Who hung up; null while the call goes on, and when the PBX does not tell."""
    ended_by_extension: str | None = None
    """The extension of the agent who hung up; in an internal call, of either side."""
    legs: list[CallLeg] = field(default_factory=list)
    """At most 50, in their order: the latest of the receiver's telephones, of those named above,
    the first, those that go on, those that talked, the newest."""
    stints: list[QueueStint] = field(default_factory=list)
    """At most 20: those that go on, the newest."""
    transfers: list[CallTransfer] = field(default_factory=list)
    """The newest 20."""
    parkings: list[CallParking] = field(default_factory=list)
    """The newest 20. While the call is parked, the last one has no until."""
    left_out: CallLeftOut | None = None
    """null: all parts are here. Calls of one list whose calls before have 2,000 parts together (of
    a welcome 400) show at most 5 of each kind."""


@frame
class CallPage:
    """Calls, newest first."""

    calls: list[Call]
    dispositions: dict[str, CallDisposition] = field(default_factory=dict)
    """call → its disposition, for calls that have one."""
    next: str | None = None
    """Cursor of the next page; null at the end. A page with a cursor may be short or even empty:
    the filters match few calls, and the rest has not been searched yet."""


@command(reply=CallPage, cost="read")
class CallList:
    """Client → server: list the employee's own calls, or all with permission `calls.view_all`."""

    type: Literal["call.list"] = "call.list"
    status: Literal["live", "ended"] | None = None
    outcome: Outcome | None = None
    direction: Direction | None = None
    queue: QueueName | None = None
    """Only calls that were in this queue at any time."""
    ring_group: QueueName | None = None
    """Only calls that reached this ring group first, by its number or name."""
    number: Number | None = None
    """A number in any usual notation; for calls without a number in E.164, exactly what the PBX
    sent: an extension, `anonymous`."""
    did: Number | None = None
    """Only calls to this number of ours, in any usual notation."""
    agent_id: Id | None = None
    """Only calls with a telephone of this employee; another employee than oneself needs
    `calls.view_all`."""
    customer_id: Id | None = None
    """Calls with one of this customer's numbers in the CRM, at most 50, in either direction."""
    ended_by: EndedBy | None = None
    """Only calls that this side ended."""
    disposition: DispositionCode | None = None
    """Only calls that have this disposition now."""
    wait_ms_min: Duration | None = None
    """Only calls with a wait_ms of at least this; calls that were in no queue have none."""
    wait_ms_max: Duration | None = None
    """Only calls with a wait_ms of at most this."""
    talk_ms_min: Duration | None = None
    """Only calls with a talk_ms of at least this; calls that nobody answered have none."""
    talk_ms_max: Duration | None = None
    """Only calls with a talk_ms of at most this."""
    since: Moment | None = None
    """Only calls that began at this time or later."""
    until: Moment | None = None
    """Only calls that began before this time."""
    limit: Annotated[int, Field(strict=True, ge=1, le=100)] = 50
    cursor: Annotated[PlainText, Field(max_length=200)] | None = None


@frame
class CallDisposition:
    """The disposition of a call."""

    code: str
    label: str
    set_by: Id
    set_at: datetime


@event(lane="call")
class CallOffered:
    """Server → an agent: the agent's telephone rings."""

    type: Literal["call.offered"] = "call.offered"
    call: Call


@event(lane="call")
class CallUpdated:
    """Server → the call's agents: answered, held, transferred, or no longer ringing."""

    type: Literal["call.updated"] = "call.updated"
    call: Call


@event(lane="call")
class CallEnded:
    """Server → the call's agents: the call has ended; call.outcome says how."""

    type: Literal["call.ended"] = "call.ended"
    call: Call


@event(lane="call")
class CallRevised:
    """Server → the call's agents: a late event of the PBX changed a call that had ended."""

    type: Literal["call.revised"] = "call.revised"
    call: Call
