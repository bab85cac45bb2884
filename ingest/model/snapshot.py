"""The state of a PBX, requested after every (re)connection, and the events that were missed.

link ─▶ PbxSnapshot ─▶ catch_up ─▶ CallEvents. Calls that ended while nobody was connected end as
lost, calls that began appear. Events are never withdrawn, so only what is certain becomes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ingest.model.agent_mark import AgentMark
from ingest.model.events import CallEvent, EventType, derive_id

REPEATABLE: frozenset[str] = frozenset(("leg.ringing", "leg.answered", "bridge.joined"))
"""Types that may be new of a leg with stored events; repeated, they change nothing."""

WaitingCaller = tuple[str, str]
"""A caller's leg and the queue in which the caller waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueMember:
    """An agent of a queue, as the PBX lists its agents."""

    extension: str
    queue: str
    paused: bool
    reason: str | None = None
    paused_at: datetime | None = None
    """When the pause began; None when the PBX does not report it, or there is none."""
    login_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PbxSnapshot:
    taken_at: datetime
    alive: frozenset[str] | None = None
    """Native ids of all existing legs; None when the PBX refused."""
    facts: tuple[CallEvent, ...] = ()
    """What the answer says of them, as derived events."""
    waiting: dict[WaitingCaller, datetime] | None = None
    """Callers in queues → since when; None when the PBX refused."""
    members: tuple[QueueMember, ...] | None = None
    """The agents of all queues; None when the PBX refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPbxState:
    """What the database holds of a PBX."""

    open_legs: frozenset[str] = frozenset()
    waiting: frozenset[WaitingCaller] = frozenset()
    with_events: frozenset[str] = frozenset()
    """Of the requested legs, those with events of their own."""
    in_open_calls: frozenset[str] = frozenset()
    """Of the requested legs, those whose call is in progress."""
    marks: Mapping[tuple[str, str], AgentMark] = field(default_factory=dict)
    """(extension, queue) → login and pause of an agent."""


def derived_event(source: str, event_type: EventType, at: datetime, **fields: Any) -> CallEvent:
    """Create an event that the PBX did not send; every node derives the same id for it."""
    named = (event_type, fields.get("leg_key"), fields.get("queue"), fields.pop("once", ""))
    return CallEvent(
        event_id=derive_id(source, "|".join(["derived", *(str(part or "") for part in named)])),
        source=source,
        type=event_type,
        occurred_at=at,
        time_quality="derived",
        native_type="snapshot",
        **fields,
    )


def bridge_joined(
    source: str,
    bridge: str,
    at: datetime,
    *,
    room: Mapping[str, Any] | None = None,
    **leg: str | None,
) -> CallEvent:
    """Create the event of a leg in a bridge; its id includes the time, as it may enter again.

    `room` are the attributes of a conference.
    """
    once = f"{bridge}@{at.isoformat()}"
    attrs = {"bridge": bridge, **(room or {})}
    return derived_event(source, "bridge.joined", at, attrs=attrs, once=once, **leg)


def catch_up(
    snapshot: PbxSnapshot,
    *,
    source: str,
    before: StoredPbxState,
    now: StoredPbxState,
    since: datetime | None,
) -> list[CallEvent]:
    """Return the events that must have been missed while nobody was connected.

    `before` is the stored state before the request, `now` the state after everything that the PBX
    sent up to its answer is stored: a leg that appeared or ended in between has events of its own.
    `since` is up to when the PBX's events are stored; None at the first connection.
    """
    ended = (before.open_legs & now.open_legs) - (snapshot.alive or frozenset())
    events = [] if snapshot.alive is None else lost_legs(ended, source, since or snapshot.taken_at)
    for fact in snapshot.facts:
        leg = fact.leg_key or ""
        if leg not in now.with_events or (leg in now.open_legs and fact.type in REPEATABLE):
            events.append(fact)
    if snapshot.waiting is not None:
        events += _queue_events(snapshot.waiting, snapshot.taken_at, source, before=before, now=now)
    if snapshot.members is not None:
        events += _agent_events(snapshot.members, snapshot.taken_at, source, before=before, now=now)
    return events


def lost_legs(legs: Iterable[str], source: str, at: datetime) -> list[CallEvent]:
    """Return events that end these legs as lost, at the time of the last certain knowledge."""
    attrs = {"result": "lost"}
    return [
        derived_event(source, "leg.ended", at, leg_key=leg, attrs=attrs) for leg in sorted(legs)
    ]


def _queue_events(
    waiting: dict[WaitingCaller, datetime],
    at: datetime,
    source: str,
    *,
    before: StoredPbxState,
    now: StoredPbxState,
) -> Iterator[CallEvent]:
    """Return the missed entries of callers into queues, and their leaving."""

    def queue_event(kind: EventType, who: WaitingCaller, when: datetime) -> CallEvent:
        return derived_event(source, kind, when, leg_key=who[0], queue=who[1], once=at.isoformat())

    for who, entered_at in waiting.items():
        over = who[0] in now.with_events and who[0] not in now.in_open_calls
        if who not in now.waiting and not over:
            yield queue_event("queue.entered", who, entered_at)
    for who in sorted(before.waiting & now.waiting):
        if who not in waiting and who[0] in now.in_open_calls:
            yield queue_event("queue.left", who, at)


def _agent_events(
    members: tuple[QueueMember, ...],
    at: datetime,
    source: str,
    *,
    before: StoredPbxState,
    now: StoredPbxState,
) -> Iterator[CallEvent]:
    """Return the missed logins, logoffs and pauses of agents.

    An agent whose mark changed since the request is skipped: that event is newer than the answer.
    """

    def agent_event(
        kind: EventType, who: tuple[str, str], when: datetime | None, reason: str | None = None
    ) -> CallEvent:
        extension, queue = who
        known = now.marks.get(who)
        last = max(filter(None, (known.paused_at, known.login_at) if known else ()), default=None)
        moment = when if when and when <= at and (last is None or last < when) else at
        return derived_event(
            source, kind, moment, queue=queue, extension=extension,
            attrs={"reason": reason} if reason else {}, once=f"{extension}@{moment.isoformat()}",
        )  # fmt: skip

    listed = {(one.extension, one.queue): one for one in members}
    for who, one in listed.items():
        known = now.marks.get(who)
        if known != before.marks.get(who):
            continue
        if known is None or not known.logged_in:
            yield agent_event("agent.login", who, one.login_at)
        if one.paused and (known is None or not known.paused or known.reason != one.reason):
            yield agent_event("agent.paused", who, one.paused_at, one.reason)
        elif known is not None and known.paused and not one.paused:
            yield agent_event("agent.unpaused", who, None)
    for who, known in now.marks.items():
        if who not in listed and known.logged_in and known == before.marks.get(who):
            yield agent_event("agent.logoff", who, None)
