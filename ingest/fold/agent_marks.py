"""Logins and pauses of one telephone: agent.* events folded in the order of time.

agent_pauses, the gateway's statistics ─▶ TelephoneMarks. The one rule for both: what an agent does
now are the states after the last event, what was done in a period are the states in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from ingest.model.agent_mark import AgentMark
from ingest.model.events import CallEvent

ALL_QUEUES = ""
"""The queue of a state that holds in all queues."""

AGENT_EVENTS = ("agent.logoff", "agent.unpaused", "agent.login", "agent.paused")
"""In the order of unnumbered events of one instant: the end of the old state comes first."""


@dataclass(slots=True)
class QueueState:
    """The login and the pause of a telephone in one queue, after the events so far."""

    queue: str
    logged_in: bool | None = None
    """None: neither a login nor a logoff was told."""
    login_at: datetime | None = None
    """Since when logged_in is what it is."""
    paused: bool = False
    reason: str | None = None
    paused_at: datetime | None = None
    """Since when paused and reason are what they are; None: nothing was told."""

    def log_in(self, at: datetime) -> None:
        if self.logged_in is not True:
            self.logged_in, self.login_at = True, at

    def log_off(self, at: datetime) -> None:
        """Log off, which also ends a pause."""
        if self.logged_in is not False:
            self.logged_in, self.login_at = False, at
        self.end_pause(at)

    def begin_pause(self, at: datetime, reason: str | None) -> None:
        """Begin a pause. A repetition keeps the first time, another reason begins a new pause."""
        if not self.paused or (reason and reason != self.reason):
            self.paused, self.paused_at, self.reason = True, at, reason

    def end_pause(self, at: datetime) -> None:
        if self.paused or self.paused_at is None:
            self.paused, self.paused_at, self.reason = False, at, None


class TelephoneMarks:
    """The states of one telephone, queue by queue. Apply its events in their order."""

    __slots__ = ("states",)

    def __init__(self, known: Iterable[QueueState] = ()) -> None:
        self.states = {state.queue: state for state in known}

    def apply(
        self,
        at: datetime,
        kind: str,
        queue: str | None,
        reason: str | None = None,
        joins_paused: bool | None = False,
    ) -> None:
        """Apply an event; without a queue it holds in all of them."""
        state = self.states.get(queue or ALL_QUEUES)
        if state is None:
            state = self._mention(queue or ALL_QUEUES)
        for one in (state,) if queue else self.states.values():
            if kind == "agent.paused":
                one.begin_pause(at, reason)
            elif kind == "agent.unpaused":
                one.end_pause(at)
            elif kind == "agent.logoff":
                one.log_off(at)
            else:
                one.log_in(at)
                if joins_paused:
                    one.begin_pause(at, reason)

    def _mention(self, queue: str) -> QueueState:
        """Begin the state of a queue with what was told of all queues before."""
        everywhere = self.states.get(ALL_QUEUES)
        state = replace(everywhere, queue=queue) if everywhere else QueueState(queue)
        self.states[queue] = state
        return state


def current_marks(
    events: Iterable[CallEvent], known: Mapping[str, AgentMark] | None = None
) -> dict[str, AgentMark]:
    """Return queue → mark of one telephone; `known` are its marks so far."""
    known = known or {}
    ordered = sorted(
        {event.event_id: event for event in events}.values(),
        key=lambda e: (e.occurred_at, e.told or 0, AGENT_EVENTS.index(e.type), e.event_id),
    )
    if not ordered:
        return dict(known)
    telephone = ordered[0].source, ordered[0].extension or ""
    folded = TelephoneMarks(QueueState(queue) for queue in known)
    for event in ordered:
        reason, joins_paused = event.attrs.get("reason"), bool(event.attrs.get("paused"))
        told = reason if isinstance(reason, str) and reason else None
        folded.apply(event.occurred_at, event.type, event.queue, told, joins_paused)
    return {
        queue: _mark(known.get(queue) or AgentMark(telephone=telephone, queue=queue), state)
        for queue, state in sorted(folded.states.items())
    }


def _mark(mark: AgentMark, state: QueueState) -> AgentMark:
    """Return the mark with what the events have told; the rest of it stays."""
    if state.login_at is not None:
        mark = replace(mark, logged_in=state.logged_in, login_at=state.login_at)
    if state.paused_at is not None:
        mark = replace(mark, paused=state.paused, paused_at=state.paused_at, reason=state.reason)
    return mark
