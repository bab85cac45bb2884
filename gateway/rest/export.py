"""Export of a whole conversation as a download."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from gateway.chat import export
from gateway.context import Context
from gateway.rest.depends import Asking, RowId, StrictRoute

router = APIRouter(prefix="/v1/messenger", tags=["messenger"], route_class=StrictRoute)

LINES = "application/x-ndjson"


@router.get(
    "/conversations/{conversation_id}/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One JSON object a line: the conversation, its messages, their number",
            "content": {LINES: {"schema": {"type": "string"}}},
        }
    },
)
async def export_conversation(asking: Asking, conversation_id: RowId) -> StreamingResponse:
    """Everything I may read in a conversation; needs the permission conversations.export.

    The last line is `{"messages": n}`; without it the export is not whole. One that cannot go on
    ends with `{"error": …}`.
    """
    return StreamingResponse(
        _in_turns(asking, await export.start(asking, conversation_id)),
        media_type=LINES,
        headers={
            "Content-Disposition": f'attachment; filename="conversation-{conversation_id}.jsonl"'
        },
    )


async def _in_turns(asking: Context, lines: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """Yield these; each takes turns of the loop, though Starlette sends them by another task."""
    async with aclosing(lines):
        while some := await asking.services.turns.run(asking.user_id, _next(lines)):
            yield some


async def _next(lines: AsyncGenerator[bytes, None]) -> bytes:
    return await anext(lines, b"")
