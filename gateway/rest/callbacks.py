"""Missed calls, call-back requests and the lookup of numbers, over HTTP.

clients ─▶ here ─▶ commands, telephony.callbacks, telephony.calls.lookup.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import TypeAdapter

from gateway import commands
from gateway.protocol import (
    CallbackClaim,
    CallbackClose,
    CallbackIs,
    CallbackList,
    CallbackPage,
    CallbackRelease,
    CallbackReopen,
)
from gateway.protocol.callbacks import (
    CallbackNote,
    CallbackState,
    ManualOutcome,
    MissedCallList,
    MissedCallPage,
)
from gateway.protocol.codec import validate
from gateway.protocol.frame import frame
from gateway.protocol.lookup import LookupRequest, NumberFound, Region
from gateway.protocol.search import Moment
from gateway.rest.depends import Asking, Cursor, RowId, StrictRoute, answer
from gateway.telephony.callbacks import missed
from gateway.telephony.calls import lookup

router = APIRouter(prefix="/v1/telephony", tags=["telephony"], route_class=StrictRoute)

ONE = "/callbacks/{callback_id}"

_callbacks: TypeAdapter[CallbackList] = TypeAdapter(CallbackList)
_missed: TypeAdapter[MissedCallList] = TypeAdapter(MissedCallList)
_number: TypeAdapter[LookupRequest] = TypeAdapter(LookupRequest)

Limit = Annotated[int, Query(ge=1, le=100)]
QueueName = Annotated[str | None, Query(max_length=200)]


@frame
class Closing:
    """How a call-back ended."""

    outcome: ManualOutcome
    note: CallbackNote | None = None


@router.get("/lookup", response_model=NumberFound)
async def look_up(
    asking: Asking,
    *,
    number: Annotated[str, Query(max_length=64)],
    region: Region | None = None,
) -> Response:
    """Find who has this number, and the last calls with it."""
    query = validate(_number, {"number": number, "region": region})
    return answer(await lookup.resolve(asking, query))


@router.get("/missed-calls", response_model=MissedCallPage)
async def list_missed_calls(
    asking: Asking,
    *,
    queue: QueueName = None,
    number: Annotated[str | None, Query(max_length=64)] = None,
    since: Moment | None = None,
    until: Moment | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the inbound calls that nobody answered, newest first."""
    fields = {
        "queue": queue,
        "number": number,
        "since": since,
        "until": until,
        "limit": limit,
        "cursor": cursor,
    }
    return answer(await missed.list_page(asking, validate(_missed, fields)))


@router.get("/callbacks", response_model=CallbackPage)
async def list_callbacks(
    asking: Asking,
    *,
    state: CallbackState | None = None,
    mine: bool = False,
    queue: QueueName = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List call-back requests, the longest wait first; closed ones newest first."""
    fields = {"state": state, "mine": mine, "queue": queue, "limit": limit, "cursor": cursor}
    return answer(await commands.run(asking, validate(_callbacks, fields)))


@router.post(ONE + "/claim", response_model=CallbackIs)
async def claim(asking: Asking, callback_id: RowId) -> Response:
    """Claim a request, or extend one's claim by 15 minutes."""
    return answer(await commands.run(asking, CallbackClaim(callback_id=callback_id)))


@router.post(ONE + "/release", response_model=CallbackIs)
async def release(asking: Asking, callback_id: RowId) -> Response:
    """Release one's claim, so that others may call back."""
    return answer(await commands.run(asking, CallbackRelease(callback_id=callback_id)))


@router.post(ONE + "/close", response_model=CallbackIs)
async def close(asking: Asking, callback_id: RowId, body: Closing) -> Response:
    """Close a request with its outcome."""
    command = CallbackClose(callback_id=callback_id, outcome=body.outcome, note=body.note)
    return answer(await commands.run(asking, command))


@router.post(ONE + "/reopen", response_model=CallbackIs)
async def reopen(asking: Asking, callback_id: RowId) -> Response:
    """Reopen a closed request."""
    return answer(await commands.run(asking, CallbackReopen(callback_id=callback_id)))
