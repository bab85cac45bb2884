"""Read and delivery positions on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, Position, frame

MAX_READERS = 100

Seq = Annotated[Position, Field(ge=1)]
Explicit = Annotated[bool, Field(strict=True)]


@frame
class ReceiptReadDone:
    """Reply to receipt.read and receipt.unread: the read position after the change."""

    conversation_id: Id
    last_read_seq: Position


@command(reply=ReceiptReadDone, cost="write", repeatable=True)
class ReceiptRead:
    """Client → server: the employee has read up to seq. The position only moves forward."""

    type: Literal["receipt.read"] = "receipt.read"
    conversation_id: Id
    seq: Position
    explicit: Explicit = False
    """True: the employee marked it read, not just an open window; ends a manual unread mark."""


@event(lane="receipt")
class ReceiptWasRead:
    """Server → participants: an employee has read up to seq."""

    type: Literal["receipt.read"] = "receipt.read"
    conversation_id: Id
    employee_id: Id
    seq: Position


@command(reply=ReceiptReadDone, cost="write", repeatable=False)
class ReceiptUnread:
    """Client → server: mark a conversation as unread from this message on."""

    type: Literal["receipt.unread"] = "receipt.unread"
    conversation_id: Id
    seq: Seq


@frame
class ReceiptReadAllDone:
    """Reply to receipt.read_all."""

    conversations: int
    """How many were unread before."""
    more: bool
    """True: there are more; repeat the command."""


@command(reply=ReceiptReadAllDone, cost="write", repeatable=False)
class ReceiptReadAll:
    """Client → server: mark everything as read, up to 1,000 conversations at once."""

    type: Literal["receipt.read_all"] = "receipt.read_all"


@frame
class ReceiptDeliveredDone:
    """Reply to receipt.delivered: the last seq that a device of the employee has received."""

    conversation_id: Id
    last_delivered_seq: Position


@command(reply=ReceiptDeliveredDone, cost="write", repeatable=True)
class ReceiptDelivered:
    """Client → server: this device has received up to seq. The position only moves forward."""

    type: Literal["receipt.delivered"] = "receipt.delivered"
    conversation_id: Id
    seq: Position


@event(lane="receipt")
class ReceiptWasDelivered:
    """Server → the senders of these messages: a device of an employee has received up to seq."""

    type: Literal["receipt.delivered"] = "receipt.delivered"
    conversation_id: Id
    employee_id: Id
    seq: Position


@frame
class Readers:
    """Reply to receipt.readers, without the sender of the message."""

    conversation_id: Id
    seq: Position
    read_by: list[Id]
    """At most 100; read_count is the number of all."""
    read_count: int
    delivered_count: int
    """How many have received it on a device, read or not."""
    participant_count: int
    """How many are in the conversation, without the sender."""


@command(reply=Readers, cost="read")
class ReceiptReaders:
    """Client → server: list who has read a message."""

    type: Literal["receipt.readers"] = "receipt.readers"
    conversation_id: Id
    seq: Seq
