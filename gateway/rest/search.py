"""Search over HTTP: the same commands as on the socket."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import TypeAdapter

from gateway import commands
from gateway.errors import Invalid
from gateway.protocol import EmployeeSearch, EmployeesFound, MessageSearch, MessagesFound
from gateway.protocol.codec import validate
from gateway.protocol.search import MAX_EMPLOYEES, MAX_FOUND, MAX_SEARCH_TEXT, Moment
from gateway.rest.depends import Asking, EmployeeQuery, IdQuery, StrictRoute, answer

router = APIRouter(prefix="/v1/messenger/search", tags=["messenger"], route_class=StrictRoute)

Cursor = Annotated[str | None, Query(max_length=1_000)]

_messages: TypeAdapter[MessageSearch] = TypeAdapter(MessageSearch)
_employees: TypeAdapter[EmployeeSearch] = TypeAdapter(EmployeeSearch)


@router.get("/messages", response_model=MessagesFound)
async def search_messages(
    asking: Asking,
    q: Annotated[str, Query(min_length=1, max_length=MAX_SEARCH_TEXT)],
    *,
    conversation_id: IdQuery = None,
    sender_id: EmployeeQuery = None,
    since: Moment | None = None,
    until: Moment | None = None,
    has_attachment: bool = False,
    limit: Annotated[int, Query(ge=1, le=MAX_FOUND)] = 20,
    cursor: Cursor = None,
) -> Response:
    """Messages in my conversations that contain all words of q, the newest first."""
    asked = {
        "text": q,
        "conversation_id": conversation_id,
        "sender_id": sender_id,
        "since": since,
        "until": until,
        "has_attachment": has_attachment,
        "limit": limit,
        "cursor": cursor,
    }
    return answer(await _run(asking, _messages, asked))


@router.get("/employees", response_model=EmployeesFound)
async def search_employees(
    asking: Asking,
    q: Annotated[str, Query(max_length=MAX_SEARCH_TEXT)] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_EMPLOYEES)] = 50,
    cursor: Cursor = None,
) -> Response:
    """Active employees by parts of name, position or department; all without q."""
    return answer(await _run(asking, _employees, {"text": q, "limit": limit, "cursor": cursor}))


async def _run(asking: Asking, adapter: TypeAdapter[Any], asked: dict[str, Any]) -> Any:
    """Validate a command as the socket does, and run it; `text` there is `q` here."""
    try:
        return await commands.run(asking, validate(adapter, asked))
    except Invalid as error:
        if error.path == "text":
            raise Invalid(error.detail, path="q") from None
        raise
