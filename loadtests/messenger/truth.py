"""What the database holds when nothing is pending: every device has to agree with it.

queries ─▶ Truth ─▶ check. Rows become wire types here, without the gateway's own functions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from gateway.protocol import Message, Reaction, UnreadTotal
from loadtests.queries import messenger as queries

CAP = 100
"""Counts stop here: "99+"."""
DELETED = 2


@dataclass(slots=True)
class RoomTruth:
    """One conversation."""

    row: Any
    messages: list[Message] = field(default_factory=list)
    people: dict[int, Any] = field(default_factory=dict)
    """Everybody who is in it, or was."""
    changes: list[int] = field(default_factory=list)
    """Of all its rows."""

    def hidden_to(self, employee_id: int) -> int:
        """Return up to which seq nothing is theirs to read."""
        seat = self.people.get(employee_id)
        return int(seat["joined_seq"]) if seat and self.row["history"] == "joined" else 0


@dataclass(slots=True)
class Truth:
    """All of them, and what each person has not read."""

    rooms: dict[int, RoomTruth] = field(default_factory=dict)
    counts: dict[int, dict[int, tuple[int, int]]] = field(default_factory=dict)
    totals: dict[int, UnreadTotal] = field(default_factory=dict)


async def read(
    conn: asyncpg.Connection[asyncpg.Record], room_ids: Sequence[int], employee_ids: Sequence[int]
) -> Truth:
    """Read everything as of one moment."""
    truth = Truth()
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        for row in await queries.rooms(conn, room_ids):
            truth.rooms[row["id"]] = RoomTruth(row, changes=[row["info_change"]])
        reactions: dict[tuple[int, int], dict[str, list[int]]] = defaultdict(dict)
        for row in await queries.reactions(conn, room_ids):
            truth.rooms[row["conversation_id"]].changes.append(row["change"])
            if not row["removed"]:
                place = row["conversation_id"], row["seq"]
                reactions[place].setdefault(row["emoji"], []).append(row["employee_id"])
        for row in await queries.messages(conn, room_ids):
            room = truth.rooms[row["conversation_id"]]
            room.changes.append(row["change"])
            room.messages.append(
                _message(row, reactions.get((row["conversation_id"], row["seq"]), {}))
            )
        for row in await queries.people(conn, room_ids):
            room = truth.rooms[row["conversation_id"]]
            room.changes.append(row["change"])
            room.people[row["employee_id"]] = row
        for employee_id in employee_ids:
            rows = [row for row in await queries.unread(conn, employee_id) if row["unread"]]
            truth.counts[employee_id] = {
                row["conversation_id"]: (min(row["unread"], CAP), min(row["mentions"], CAP))
                for row in rows
            }
            truth.totals[employee_id] = _total(rows)
    return truth


def _message(row: Any, reactions: dict[str, list[int]]) -> Message:
    deleted = row["state"] == DELETED
    attrs = row["attrs"]
    return Message(
        conversation_id=row["conversation_id"],
        seq=row["seq"],
        change=row["change"],
        sender_id=row["sender_id"],
        client_key=row["client_key"],
        text=row["body"],
        created_at=row["created_at"],
        kind=row["kind"],
        attrs=attrs,
        reply_to_seq=row["reply_to_seq"],
        mention_ids=row["mention_ids"] or [],
        mention_all=row["mention_all"],
        reactions=[]
        if deleted
        else [
            Reaction(emoji=emoji, count=len(who), employee_ids=who)
            for emoji, who in reactions.items()
        ],
        edited_at=row["edited_at"],
        deleted_at=row["deleted_at"],
    )


def _total(rows: Sequence[Any]) -> UnreadTotal:
    loud = [row for row in rows if not row["muted"] and not row["archived"]]
    shown = [row for row in rows if not row["archived"]]
    return UnreadTotal(
        messages=sum(min(row["unread"], CAP) for row in loud),
        conversations=len(loud),
        mentions=sum(min(row["mentions"], CAP) for row in shown),
    )
