"""Missed calls and call-back requests, on the wire."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from gateway.protocol.calls import Customer, Number, QueueName, ToldOutcome
from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Flag, Id, PlainText, Position, ShownText, frame
from gateway.protocol.search import Moment

MAX_NOTE = 2_000

CallbackState = Literal["open", "claimed", "closed"]
ManualOutcome = Literal["reached", "no_answer", "wrong_number", "not_needed"]
CallbackOutcome = Literal[
    "reached", "no_answer", "wrong_number", "not_needed", "mistaken", "merged"
]
Limit = Annotated[int, Field(strict=True, ge=1, le=100)]
CallbackNote = Annotated[ShownText, Field(min_length=1, max_length=MAX_NOTE)]
Cursor = Annotated[PlainText, Field(max_length=200)]


@frame
class Callback:
    """A call-back request. It is always sent whole; keep the highest version."""

    id: Id
    version: Position
    state: CallbackState
    customer: Customer | None = None
    """null: no customer of the CRM has this number."""
    number: str
    """The number of the last missed call, in E.164."""
    calls: int
    """How many calls were missed since the customer was last reached."""
    first_missed_at: datetime
    """When the first of these calls began."""
    last_missed_at: datetime
    """When the last of these calls began."""
    last_call_id: UUID
    queues: list[str] = field(default_factory=list)
    """The queues of these calls, at most 20."""
    claimed_by: Id | None = None
    claimed_at: datetime | None = None
    claim_until: datetime | None = None
    """When the claim ends and the request is open again; claiming it again extends it."""
    closed_at: datetime | None = None
    closed_by: Id | None = None
    """null: it was closed automatically."""
    outcome: CallbackOutcome | None = None
    """mistaken: the calls had been answered after all; merged: the number now belongs to a customer
    who has a request of their own, which continues."""
    how: str | None = None
    """How the customer was reached: `call`, `hand`, or what the CRM reported."""
    note: str | None = None
    recover_ms: int | None = None
    """From the start of the first missed call until the customer was reached."""


@frame
class CallbackPage:
    """Reply to callback.list."""

    callbacks: list[Callback]
    open: int
    """How many are open and unclaimed, at most 1,000."""
    open_as_of: int
    """When that was counted, in microseconds by the database's clock: keep the latest count."""
    next: str | None = None


@command(reply=CallbackPage, cost="read")
class CallbackList:
    """Client → server: list call-back requests; needs permission `callbacks.handle`."""

    type: Literal["callback.list"] = "callback.list"
    state: CallbackState | None = None
    """null: open and claimed ones, longest waiting first. Closed ones are listed newest first."""
    mine: Flag = False
    """True: only those that the employee has claimed or closed."""
    queue: QueueName | None = None
    """Only requests with a call in this queue."""
    limit: Limit = 50
    cursor: Cursor | None = None


@frame
class CallbackIs:
    """Reply to commands that change a call-back request: its new state."""

    callback: Callback


@command(reply=CallbackIs, cost="write", repeatable=True)
class CallbackClaim:
    """Client → server: claim a request for 15 minutes; claiming it again extends the claim."""

    type: Literal["callback.claim"] = "callback.claim"
    callback_id: Id


@command(reply=CallbackIs, cost="write", repeatable=True)
class CallbackRelease:
    """Client → server: give up the claim, so that others can call back."""

    type: Literal["callback.release"] = "callback.release"
    callback_id: Id


@command(reply=CallbackIs, cost="write", repeatable=True)
class CallbackClose:
    """Client → server: close a request that the employee has claimed or that is unclaimed."""

    type: Literal["callback.close"] = "callback.close"
    callback_id: Id
    outcome: ManualOutcome
    note: CallbackNote | None = None


@command(reply=CallbackIs, cost="write", repeatable=True)
class CallbackReopen:
    """Client → server: open a closed request again."""

    type: Literal["callback.reopen"] = "callback.reopen"
    callback_id: Id


@event(lane="message")
class MissedCallCreated:
    """Server → employees with `callbacks.handle`: a missed call to call back."""

    type: Literal["missed_call.created"] = "missed_call.created"
    callback: Callback
    open: int | None
    """How many are open and unclaimed, at most 1,000; null when it could not be counted."""
    open_as_of: int | None
    """When that was counted, in microseconds by the database's clock: keep the latest count."""


@event(lane="message")
class CallbackChanged:
    """Server → employees with `callbacks.handle`: a call-back request has changed."""

    type: Literal["callback.changed"] = "callback.changed"
    callback: Callback
    open: int | None
    """How many are open and unclaimed, at most 1,000; null when it could not be counted."""
    open_as_of: int | None
    """When that was counted, in microseconds by the database's clock: keep the latest count."""


@frame
class MissedCallList:
    """Filters for the list of missed calls."""

    queue: QueueName | None = None
    number: Number | None = None
    """A number in any usual notation; what is not a number has to be as the PBX sent it."""
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


@frame
class MissedCall:
    """An inbound call that was not answered."""

    call_id: UUID
    source: str
    """The PBX that it came from."""
    number: str | None
    """In E.164, or as the PBX sent it when it is not a number."""
    customer: Customer | None
    queue: str | None
    """The last queue of the call."""
    outcome: ToldOutcome
    started_at: datetime
    ended_at: datetime
    wait_ms: int | None
    callback_id: Id | None
    """null: no number, abandoned within 5 s, or not evaluated yet."""


@frame
class MissedCallPage:
    """Missed calls, newest first."""

    calls: list[MissedCall]
    next: str | None = None
