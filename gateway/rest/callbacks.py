"""Missed calls, whom to call back and who has a number, over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field, TypeAdapter

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
    MAX_NOTE,
    ByHand,
    CallbackState,
    MissedCallList,
    MissedCallPage,
)
from gateway.protocol.codec import validate
from gateway.protocol.frame import PlainText, frame
from gateway.protocol.lookup import NumberFound, NumberSought
from gateway.protocol.search import Moment
from gateway.rest.depends import Asking, Cursor, RowId, StrictRoute, answer
from gateway.telephony.callbacks import missed
from gateway.telephony.calls import lookup

router = APIRouter(prefix="/v1/telephony", tags=["telephony"], route_class=StrictRoute)

ONE = "/callbacks/{callback_id}"

_callbacks: TypeAdapter[CallbackList] = TypeAdapter(CallbackList)
_missed: TypeAdapter[MissedCallList] = TypeAdapter(MissedCallList)
_sought: TypeAdapter[NumberSought] = TypeAdapter(NumberSought)

Limit = Annotated[int, Query(ge=1, le=100)]
QueueName = Annotated[str | None, Query(max_length=200)]


@frame
class Closing:
    """What came of it."""

    outcome: ByHand
    note: Annotated[PlainText, Field(min_length=1, max_length=MAX_NOTE)] | None = None


@router.get("/lookup", response_model=NumberFound)
async def look_up(
    asking: Asking,
    *,
    number: Annotated[str, Query(max_length=64)],
    region: Annotated[str | None, Query(max_length=2)] = None,
) -> Response:
    """Who has this number, and the last calls with it."""
    asked = validate(_sought, {"number": number, "region": region})
    return answer(await lookup.resolve(asking, asked))


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
    """List the inbound calls that nobody talked to, newest first."""
    asked = {
        "queue": queue,
        "number": number,
        "since": since,
        "until": until,
        "limit": limit,
        "cursor": cursor,
    }
    return answer(await missed.list_page(asking, validate(_missed, asked)))


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
    """List whom to call back, who has waited longest first; closed ones newest first."""
    asked = {"state": state, "mine": mine, "queue": queue, "limit": limit, "cursor": cursor}
    return answer(await commands.run(asking, validate(_callbacks, asked)))


@router.post(ONE + "/claim", response_model=CallbackIs)
async def claim(asking: Asking, callback_id: RowId) -> Response:
    """Take it, or keep it for another 15 minutes."""
    return answer(await commands.run(asking, CallbackClaim(callback_id=callback_id)))


@router.post(ONE + "/release", response_model=CallbackIs)
async def release(asking: Asking, callback_id: RowId) -> Response:
    """Let somebody else take it."""
    return answer(await commands.run(asking, CallbackRelease(callback_id=callback_id)))


@router.post(ONE + "/close", response_model=CallbackIs)
async def close(asking: Asking, callback_id: RowId, body: Closing) -> Response:
    """Say what came of it."""
    command = CallbackClose(callback_id=callback_id, outcome=body.outcome, note=body.note)
    return answer(await commands.run(asking, command))


@router.post(ONE + "/reopen", response_model=CallbackIs)
async def reopen(asking: Asking, callback_id: RowId) -> Response:
    """Open it again."""
    return answer(await commands.run(asking, CallbackReopen(callback_id=callback_id)))
