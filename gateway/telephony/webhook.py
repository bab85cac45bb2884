"""The door for PBX events: check the signature, validate each event, hand them to ingest.

rest/telephony ─▶ webhook ─▶ ingest's pipeline; the answer comes after the COMMIT.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.errors import DatabaseUnavailable, Draining, IngestBusy, TooMany
from ingest import (
    Busy,
    CallEvent,
    Closed,
    Pipeline,
    Receipt,
    SignatureInvalid,
    TooManyEvents,
    Unavailable,
    parse_events,
    verify,
)


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
    except SignatureInvalid:
        return False
    return True


async def take(pipeline: Pipeline, source: str, items: list[Any], *, region: str) -> dict[str, Any]:
    """Store what is valid and say what was not; returns when it is committed."""
    parsed = parse_events(items, source=source, region=region)
    receipt = await submit(pipeline, parsed.events)
    rejected = [(item.index, item) for item in parsed.rejected]
    rejected += [(parsed.indexes[item.index], item) for item in receipt.rejected]
    return {
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "rejected": [
            {"index": index, "code": item.code, "message": item.message}
            for index, item in sorted(rejected, key=lambda pair: pair[0])
        ],
    }


async def submit(pipeline: Pipeline, events: Sequence[CallEvent]) -> Receipt:
    """Store the events; what hinders that is said in the gateway's own errors."""
    try:
        return await pipeline.submit(events)
    except Busy as busy:
        raise IngestBusy(busy.retry_after) from None
    except Unavailable:
        raise DatabaseUnavailable from None
    except Closed:
        raise Draining from None
    except TooManyEvents as error:
        raise TooMany(str(error)) from None
