"""Edit, delete, reactions, threads and changes over HTTP: the same commands as on the socket."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import TypeAdapter

from gateway import commands
from gateway.protocol import (
    ChangesPage,
    MessageChanges,
    MessageDelete,
    MessageEdit,
    MessageIs,
    MessageThread,
    ReactionAdd,
    ReactionRemove,
    ReactionsAre,
    ThreadPage,
)
from gateway.protocol.codec import validate
from gateway.protocol.frame import MAX_INT, frame
from gateway.protocol.messages import MAX_EMOJI, MAX_PAGE, Emoji, Text
from gateway.rest.depends import Asking, RowId, StrictRoute, answer

MESSAGES = "/conversations/{conversation_id}/messages/{seq}"

router = APIRouter(prefix="/v1/messenger", tags=["messenger"], route_class=StrictRoute)

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
SeqQuery = Annotated[int | None, Query(ge=0, le=MAX_INT)]

_removing: TypeAdapter[ReactionRemove] = TypeAdapter(ReactionRemove)


@frame
class TextNew:
    """The new text of a message."""

    text: Text


@frame
class ReactionNew:
    """A reaction to a message."""

    emoji: Emoji


@router.patch(MESSAGES, response_model=MessageIs)
async def edit_message(
    asking: Asking, conversation_id: RowId, seq: RowId, body: TextNew
) -> Response:
    """Change the text of a message of mine."""
    command = MessageEdit(conversation_id=conversation_id, seq=seq, text=body.text)
    return answer(await commands.run(asking, command))


@router.delete(MESSAGES, response_model=MessageIs)
async def delete_message(asking: Asking, conversation_id: RowId, seq: RowId) -> Response:
    """Delete a message; its seq stays. Deleting again returns the same."""
    command = MessageDelete(conversation_id=conversation_id, seq=seq)
    return answer(await commands.run(asking, command))


@router.post(MESSAGES + "/reactions", response_model=ReactionsAre)
async def add_reaction(
    asking: Asking, conversation_id: RowId, seq: RowId, body: ReactionNew
) -> Response:
    """Add my reaction to a message; adding again changes nothing."""
    command = ReactionAdd(conversation_id=conversation_id, seq=seq, emoji=body.emoji)
    return answer(await commands.run(asking, command))


@router.delete(MESSAGES + "/reactions", response_model=ReactionsAre)
async def remove_reaction(
    asking: Asking,
    conversation_id: RowId,
    seq: RowId,
    emoji: Annotated[
        str,
        Query(
            min_length=1,
            max_length=MAX_EMOJI,
            description="The one to take back, percent-encoded.",
        ),
    ],
) -> Response:
    """Remove my reaction; removing again changes nothing."""
    command = validate(_removing, {"conversation_id": conversation_id, "seq": seq, "emoji": emoji})
    return answer(await commands.run(asking, command))


@router.get(MESSAGES + "/thread", response_model=ThreadPage)
async def thread(
    asking: Asking,
    conversation_id: RowId,
    seq: RowId,
    *,
    before: SeqQuery = None,
    after: SeqQuery = None,
    limit: Limit = 50,
) -> Response:
    """Return a message and its replies: the newest ones, or those before or after a seq."""
    command = MessageThread(
        conversation_id=conversation_id, seq=seq, before=before, after=after, limit=limit
    )
    return answer(await commands.run(asking, command))


@router.get("/conversations/{conversation_id}/changes", response_model=ChangesPage)
async def changes(
    asking: Asking,
    conversation_id: RowId,
    after: Annotated[int, Query(ge=0, le=MAX_INT)],
    limit: Limit = MAX_PAGE,
) -> Response:
    """Return the changes of a conversation after one, as events."""
    command = MessageChanges(conversation_id=conversation_id, after=after, limit=limit)
    return answer(await commands.run(asking, command))
