"""What of a conversation's changes is for somebody who was out of it for a while.

changes ─▶ while_in ─▶ those that they may hear. Of who is in again the database has only the
return; that they were out, a system message says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from gateway.chat.queries.changes import Change
from gateway.protocol import MessageCreated, ParticipantChanged

REMOVAL_EVENTS = frozenset({"removed", "left"})
"""What a system message says of somebody who is no longer there."""


def visible_changes(changes: Iterable[Change], employee_id: int) -> tuple[list[Change], bool]:
    """Return what somebody hears who was in before these, and whether they are out after them."""
    heard: list[Change] = []
    out = False
    for change in changes:
        event = change.event
        if isinstance(event, ParticipantChanged) and event.participant.employee.id == employee_id:
            heard.append(change)
            out = event.left
        elif not out:
            heard.append(change)
            out = isinstance(event, MessageCreated) and employee_id in removed_employees(
                event.message.kind, event.message.attrs
            )
    return heard, out


def removed_employees(kind: str, attrs: Mapping[str, Any] | None) -> Collection[int]:
    """Return of whom a message of this kind says that they are no longer there."""
    said = attrs or {}
    if kind != "system" or said.get("event") not in REMOVAL_EVENTS:
        return ()
    people: list[int] = said["employee_ids"]
    return people
