"""Which of a conversation's changes an employee may see who was not in it for a while.

changes ─▶ visible_changes ─▶ those that they may receive. Of an employee who is in again the
database has only the return; a system message says that they were out.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.bus.routing import removed_employees
from gateway.chat.queries.changes import Change
from gateway.protocol import MessageCreated, ParticipantChanged


def visible_changes(changes: Iterable[Change], employee_id: int) -> tuple[list[Change], bool]:
    """Return what an employee sees who was in before these, and whether they are out after them."""
    visible: list[Change] = []
    out = False
    for change in changes:
        event = change.event
        if isinstance(event, ParticipantChanged) and event.participant.employee.id == employee_id:
            visible.append(change)
            out = event.left
        elif not out:
            visible.append(change)
            out = isinstance(event, MessageCreated) and employee_id in removed_employees(
                event.message.kind, event.message.attrs
            )
    return visible, out
