"""What of a conversation's changes is for somebody who was out of it for a while.

changes ─▶ while_in ─▶ those that they may hear. Of who is in again the database has only the
return; that they were out, a system message says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.chat.queries.changes import Change
from gateway.protocol import MessageCreated, ParticipantChanged

DEPARTURES = frozenset({"removed", "left"})
"""What a system message says of somebody who is no longer there."""


def while_in(changes: Iterable[Change], employee_id: int) -> tuple[list[Change], bool]:
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
            out = _takes_out(event, employee_id)
    return heard, out


def _takes_out(event: Any, employee_id: int) -> bool:
    if not isinstance(event, MessageCreated) or event.message.kind != "system":
        return False
    said = event.message.attrs or {}
    return said.get("event") in DEPARTURES and employee_id in said["employee_ids"]
