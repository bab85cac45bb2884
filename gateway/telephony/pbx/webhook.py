"""The door for PBX events: check the signature, validate each event, hand them to ingest.

rest/telephony ─▶ webhook ─▶ ingest's pipeline; the answer comes after the COMMIT.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
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
"""Brackets within brackets, as codec.parse bounds them."""
MAX_INT_DIGITS = 19
"""Digits of a number that is read exactly; none of ours needs more than 10."""
VALIDATE_BATCH = 20
"""Events validated in one go: less than a millisecond in which this process does nothing else."""


def is_signed(
    body: bytes,
    *,
    message_id: str | None,
    timestamp: str | None,
    signature: str | None,
    secrets: list[str],
) -> bool:
    """Say whether the body carries a fresh signature of one of these secrets.

    Why it does not is nobody's business outside: every failure looks the same.
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
    """Read JSON as codec.parse does; a text with half a character, or bad UTF-8, comes as it is.

    So it costs the event that holds it, which parse_events refuses, and not the whole batch.
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
    """Refuse NaN and Infinity, which JSON does not have."""
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


async def receive(
    pipeline: Pipeline, source: str, items: list[Any], *, region: str
) -> dict[str, Any]:
    """Store what is valid and say what was not; returns when it is committed."""
    parsed = await _validate(pipeline, source, items, region)
    receipt = await submit(pipeline, parsed.events)
    refused = [RejectedInput(one.code, one.message, items[one.index]) for one in parsed.rejected]
    await record_rejects(pipeline, source, refused)
    rejected = [replace(one, index=parsed.indexes[one.index]) for one in receipt.rejected]
    return response(receipt, parsed.rejected + rejected)


async def _validate(pipeline: Pipeline, source: str, items: list[Any], region: str) -> ParsedEvents:
    """Validate the events; in between others have their turn, also batches that are stored."""
    kept = pipeline.settings
    reader = EventReader(
        source, region=region, max_age=kept.max_event_age, keep_native=kept.payload_days > 0
    )
    for first in range(0, len(items), VALIDATE_BATCH):
        reader.read(items[first : first + VALIDATE_BATCH])
        await asyncio.sleep(0)
    return reader.parsed


def response(receipt: Receipt, rejected: Iterable[RejectedItem]) -> dict[str, Any]:
    """Say what became of each event that was handed in."""
    return {
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "rejected": [asdict(one) for one in sorted(rejected, key=lambda one: one.index)],
    }


async def submit(pipeline: Pipeline, events: Sequence[CallEvent]) -> Receipt:
    """Store the events; what hinders that is said in the gateway's own errors."""
    with _translated_errors():
        return await pipeline.submit(events)


async def record_rejects(pipeline: Pipeline, source: str, rejects: Sequence[RejectedInput]) -> None:
    """Keep and count what no event could be made of; what hinders that is said likewise."""
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
