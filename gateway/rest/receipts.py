"""Read and delivery positions over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from gateway import commands
from gateway.protocol import (
    Readers,
    ReceiptDelivered,
    ReceiptDeliveredDone,
    ReceiptRead,
    ReceiptReadAll,
    ReceiptReadAllDone,
    ReceiptReadDone,
    ReceiptReaders,
    ReceiptUnread,
    UnreadCounts,
    UnreadGet,
)
from gateway.protocol.frame import MAX_INT, Position, frame
from gateway.protocol.receipts import Explicit, Seq
from gateway.rest.depends import Asking, RowId, StrictRoute, answer

router = APIRouter(prefix="/v1/messenger", tags=["messenger"], route_class=StrictRoute)


@frame
class ReadUpTo:
    """The last message that I have read."""

    seq: Position
    explicit: Explicit = False


@frame
class UnreadFrom:
    """The first message that becomes unread."""

    seq: Seq


@frame
class DeliveredUpTo:
    """The last message that my device has received."""

    seq: Position


@router.post("/conversations/{conversation_id}/read", response_model=ReceiptReadDone)
async def read(asking: Asking, conversation_id: RowId, body: ReadUpTo) -> Response:
    """Move my read position forward."""
    command = ReceiptRead(conversation_id=conversation_id, seq=body.seq, explicit=body.explicit)
    return answer(await commands.run(asking, command))


@router.post("/conversations/{conversation_id}/unread", response_model=ReceiptReadDone)
async def mark_unread(asking: Asking, conversation_id: RowId, body: UnreadFrom) -> Response:
    """Mark the conversation as unread from a message on."""
    command = ReceiptUnread(conversation_id=conversation_id, seq=body.seq)
    return answer(await commands.run(asking, command))


@router.post("/conversations/{conversation_id}/delivered", response_model=ReceiptDeliveredDone)
async def delivered(asking: Asking, conversation_id: RowId, body: DeliveredUpTo) -> Response:
    """Move my delivery position forward."""
    command = ReceiptDelivered(conversation_id=conversation_id, seq=body.seq)
    return answer(await commands.run(asking, command))


@router.get("/conversations/{conversation_id}/messages/{seq}/readers", response_model=Readers)
async def readers(
    asking: Asking, conversation_id: RowId, seq: Annotated[int, Path(ge=1, le=MAX_INT)]
) -> Response:
    """Readers of a message."""
    command = ReceiptReaders(conversation_id=conversation_id, seq=seq)
    return answer(await commands.run(asking, command))


@router.post("/read-all", response_model=ReceiptReadAllDone)
async def read_all(asking: Asking) -> Response:
    """Mark everything as read, up to 1,000 conversations at once."""
    return answer(await commands.run(asking, ReceiptReadAll()))


@router.get("/unread-count", response_model=UnreadCounts)
async def unread_count(asking: Asking) -> Response:
    """My unread counts, and their total for a badge."""
    return answer(await commands.run(asking, UnreadGet()))
