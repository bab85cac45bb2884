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
    RejectedEvent,
    RejectedInput,
    TooManyEvents,
    verify,
)

DEEPEST = 1_024
"""Brackets within brackets, as codec.parse bounds them."""
LONGEST_INT = 19
"""Digits of a number that is read exactly; none of ours needs more than 10."""
TOGETHER = 20
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


def read(body: bytes) -> Any:
    """Read JSON as codec.parse does; a text with half a character, or bad UTF-8, comes as it is.

    So it costs the event that holds it, which parse_events refuses, and not the whole batch.
    """
    try:
        return codec.parse(body)
    except Malformed:
        try:
            text = body.decode("utf-8", "surrogateescape")
            value = json.loads(text, parse_constant=_refuse, parse_int=_whole)
        except (ValueError, RecursionError):
            value = None
        if value is None or _is_deep(value):
            raise
        return value


def _refuse(constant: str) -> Any:
    """Refuse NaN and Infinity, which JSON does not have."""
    raise ValueError(constant)


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INT else float(digits)


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


async def take(pipeline: Pipeline, source: str, items: list[Any], *, region: str) -> dict[str, Any]:
    """Store what is valid and say what was not; returns when it is committed."""
    parsed = await _parse(pipeline, source, items, region)
    receipt = await submit(pipeline, parsed.events)
    refused = [RejectedInput(one.code, one.message, items[one.index]) for one in parsed.rejected]
    await refuse(pipeline, source, refused)
    rejected = [replace(one, index=parsed.indexes[one.index]) for one in receipt.rejected]
    return answer(receipt, parsed.rejected + rejected)


async def _parse(pipeline: Pipeline, source: str, items: list[Any], region: str) -> ParsedEvents:
    """Validate the events; in between others have their turn, also batches that are stored."""
    kept = pipeline.settings
    reader = EventReader(
        source, region=region, keep=kept.accepts, keeps_native=kept.payload_days > 0
    )
    for first in range(0, len(items), TOGETHER):
        reader.read(items[first : first + TOGETHER])
        await asyncio.sleep(0)
    return reader.parsed


def answer(receipt: Receipt, rejected: Iterable[RejectedEvent]) -> dict[str, Any]:
    """Say what became of each event that was handed in."""
    return {
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "rejected": [asdict(one) for one in sorted(rejected, key=lambda one: one.index)],
    }


async def submit(pipeline: Pipeline, events: Sequence[CallEvent]) -> Receipt:
    """Store the events; what hinders that is said in the gateway's own errors."""
    with _in_our_words():
        return await pipeline.submit(events)


async def refuse(pipeline: Pipeline, source: str, refusals: Sequence[RejectedInput]) -> None:
    """Keep and count what no event could be made of; what hinders that is said likewise."""
    with _in_our_words():
        await pipeline.reject(source, refusals)


@contextmanager
def _in_our_words() -> Iterator[None]:
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
