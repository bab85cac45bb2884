"""Calls over HTTP, and the webhooks of PBXs.

clients ─▶ commands, telephony.calls; PBXs ─▶ telephony.pbx ─▶ the answer after the COMMIT.
"""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal
from uuid import UUID

import structlog
from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import TypeAdapter

from gateway import commands
from gateway.errors import Invalid, SignatureInvalid, TooMany
from gateway.ops.bounded_log import BoundedLog
from gateway.pbx_settings import TwilioPbx
from gateway.protocol import CallList, CallPage
from gateway.protocol.calls import Direction, EndedBy, Outcome
from gateway.protocol.codec import validate
from gateway.protocol.frame import frame
from gateway.protocol.search import Moment
from gateway.protocol.timeline import CallPart, CallPartPage, CallTimeline
from gateway.rest import anonymous
from gateway.rest.call_work import templates_of
from gateway.rest.depends import Asking, Cursor, CustomerQuery, EmployeeQuery, StrictRoute, answer
from gateway.rest.worker import parts_of
from gateway.telephony.calls import timeline
from gateway.telephony.pbx import twilio, webhook
from gateway.telephony.pbx.webhook import WebhookResult
from ingest import IngestSettings

refusals = BoundedLog(structlog.get_logger(__name__))

router = APIRouter(prefix="/v1/telephony", tags=["telephony"], route_class=StrictRoute)
events = APIRouter(prefix="/v1/telephony", tags=["telephony"], route_class=StrictRoute)
DurationQuery = Annotated[int | None, Query(ge=0, le=10**10)]
_list: TypeAdapter[CallList] = TypeAdapter(CallList)

EVENTS = "/v1/telephony/events"
"""The webhook; its bodies may be larger than those of other paths."""

KEY_REUSED = (
    f"The call of this key has more than {IngestSettings().max_call_events:,} events, or events of "
    f"more than {IngestSettings().longest_call.days} days. Give every call a key of its own."
)


@frame
class RejectedEvent:
    """Why one event of a batch was rejected; the others were stored."""

    index: int
    code: str
    message: str


@frame
class EventsWarning:
    """Something that is wrong with events that were stored."""

    code: Literal["call.key_reused"]
    call_key: str
    """The key as it was sent; of an event without one, its leg_key."""
    message: str


@frame
class EventsTaken:
    """The answer to a webhook, after the COMMIT of its events."""

    accepted: int
    duplicates: int
    rejected: list[RejectedEvent]
    warnings: list[EventsWarning] = field(default_factory=list)
    """At most 20. call.key_reused: the call of this key has more events than are made into a call,
    or over more than 2 days, so the key looks like one of many calls."""


@router.get("/calls", response_model=CallPage)
async def list_calls(
    asking: Asking,
    *,
    status: Literal["live", "ended"] | None = None,
    outcome: Outcome | None = None,
    direction: Direction | None = None,
    queue: Annotated[str | None, Query(max_length=200)] = None,
    ring_group: Annotated[str | None, Query(max_length=200)] = None,
    number: Annotated[str | None, Query(max_length=64)] = None,
    did: Annotated[str | None, Query(max_length=64)] = None,
    agent_id: EmployeeQuery = None,
    customer_id: CustomerQuery = None,
    ended_by: EndedBy | None = None,
    disposition: Annotated[str | None, Query(max_length=64)] = None,
    wait_ms_min: DurationQuery = None,
    wait_ms_max: DurationQuery = None,
    talk_ms_min: DurationQuery = None,
    talk_ms_max: DurationQuery = None,
    since: Moment | None = None,
    until: Moment | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Cursor = None,
) -> Response:
    """List the calls I took part in, newest first; everyone's with permission calls.view_all.

    Another agent's calls need that permission, too: without it permission.denied.
    """
    fields = {
        "status": status,
        "outcome": outcome,
        "direction": direction,
        "queue": queue,
        "ring_group": ring_group,
        "number": number,
        "did": did,
        "agent_id": agent_id,
        "customer_id": customer_id,
        "ended_by": ended_by,
        "disposition": disposition,
        "wait_ms_min": wait_ms_min,
        "wait_ms_max": wait_ms_max,
        "talk_ms_min": talk_ms_min,
        "talk_ms_max": talk_ms_max,
        "since": since,
        "until": until,
        "limit": limit,
        "cursor": cursor,
    }
    return answer(await commands.run(asking, validate(_list, fields)))


@router.get("/calls/{call_id}", response_model=CallTimeline)
async def get_call(request: Request, asking: Asking, call_id: UUID) -> Response:
    """Read one call and its PBX events: one of mine, or any with calls.view_all."""
    return answer(await timeline.read(asking, call_id, templates_of(request)))


@router.get("/calls/{call_id}/parts", response_model=CallPartPage)
async def get_call_parts(
    request: Request,
    asking: Asking,
    call_id: UUID,
    *,
    part: CallPart,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Cursor = None,
) -> Response:
    """Read all legs, stints, transfers, parkings or recordings of one call, page by page.

    `left_out` of a call says how many of them the call itself does not show.
    """
    page = await timeline.read_parts(
        asking, call_id, part, templates_of(request), cursor=cursor, limit=limit
    )
    return answer(page)


@events.post("/events", response_model=EventsTaken)
async def take_events(
    request: Request,
    source: Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9._-]+$")] = "main",
    webhook_id: Annotated[str | None, Header(max_length=256)] = None,
    webhook_timestamp: Annotated[str | None, Header(max_length=32)] = None,
    webhook_signature: Annotated[str | None, Header(max_length=4_096)] = None,
) -> Response:
    """Receive an array of call events from a PBX, signed as Standard Webhooks 1.0.

    The answer comes after the COMMIT: an accepted event is stored, exactly once also when it is
    sent again. A rejected event does not affect the others of its batch.
    """
    parts = parts_of(request)
    body = await request.body()
    pbx = parts.settings.pbx_secrets.get(source)
    if not webhook.is_signed(
        body,
        message_id=webhook_id,
        timestamp=webhook_timestamp,
        signature=webhook_signature,
        secrets=pbx.plain_secrets if pbx else [],
    ):
        refusals.warning("webhook.refused", source=source)
        raise SignatureInvalid
    anonymous.identified(request.scope)
    events = webhook.parse(body)
    if not isinstance(events, list):
        raise Invalid("The body must be an array of events.")
    if len(events) > parts.settings.max_webhook_events:
        raise TooMany(f"At most {parts.settings.max_webhook_events} events in one request.")
    region = (pbx and pbx.region) or parts.settings.phone_region
    result = await webhook.receive(parts.pipeline, source, events, region=region)
    return answer(_events_taken(result))


@events.post("/twilio/{name}", response_model=EventsTaken)
async def take_twilio_callback(
    request: Request,
    name: Annotated[str, Path(max_length=200)],
    x_twilio_signature: Annotated[str | None, Header(max_length=256)] = None,
) -> Response:
    """Receive a voice status callback of a Twilio account that GATEWAY_PBXS names.

    The body is a form, signed with the account's auth token. An unknown account and an invalid
    signature get the same answer.
    """
    parts = parts_of(request)
    account = parts.settings.pbxs.get(name)
    if not isinstance(account, TwilioPbx):
        raise SignatureInvalid
    body, region = await request.body(), parts.settings.phone_region
    try:
        fields = twilio.check(account, body, signature=x_twilio_signature)
    except SignatureInvalid:
        refusals.warning("twilio.refused", source=name)
        raise
    anonymous.identified(request.scope)
    result = await twilio.receive(parts.pipeline, name, account, fields, region=region)
    return answer(_events_taken(result))


def _events_taken(result: WebhookResult) -> EventsTaken:
    return EventsTaken(
        accepted=result.accepted,
        duplicates=result.duplicates,
        rejected=[
            RejectedEvent(index=one.index, code=one.code, message=one.message)
            for one in result.rejected
        ],
        warnings=[
            EventsWarning(code="call.key_reused", call_key=key, message=KEY_REUSED)
            for key in result.reused
        ],
    )
