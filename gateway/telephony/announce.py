"""ingest's committed changes ─▶ call.* events for the people they concern, and their presence.

Each agent on the call hears: offered when their telephone begins to ring, updated while it goes
on, ended when it is over, revised when a late event makes it another one then. The call travels
whole, with its version. Whoever watches queues hears of their calls, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import orjson
import structlog

from gateway import topics
from gateway.bus import Announcement, announce
from gateway.context import Services
from gateway.protocol import Call, CallEnded, CallOffered, CallRevised, CallUpdated
from gateway.telephony import missed
from gateway.telephony.answers import late_calls
from gateway.telephony.queries import agents as agent_queries
from gateway.telephony.queries import calls as queries
from gateway.telephony.queries import lookup
from gateway.telephony.screen_pop import ScreenPop
from ingest import AgentChange, CallChange, CallState, load_calls

log = structlog.get_logger(__name__)

CallEvent = CallOffered | CallUpdated | CallEnded | CallRevised

AGENT_TOUCHED = "agent.touched"
"""On someone's own topic, between nodes: what they do may be something else now."""


async def calls_changed(services: Services, changes: Sequence[CallChange]) -> None:
    """Tell the agents of these calls; whoever misses it finds the call in their next welcome."""
    popping = [change.after for change in changes if _rung(change.after) - _rung(change.before)]
    async with services.connection() as conn:
        pop = await ScreenPop.read(conn, _states(changes), popping=popping)
    services.publish(
        [item for change in changes for item in _announcements(pop, change)]
        + [item for change in changes for item in _to_watchers(pop, change)]
        + _touching(
            {queue for change in changes for queue in _queues(change)},
            {one for change in changes for one in _doing_else(pop, change)},
        )
    )
    for change in changes:
        for employee_id, talking in _talking(pop, change):
            await services.presence.set_on_call(employee_id, str(change.after.id), talking)
    if services.answers is not None:
        began = [change.after.started_at for change in changes]
        await services.answers.late(late_calls(began, datetime.now(UTC)))
    await missed.calls_changed(services, changes)


async def agents_changed(services: Services, changes: Sequence[AgentChange]) -> None:
    """Have those told who logged in, paused or came back, and those who watch their queues."""
    async with services.connection() as conn:
        own = await lookup.employees(conn, {(one.source, one.extension) for one in changes})
    queues = {queue for change in changes for queue in change.queues}
    services.publish(
        [touched(employee_id) for employee_id in sorted(set(own.values()))]
        + _touching(queues, set(own.values()))
    )


def touched(employee_id: int) -> Announcement:
    """Have the nodes that someone is connected to look what they do now."""
    return Announcement(topics.user(employee_id), AGENT_TOUCHED, b'{"type":"agent.touched"}')


async def again(
    services: Services, deliver: Callable[[Announcement], None], since: datetime
) -> None:
    """Tell people on this node anew of calls that changed since then; versions sort it out."""
    async with services.connection() as conn:
        changed = await queries.changed_since(conn, since)
        states = list((await load_calls(conn, changed)).values()) if changed else []
        pop = await ScreenPop.read(conn, states)
        telephones = await agent_queries.changed_since(conn, since)
        own = await lookup.employees(conn, telephones) if telephones else {}
    for agent in sorted(set(own.values())):
        deliver(touched(agent))
    for state in states:
        call = pop.call(state)
        event = CallEnded(call=call) if state.status == "ended" else CallUpdated(call=call)
        for extension in sorted(state.extensions):
            employee_id = pop.employee(state.source, extension)
            if employee_id is not None:
                deliver(announce(topics.user(employee_id), event))


def _announcements(pop: ScreenPop, change: CallChange) -> Iterator[Announcement]:
    call = pop.call(change.after)
    rung_before = _rung(change.before)
    for extension in sorted(_extensions(change)):
        employee_id = pop.employee(change.after.source, extension)
        if employee_id is not None:
            newly_rung = extension in _rung(change.after) - rung_before
            popped = pop.popped(change.after) if newly_rung else None
            for event in _events(change, call, popped):
                yield announce(topics.user(employee_id), event)


def _events(change: CallChange, call: Call, popped: Call | None) -> Iterator[CallEvent]:
    """Say what happened to one agent, in order: one batch may ring, answer and end a call."""
    if change.before is not None and change.before.status == "ended":
        yield CallRevised(call=call)
        return
    if popped is not None:
        yield CallOffered(call=popped)
    if change.ended:
        yield CallEnded(call=call)
    elif popped is None or call.status != "ringing":
        yield CallUpdated(call=call)


def _to_watchers(pop: ScreenPop, change: CallChange) -> Iterator[Announcement]:
    """Say what happened to those who watch the call's queues."""
    if not _queues(change):
        return
    popped = pop.popped(change.after) if _rung(change.after) - _rung(change.before) else None
    for event in _events(change, pop.call(change.after), popped):
        yield announce(topics.QUEUE_CALLS, event)


def _touching(queues: set[str], employee_ids: set[int]) -> list[Announcement]:
    """Have the nodes on which somebody watches look what has become of these."""
    if not (queues or employee_ids):
        return []
    said = {"queues": sorted(queues), "employees": sorted(employee_ids)}
    return [Announcement(topics.QUEUES, "queues.touched", orjson.dumps(said))]


def _states(changes: Sequence[CallChange]) -> list[CallState]:
    """Return what the calls are, and what those were whose telephones are not all in it."""
    before = [change.before for change in changes if change.before is not None]
    after = [change.after for change in changes]
    known = {state.id: state.extensions for state in after}
    return after + [state for state in before if state.extensions - known[state.id]]


def _extensions(change: CallChange) -> frozenset[str]:
    """Return the telephones that took part; also those that no longer do: the call was merged."""
    return change.after.extensions | (change.before.extensions if change.before else frozenset())


def _queues(change: CallChange) -> set[str]:
    """Return the queues that the call is or was in."""
    states = (change.after, change.before)
    return {stint.queue for state in states if state for stint in state.stints}


def _doing_else(pop: ScreenPop, change: CallChange) -> Iterator[int]:
    """Say whose part in the call has become another one."""

    def parts(state: CallState | None) -> set[tuple[str | None, str]]:
        return {(leg.extension, leg.status) for leg in state.legs} if state else set()

    for extension, _ in parts(change.after) ^ parts(change.before):
        employee_id = pop.employee(change.after.source, extension)
        if employee_id is not None:
            yield employee_id


def _rung(state: CallState | None) -> frozenset[str]:
    """Return the extensions that have rung so far."""
    legs = state.legs if state else ()
    return frozenset(leg.extension for leg in legs if leg.extension and leg.ringing_at)


def _talking(pop: ScreenPop, change: CallChange) -> Iterator[tuple[int, bool]]:
    """Say who is now in a conversation, and who no longer is, on any of their telephones."""
    after, before = _in_conversation(pop, change.after), _in_conversation(pop, change.before)
    for employee_id in sorted(after ^ before):
        yield employee_id, employee_id in after


def _in_conversation(pop: ScreenPop, state: CallState | None) -> frozenset[int]:
    legs = state.legs if state and state.status != "ended" else ()
    people = (
        pop.employee(state.source, leg.extension)
        for leg in legs
        if state and leg.status in {"talking", "held"}
    )
    return frozenset(one for one in people if one is not None)
