"""Compare what two ways of doing one thing leave behind, and what open sockets receive of it.

Each case is prepared alike in two conversations; then every row of both, and every event of both,
is compared, without ids and times.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from gateway.client import Connection
from gateway.protocol import (
    ConversationCreate,
    ConversationMineChanged,
    ReceiptUnread,
    ReceiptWasRead,
)
from tests.support.desk import PETRO, Desk

QUIET_S = 0.5
"""Five sweeps of these nodes: whatever follows comes within this time."""
PATIENCE_S = 10.0
"""So long a busy machine may take to find the function's message."""

TABLES = (
    "conversations",
    "conversation_participants",
    "messages",
    "message_reactions",
    "drafts",
    "attachments",
    "scheduled_messages",
)


@dataclass
class Room:
    """One of the two conversations of a case, with its people's sockets."""

    id: int
    oksana: Connection
    petro: Connection
    sql: Callable[..., Awaitable[Any]]


async def rows_of(desk: Desk, room: Room, since: datetime) -> dict[str, list[Any]]:
    """Return every row of a conversation; of times only whether they are of the last step."""
    found: dict[str, list[Any]] = {}
    for table in TABLES:
        key = "id" if table == "conversations" else "conversation_id"
        rows = await desk.sql(f"SELECT * FROM realtime.{table} WHERE {key} = $1", room.id)
        found[table] = sorted(
            json.dumps({name: _plain(name, value, since) for name, value in row.items()})
            for row in rows
        )
    return found


def _plain(name: str, value: Any, since: datetime) -> Any:
    if name in {"id", "conversation_id"}:
        return None
    if isinstance(value, datetime):
        return "now" if value >= since else "before"
    return str(value)


async def nothing_on_its_way(room: Room, *readers: Connection) -> None:
    """Have everybody receive what comes last: what was told before it is not met later.

    What concerns all of a conversation and what concerns one person come on different ways.
    """
    made = await room.oksana.request(ConversationCreate(title="The last", employee_ids=[PETRO]))
    last = made.conversation.id
    await room.petro.send(last, "read")
    await room.oksana.read(last, 1)
    for person in (room.oksana, room.petro):
        await person.request(ReceiptUnread(conversation_id=last, seq=1))
    for reader in readers:
        awaited = {ReceiptWasRead, ConversationMineChanged}
        while awaited:
            event = await reader.next()
            if getattr(event, "conversation_id", None) == last:
                awaited.discard(type(event))


async def received(client: Connection, rooms: Sequence[Room]) -> list[list[str]]:
    """Return what a socket receives of each room, until that is the same, and nothing follows."""
    events: list[Any] = []
    began = time.monotonic()
    while True:
        try:
            events.append(await client.next(timeout_s=QUIET_S))
        except TimeoutError:
            told, waited_s = (
                [without_times(events, room) for room in rooms],
                time.monotonic() - began,
            )
            enough_s = QUIET_S if told[0] else 2 * QUIET_S
            if (told[0] == told[1] and waited_s >= enough_s) or waited_s > PATIENCE_S:
                return told


def _is_of(value: Any, room: Room) -> bool:
    """Return whether a part of an event is of this conversation, or of none."""
    return not isinstance(value, dict) or value.get("conversation_id", room.id) == room.id


def without_times(events: list[Any], room: Room) -> list[str]:
    """Return events of one conversation in a form to compare: no ids, times and totals."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: "at" if isinstance(one, datetime) else strip(one)
                for name, one in value.items()
                if name not in {"conversation_id", "total"}
            }
        if isinstance(value, list | tuple):  # counters of several conversations come in one event
            return [strip(one) for one in value if _is_of(one, room)]
        return str(value)

    return sorted(
        json.dumps(strip(asdict(event)), default=str)
        for event in events
        if f"conversation_id={room.id}" in repr(event)
    )
