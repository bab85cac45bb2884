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
    """Reply to receipt.read and receipt.unread: where my read position now is."""

    conversation_id: Id
    last_read_seq: Position


@command(reply=ReceiptReadDone, cost="write", repeatable=True)
class ReceiptRead:
    """Client → server: I have read this conversation up to seq. Moves forward only."""

    type: Literal["receipt.read"] = "receipt.read"
    conversation_id: Id
    seq: Position
    explicit: Explicit = False
    """I said so myself, not merely an open window: ends a manual mark as unread."""


@event(lane="receipt")
class ReceiptWasRead:
    """Server → participants: this person has read up to seq."""

    type: Literal["receipt.read"] = "receipt.read"
    conversation_id: Id
    employee_id: Id
    seq: Position


@command(reply=ReceiptReadDone, cost="write", repeatable=False)
class ReceiptUnread:
    """Client → server: mark the conversation unread from this message on."""

    type: Literal["receipt.unread"] = "receipt.unread"
    conversation_id: Id
    seq: Seq


@frame
class ReceiptReadAllDone:
    """Reply to receipt.read_all."""

    conversations: int
    """How many were unread and now are not."""
    more: bool
    """True: there are others still; ask again."""


@command(reply=ReceiptReadAllDone, cost="write", repeatable=False)
class ReceiptReadAll:
    """Client → server: I have read everything; up to 1,000 conversations at once."""

    type: Literal["receipt.read_all"] = "receipt.read_all"


@frame
class ReceiptDeliveredDone:
    """Reply to receipt.delivered: up to where my devices have it."""

    conversation_id: Id
    last_delivered_seq: Position


@command(reply=ReceiptDeliveredDone, cost="write", repeatable=True)
class ReceiptDelivered:
    """Client → server: my device has everything up to seq. Moves forward only."""

    type: Literal["receipt.delivered"] = "receipt.delivered"
    conversation_id: Id
    seq: Position


@event(lane="receipt")
class ReceiptWasDelivered:
    """Server → who sent those messages: this person's device has everything up to seq."""

    type: Literal["receipt.delivered"] = "receipt.delivered"
    conversation_id: Id
    employee_id: Id
    seq: Position


@frame
class Readers:
    """Reply to receipt.readers; its sender is not among them."""

    conversation_id: Id
    seq: Position
    read_by: list[Id]
    """At most 100, read_count says how many there are."""
    read_count: int
    delivered_count: int
    """How many have it on a device, whether read or not."""
    participant_count: int
    """Of how many: everybody in the conversation but its sender."""


@command(reply=Readers, cost="read")
class ReceiptReaders:
    """Client → server: tell me who has read this message."""

    type: Literal["receipt.readers"] = "receipt.readers"
    conversation_id: Id
    seq: Seq
