"""Calls for a desk: recorded ones, ones that happen now, and what a PBX posts of them."""

from __future__ import annotations

import itertools
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingest import CallEvent, parse_events, read_recording, shift, sign
from tests.support.desk import IRYNA, OKSANA, PBX_SECRET, PETRO, Desk

RECORDINGS = Path(__file__).parents[1] / "recordings"
ANSWERED = RECORDINGS / "l01_answered_caller_hangs_up.jsonl.gz"
NO_ANSWER_THEN_NEXT = RECORDINGS / "l05_ring_no_answer_then_next.jsonl.gz"
EXTENSION = {OKSANA: "101", PETRO: "102", IRYNA: "103"}
IVAN = "+380671234567"
"""A customer's number."""


async def recorded(path: Path) -> list[CallEvent]:
    """Return a recording's events, as if it happened now."""
    events = await read_recording(path, source="main")
    return shift(events, datetime.now(UTC) - min(event.occurred_at for event in events))


async def play(desk: Desk, events: list[CallEvent], *, node: int = 0) -> None:
    """Submit a recording moment by moment, as a PBX would."""
    pipeline = desk.nodes[node].app.state.gateway.pipeline
    for _, moment in itertools.groupby(
        events, key=lambda event: int(event.occurred_at.timestamp() * 5)
    ):
        await pipeline.submit(list(moment))


async def post(desk: Desk, call: str, *events: dict[str, Any], node: int = 0) -> None:
    """Submit events of one call, all of this moment, as if they had been posted."""
    now = datetime.now(UTC).isoformat()
    items = [{"call_key": call, "occurred_at": now, **event} for event in events]
    parsed = parse_events(items, source="main", region="UA")
    receipt = await desk.nodes[node].app.state.gateway.pipeline.submit(parsed.events)
    assert (receipt.accepted, parsed.rejected) == (len(events), [])


async def miss(desk: Desk, *, number: str = IVAN) -> str:
    """Let extension 102 ring until the caller hangs up; nobody answers."""
    call = uuid.uuid4().hex
    await post(
        desk, call,
        {"type": "call.started", "leg_key": f"{call}a", "attrs": {"number": number}},
        {"type": "offer.started", "leg_key": f"{call}b", "peer_leg_key": f"{call}a",
         "extension": "102"},
        {"type": "offer.ended", "leg_key": f"{call}b", "extension": "102",
         "attrs": {"result": "no_answer"}},
        {"type": "call.ended"},
    )  # fmt: skip
    return call


async def call_back(desk: Desk) -> None:
    """Call the customer IVAN from Oksana's telephone, and be answered."""
    await post(
        desk, "back",
        {"type": "call.started", "leg_key": "x", "extension": "101",
         "attrs": {"direction": "outbound"}},
        {"type": "leg.answered", "leg_key": "x", "extension": "101"},
        {"type": "offer.started", "leg_key": "y", "peer_leg_key": "x",
         "attrs": {"dialled": "0671234567"}},
        {"type": "leg.answered", "leg_key": "y"},
    )  # fmt: skip


async def made_call(
    desk: Desk, *people: int, direction: str = "inbound", into: uuid.UUID | None = None
) -> uuid.UUID:
    """Put an ended call into the database in which these people took part."""
    call_id = uuid.uuid4()
    await desk.sql(
        "INSERT INTO realtime.call_sessions (id, source, version, direction, status, outcome,"
        " started_at, ended_at, first_event_at, last_event_at, merged_into)"
        " VALUES ($1, 'main', 1, $2, 'ended', 'answered', now(), now(), now(), now(), $3)",
        call_id,
        direction,
        into,
    )
    for position, employee_id in enumerate(people):
        await desk.sql(
            "INSERT INTO realtime.call_legs (call_id, leg_key, position, extension, kind, status)"
            " VALUES ($1, $3, $2, $3, 'agent', 'ended')",
            call_id,
            position,
            EXTENSION[employee_id],
        )
    return call_id


def signed(body: bytes, *, secret: str = PBX_SECRET, at: int | None = None) -> dict[str, str]:
    """Return the headers of a signed post (Standard Webhooks)."""
    message_id, timestamp = f"msg_{uuid.uuid4().hex}", at or int(time.time())
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(body, message_id=message_id, timestamp=timestamp, secret=secret),
    }


def ringing(number: int) -> dict[str, Any]:
    """Return one canonical event."""
    return {
        "event_id": f"e{number}",
        "type": "leg.ringing",
        "occurred_at": datetime.now(UTC).isoformat(),
        "call_key": f"c{number}",
        "leg_key": f"l{number}",
        "extension": "101",
    }
