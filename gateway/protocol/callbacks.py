"""Missed calls and whom to call back, on the wire."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from gateway.protocol.calls import Customer, Number, Outcome, QueueName
from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, PlainText, Position, frame
from gateway.protocol.search import Moment

MAX_NOTE = 2_000

CallbackState = Literal["open", "claimed", "closed"]
ByHand = Literal["reached", "no_answer", "wrong_number", "not_needed"]
CallbackOutcome = Literal[
    "reached", "no_answer", "wrong_number", "not_needed", "mistaken", "merged"
]
Limit = Annotated[int, Field(strict=True, ge=1, le=100)]
Cursor = Annotated[PlainText, Field(max_length=200)]


@frame
class Callback:
    """Whom to call back. It travels whole: keep the highest version."""

    id: Id
    version: Position
    state: CallbackState
    customer: Customer | None = None
    """null: no customer has this number."""
    number: str
    """In E.164, of the last missed call."""
    calls: int
    """How many calls were missed since they were reached last."""
    first_missed_at: datetime
    """When the first of these calls began …"""
    last_missed_at: datetime
    """… and the last."""
    last_call_id: UUID
    queues: list[str] = field(default_factory=list)
    """In which these calls were, at most 20."""
    claimed_by: Id | None = None
    claimed_at: datetime | None = None
    claim_until: datetime | None = None
    """Then it is open again, unless it was closed or claimed anew by the same agent."""
    closed_at: datetime | None = None
    closed_by: Id | None = None
    """null: it closed by itself."""
    outcome: CallbackOutcome | None = None
    """mistaken: the calls turned out to have been answered; merged: the number has become a
    customer's, and their item goes on."""
    how: str | None = None
    """By what they were reached: `call`, `hand`, or what the CRM said."""
    note: str | None = None
    recover_ms: int | None = None
    """From the beginning of the first missed call until they were reached."""


@frame
class CallbackPage:
    """Reply to callback.list."""

    callbacks: list[Callback]
    open: int
    """How many are open and claimed by nobody, at most 1,000."""
    open_as_of: int
    """When that was counted, in microseconds by the database's clock: keep the latest count."""
    next: str | None = None


@command(reply=CallbackPage, cost="read")
class CallbackList:
    """Client → server: whom to call back; needs `callbacks.handle`."""

    type: Literal["callback.list"] = "callback.list"
    state: CallbackState | None = None
    """null: open and claimed ones, who has waited longest first. Closed ones come newest first."""
    mine: bool = False
    """Only those that I have claimed, or closed."""
    queue: QueueName | None = None
    """Only those with a call in this queue."""
    limit: Limit = 50
    cursor: Cursor | None = None


@frame
class CallbackIs:
    """Reply to what changes a callback: as it now is."""

    callback: Callback


@command(reply=CallbackIs, cost="write", repeatable=True)
class CallbackClaim:
    """Client → server: I call them back. Again before it ends: for another 15 minutes."""

    type: Literal["callback.claim"] = "callback.claim"
    callback_id: Id


@command(reply=CallbackIs, cost="write", repeatable=True)
class CallbackRelease:
    """Client → server: somebody else may call them back."""

    type: Literal["callback.release"] = "callback.release"
    callback_id: Id


@command(reply=CallbackIs, cost="write", repeatable=True)
class CallbackClose:
    """Client → server: done, one's own or one that nobody has claimed."""

    type: Literal["callback.close"] = "callback.close"
    callback_id: Id
    outcome: ByHand
    note: Annotated[PlainText, Field(min_length=1, max_length=MAX_NOTE)] | None = None


@command(reply=CallbackIs, cost="write", repeatable=True)
class CallbackReopen:
    """Client → server: it was not done after all."""

    type: Literal["callback.reopen"] = "callback.reopen"
    callback_id: Id


@event(lane="message")
class MissedCallCreated:
    """Server → whoever may handle callbacks: a call was missed, and they are to be called back."""

    type: Literal["missed_call.created"] = "missed_call.created"
    callback: Callback
    open: int | None
    """How many are open and claimed by nobody, at most 1,000; null when it could not be counted."""
    open_as_of: int | None
    """When that was counted, in microseconds by the database's clock: keep the latest count."""


@event(lane="message")
class CallbackChanged:
    """Server → whoever may handle callbacks: claimed, given back, closed, opened again."""

    type: Literal["callback.changed"] = "callback.changed"
    callback: Callback
    open: int | None
    """How many are open and claimed by nobody, at most 1,000; null when it could not be counted."""
    open_as_of: int | None
    """When that was counted, in microseconds by the database's clock: keep the latest count."""


@frame
class MissedCallList:
    """Which missed calls to list."""

    queue: QueueName | None = None
    number: Number | None = None
    """However it is written, as for the look-up; what is no number, exactly as the PBX gave it."""
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


@frame
class MissedCall:
    """An inbound call that nobody talked to."""

    call_id: UUID
    source: str
    """Which PBX it came from."""
    number: str | None
    """In E.164, or as the PBX gave it when it is not a number."""
    customer: Customer | None
    queue: str | None
    """The last one it was in."""
    outcome: Outcome
    started_at: datetime
    ended_at: datetime
    wait_ms: int | None
    callback_id: Id | None
    """null: no number, given up within 5 s, or not weighed yet."""


@frame
class MissedCallPage:
    """Missed calls, newest first."""

    calls: list[MissedCall]
    next: str | None = None
