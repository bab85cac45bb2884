"""Events of the CRM over HTTP, for its programs: a batch at a time, each event for itself.

programs with the scope events.publish ─▶ here ─▶ events.publishing. The rules are those of
realtime.publish (docs/crm-contract.md); the source is the name of the service account.
"""

from __future__ import annotations

import asyncio
from dataclasses import field
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, TypeAdapter, WithJsonSchema

from gateway.auth.scopes import EVENTS_PUBLISH
from gateway.errors import EventKeyReused, Invalid
from gateway.events.queries.batches import NewEvent, StoredEvent
from gateway.jobs.job import NUL
from gateway.protocol.codec import validate
from gateway.protocol.events import Topic
from gateway.protocol.frame import Id, frame
from gateway.protocol.search import Moment
from gateway.rest.callers import Caller, charge, service_with
from gateway.rest.depends import ANSWERS, EmployeeId, StrictRoute, answer
from gateway.rest.worker import parts_of

EVENTS = "/v1/events"
"""Its bodies may be larger than those of other paths."""
MOST = 500
TURN = 10
"""Events that are checked between two turns of the event loop: each may name 1,000 people."""

router = APIRouter(prefix=EVENTS, tags=["events"], route_class=StrictRoute)

Publishing = Annotated[Caller, Depends(service_with(EVENTS_PUBLISH))]
Key = Annotated[str, Field(strict=True, min_length=1, max_length=200, pattern=r"^[ -~]+$")]


@frame
class EventNew:
    """An event, as realtime.publish takes it."""

    type: Annotated[
        str, Field(strict=True, max_length=80, pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")
    ]
    """What happened: `work_order.assigned`."""
    users: Annotated[list[EmployeeId], Field(max_length=1_000)] = field(default_factory=list)
    """Employees who are to hear of it; ids that nobody has are ignored."""
    topics: Annotated[list[Topic], Field(max_length=20)] = field(default_factory=list)
    """What it is about: whoever watches one of them hears of it."""
    payload: dict[str, Any] = field(default_factory=dict)
    """At most 8,192 bytes, 32 levels, and numbers between -2^53 and 2^53."""
    key: Key | None = None
    """Sent again, it publishes nothing: for 7 days after the event was published and due."""
    deliver_at: Moment | None = None
    """When it is to be delivered, within a year; null: at once."""
    notify: dict[str, Any] | None = None
    """At most 2,048 bytes. It is stored, and nothing reads it yet."""


_event: TypeAdapter[EventNew] = TypeAdapter(EventNew)
ANSWERS[EventNew.__name__] = EventNew


@frame
class EventBatch:
    """Events, in their order. What is no EventNew is rejected alone."""

    events: Annotated[
        list[Any],
        Field(min_length=1, max_length=MOST),
        WithJsonSchema(
            {
                "type": "array",
                "minItems": 1,
                "maxItems": MOST,
                "items": {"anyOf": [{"$ref": "#/components/schemas/EventNew"}, {}]},
            }
        ),
    ]


@frame
class EventResult:
    """What became of one event."""

    index: int
    status: Literal["accepted", "duplicate", "rejected"]
    id: Id | None = None
    """The event's; of a duplicate, that of the first one."""
    code: str | None = None
    """Why it was rejected: command.invalid, or event.key_reused."""
    message: str | None = None
    path: str | None = None
    """The field that is wrong."""


@frame
class EventsPublished:
    """The answer to a batch, after its COMMIT."""

    accepted: int
    duplicates: int
    rejected: int
    results: list[EventResult]
    """One for each event, in their order."""


@frame
class EventKeys:
    """Keys of events of this account."""

    keys: Annotated[list[Key], Field(min_length=1, max_length=MOST)]


@frame
class EventsCancelled:
    """The keys whose events were taken back; the others are delivered, or were never there."""

    cancelled: list[str]


@router.post("", response_model=EventsPublished, status_code=202)
async def publish(request: Request, caller: Publishing, body: EventBatch) -> Response:
    """Publish events; one that is invalid spoils no other. Each counts a tenth of a request."""
    charge(request, caller, 1 + len(body.events) // 10)
    results: dict[int, EventResult] = {}
    events: list[tuple[int, NewEvent]] = []
    for index, given in enumerate(body.events):
        try:
            events.append((index, _new(given)))
        except Invalid as error:
            results[index] = _rejected(index, error)
        if index % TURN == TURN - 1:
            await asyncio.sleep(0)
    assert caller.account is not None
    stored = await parts_of(request).publishing.publish(
        caller.account.name, [event for _, event in events]
    )
    for (index, _), one in zip(events, stored, strict=True):
        results[index] = _result(index, one)
    found = [results[index] for index in range(len(body.events))]
    counts = {name: sum(one.status == name for one in found) for name in ("accepted", "duplicate")}
    return answer(
        EventsPublished(
            accepted=counts["accepted"],
            duplicates=counts["duplicate"],
            rejected=len(found) - sum(counts.values()),
            results=found,
        ),
        202,
    )


@router.post("/cancel", response_model=EventsCancelled)
async def cancel(request: Request, caller: Publishing, body: EventKeys) -> Response:
    """Take back events that are not delivered, by their keys, which are then free."""
    charge(request, caller, 1 + len(body.keys) // 10)
    assert caller.account is not None
    cancelled = await parts_of(request).publishing.cancel(caller.account.name, body.keys)
    return answer(EventsCancelled(cancelled=cancelled))


def _new(given: Any) -> NewEvent:
    if not isinstance(given, dict):
        raise Invalid("An event is an object.")
    event = validate(_event, given)
    return NewEvent(
        type=event.type,
        users=orjson.dumps(event.users).decode(),
        topics=orjson.dumps(event.topics).decode(),
        payload=_json(event.payload, "payload"),
        key=event.key,
        deliver_at=event.deliver_at,
        notify=None if event.notify is None else _json(event.notify, "notify"),
    )


def _json(value: dict[str, Any], path: str) -> str:
    try:
        encoded = orjson.dumps(value)
    except TypeError:  # what it parses is at most as deep, but for some levels
        raise Invalid("has too many levels", path=path) from None
    if NUL.search(encoded):
        raise Invalid("must not contain U+0000", path=path)
    return encoded.decode()


def _result(index: int, one: StoredEvent) -> EventResult:
    if one.wrong is not None:
        return _rejected(index, Invalid(f"The {one.wrong} is invalid.", path=one.wrong))
    if one.same is False:
        return _rejected(index, EventKeyReused())
    return EventResult(index=index, status="accepted" if one.stored else "duplicate", id=one.id)


def _rejected(index: int, error: Invalid | EventKeyReused) -> EventResult:
    return EventResult(
        index=index, status="rejected", code=error.code, message=error.detail, path=error.path
    )
