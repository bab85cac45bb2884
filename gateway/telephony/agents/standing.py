"""What an agent does according to the marks of their telephones, calls aside.

agents (what they do now), stats.pauses (what they did in a period) ─▶ standing: one rule for both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol

from ingest import ALL_QUEUES

WRAP_UP = frozenset(("wrapup", "wrap-up", "wrap up", "acw", "after call work"))
"""Reasons of a pause that mean work after a call, in lower case."""

Standing = Literal["offline", "paused", "wrap_up", "ready"]


class Mark(Protocol):
    """The login and the pause of one telephone in one queue."""

    @property
    def queue(self) -> str: ...
    @property
    def logged_in(self) -> bool | None: ...
    @property
    def paused(self) -> bool: ...
    @property
    def reason(self) -> str | None: ...


def standing(marks: Iterable[Mark]) -> Standing:
    """Return what follows from these marks, of all telephones of one agent.

    Paused is who is paused in every queue they are logged in to. Marks of all queues together count
    only where no queue is known. Without any mark an agent is ready.
    """
    known, pauses, everywhere = False, [], []
    for one in marks:
        known = True
        if one.logged_in is False:
            continue
        if one.queue == ALL_QUEUES:
            everywhere.append(one)
        elif one.paused:
            pauses.append(one)
        else:
            return "ready"
    relevant = pauses or everywhere
    if not relevant:
        return "offline" if known else "ready"
    if not all(one.paused for one in relevant):
        return "ready"
    return "wrap_up" if all(map(is_wrap_up, relevant)) else "paused"


def is_wrap_up(mark: Mark) -> bool:
    """Return whether the reason of its pause means work after a call."""
    return (mark.reason or "").lower() in WRAP_UP
