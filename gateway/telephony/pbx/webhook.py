"""Receives PBX events by HTTP: checks the signature, validates each event, submits to ingest.

rest/telephony ─▶ webhook ─▶ ingest's pipeline; the answer comes after the COMMIT.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from gateway.errors import DatabaseUnavailable, Draining, IngestBusy, Malformed, TooMany
from gateway.protocol import codec
from ingest import (
    Busy,
    CallEvent,
    Closed,
    EventReader,
    IngestUnavailable,
    InvalidSignature,
    ParsedEvents,
    Pipeline,
    Receipt,
    RejectedInput,
    RejectedItem,
    TooManyEvents,
    verify,
)

MAX_DEPTH = 1_024
"""Depth of nested brackets, the same limit as in codec.parse."""
MAX_INT_DIGITS = 19
"""Digits of a number that is read exactly; no field needs more than 10."""
MAX_WARNINGS = 20
"""Of one answer."""
VALIDATE_BATCH = 20
"""Events validated without a pause: less than a millisecond in which nothing else runs."""


def is_signed(
    body: bytes,
    *,
    message_id: str | None,
    timestamp: str | None,
    signature: str | None,
    secrets: list[str],
) -> bool:
    """Whether the body has a recent signature by one of these secrets.

    The caller learns no reason: every failure looks the same from outside.
    """
    try:
        verify(
            body,
            message_id=message_id,
            timestamp=timestamp,
            signature=signature,
            secrets=secrets,
        )
    except InvalidSignature:
        return False
    return True


def parse(body: bytes) -> Any:
    """Parse JSON as codec.parse does, but keep texts with lone surrogates or invalid UTF-8.

    Validation then rejects only the event that holds such a text, not the whole batch.
    """
    try:
        return codec.parse(body)
    except Malformed:
        try:
            text = body.decode("utf-8", "surrogateescape")
            value = json.loads(text, parse_constant=_reject_constant, parse_int=_to_number)
        except (ValueError, RecursionError):
            value = None
        if value is None or _is_deep(value):
            raise
        return value


def _reject_constant(constant: str) -> Any:
    """Raise ValueError for NaN and Infinity, which JSON does not have."""
    raise ValueError(constant)


def _to_number(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INT_DIGITS else float(digits)


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


@dataclass(frozen=True, slots=True)
class WebhookResult:
    """What became of the events of one request, after the COMMIT."""

    accepted: int
    duplicates: int
    rejected: Sequence[RejectedItem]
    """In the order of the request."""
    reused: Sequence[str] = ()
    """The first keys of calls that look like several, as they were sent."""


async def receive(
    pipeline: Pipeline, source: str, items: list[Any], *, region: str
) -> WebhookResult:
    """Store the valid events and return what was rejected; returns after the COMMIT."""
    parsed = await _validate(pipeline, source, items, region)
    receipt = await submit(pipeline, parsed.events)
    refused = [RejectedInput(one.code, one.message, items[one.index]) for one in parsed.rejected]
    await record_rejects(pipeline, source, refused)
    rejected = [replace(one, index=parsed.indexes[one.index]) for one in receipt.rejected]
    events = (parsed.events[at] for at in receipt.overused)
    keys = dict.fromkeys(one.call_key or one.leg_key or "" for one in events)
    result = combine(receipt, parsed.rejected + rejected)
    return replace(result, reused=list(keys)[:MAX_WARNINGS])


async def _validate(pipeline: Pipeline, source: str, items: list[Any], region: str) -> ParsedEvents:
    """Validate the events; other tasks run between the batches."""
    settings = pipeline.settings
    reader = EventReader(
        source, region=region, max_age=settings.max_event_age, keep_native=settings.payload_days > 0
    )
    for first in range(0, len(items), VALIDATE_BATCH):
        reader.read(items[first : first + VALIDATE_BATCH])
        await asyncio.sleep(0)
    return reader.parsed


def combine(receipt: Receipt, rejected: Iterable[RejectedItem]) -> WebhookResult:
    """Combine what ingest stored with all that was rejected before or by it."""
    by_index = sorted(rejected, key=lambda one: one.index)
    return WebhookResult(receipt.accepted, receipt.duplicates, by_index)


async def submit(pipeline: Pipeline, events: Sequence[CallEvent]) -> Receipt:
    """Store the events; ingest's errors become the gateway's."""
    with _translated_errors():
        return await pipeline.submit(events)


async def record_rejects(pipeline: Pipeline, source: str, rejects: Sequence[RejectedInput]) -> None:
    """Store and count what no event could be made of; ingest's errors become the gateway's."""
    with _translated_errors():
        await pipeline.reject(source, rejects)


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except Busy as busy:
        raise IngestBusy(busy.retry_after) from None
    except IngestUnavailable:
        raise DatabaseUnavailable from None
    except Closed:
        raise Draining from None
    except TooManyEvents as error:
        raise TooMany(str(error)) from None
