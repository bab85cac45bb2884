"""ingest's committed changes ─▶ call.* events for the people they concern, and their presence.

Each agent on the call hears: offered when their telephone begins to ring, updated while it goes
on, ended when it is over, revised when a late event makes it another one then. The call travels
whole, with its version. Whoever watches queues hears of their calls, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import orjson
import structlog

from gateway import topics
from gateway.bus import Announcement, announce
from gateway.context import Services
from gateway.db import Conn
from gateway.protocol import Call, CallEnded, CallOffered, CallRevised, CallUpdated
from gateway.protocol.codec import encode
from gateway.telephony.agents.queries import agents as agent_queries
from gateway.telephony.callbacks import missed
from gateway.telephony.calls.queries import calls as queries
from gateway.telephony.calls.queries import lookup
from gateway.telephony.calls.screen_pop import ScreenPop
from gateway.telephony.stats.stats_cache import late_days
from ingest import AgentChange, CallChange, CallState, load_calls

log = structlog.get_logger(__name__)

CallEvent = CallOffered | CallUpdated | CallEnded | CallRevised

AGENT_RECHECK = "agent.touched"
"""On someone's own topic, between nodes: what they do may be something else now."""

PUBLISH_BATCH = 20
"""Calls told of in one go: some milliseconds in which this process does nothing else."""

READ_BATCH, MAX_BATCHES = 500, 10
"""So many calls are read in one go, and so many times in one look."""


async def calls_changed(services: Services, changes: Sequence[CallChange]) -> None:
    """Tell the agents of these calls; whoever misses it finds the call in their next welcome."""
    popping = [change.after for change in changes if _newly_ringing(change)]
    async with services.connection() as conn:
        pop = await ScreenPop.read(conn, _states(changes), popping=popping)
    try:
        await _publish(services, pop, changes)
    finally:  # should that take too long, these see for themselves
        queues = {queue for change in changes for queue in _queues(change)}
        people = {one for change in changes for one in _changed_agents(pop, change)}
        services.publish(_queues_recheck(queues, people))
        missed.wake(services, changes)
    for change in changes:
        for employee_id, talking in _conversation_changes(pop, change):
            await services.presence.set_on_call(employee_id, str(change.after.id), talking)
    if services.stats_cache is not None:
        began = [change.after.started_at for change in changes]
        await services.stats_cache.invalidate_days(late_days(began, datetime.now(UTC)))


async def _publish(services: Services, pop: ScreenPop, changes: Sequence[CallChange]) -> None:
    """Publish the news of these calls; in between others have their turn."""
    for first in range(0, len(changes), PUBLISH_BATCH):
        together = changes[first : first + PUBLISH_BATCH]
        said = [item for change in together for item in _announcements(pop, change)]
        said.sort(key=lambda item: item.topic == topics.QUEUE_CALLS)  # they go in one message
        services.publish(said)
        await asyncio.sleep(0)


async def agents_changed(services: Services, changes: Sequence[AgentChange]) -> None:
    """Have those told who logged in, paused or came back, and those who watch their queues."""
    if services.stats_cache is not None:
        told = [change.since for change in changes if change.since is not None]
        await services.stats_cache.invalidate_days(late_days(told, datetime.now(UTC)))
    changes = [change for change in changes if not change.unchanged]
    if not changes:
        return
    async with services.connection() as conn:
        own = await lookup.employees(conn, {(one.source, one.extension) for one in changes})
    queues = {queue for change in changes for queue in change.queues}
    services.publish(
        [agent_recheck(employee_id) for employee_id in sorted(set(own.values()))]
        + _queues_recheck(queues, set(own.values()))
    )


def agent_recheck(employee_id: int) -> Announcement:
    """Have the nodes that someone is connected to look what they do now."""
    return Announcement(topics.user(employee_id), AGENT_RECHECK, b'{"type":"agent.touched"}')


async def redeliver(
    services: Services,
    deliver: Callable[[Announcement], None],
    since: datetime,
    *,
    until: datetime | None = None,
    hours: int = 12,
    is_current: Callable[[UUID, int], bool] = lambda _id, _version: False,
) -> datetime | None:
    """Tell people on this node anew of calls that changed since then; versions sort it out.

    known says of a call and its version that there is nothing to tell. Of too many changes the
    first are told; returned is then up to which moment, else None.
    """
    await _redeliver_agents(services, deliver, since)
    after: queries.ChangedCall | None = None
    for _ in range(MAX_BATCHES):
        async with services.connection() as conn:
            changed = await queries.changed_since(
                conn, since, until=until, hours=hours, after=after, limit=READ_BATCH
            )
            unknown = [one.id for one in changed if not is_current(one.id, one.version)]
            states = await _load_with_merge_targets(conn, unknown) if unknown else {}
            pop = await ScreenPop.read(conn, list(states.values()))
        for call_id in unknown:
            if call_id in states:
                _redeliver_call(deliver, pop, states, states[call_id])
        if len(changed) < READ_BATCH:
            return None
        after = changed[-1]
    return after.updated_at if after else None


async def _redeliver_agents(
    services: Services, deliver: Callable[[Announcement], None], since: datetime
) -> None:
    """Have agents looked at of whom their PBX said something since then."""
    async with services.connection() as conn:
        telephones = await agent_queries.changed_since(conn, since)
        own = await lookup.employees(conn, telephones) if telephones else {}
    for agent in sorted(set(own.values())):
        deliver(agent_recheck(agent))


async def _load_with_merge_targets(conn: Conn, call_ids: Sequence[UUID]) -> dict[UUID, CallState]:
    """Return these calls, and those that the merged ones of them are a part of now."""
    found: dict[UUID, CallState] = {}
    wanted = set(call_ids)
    while wanted:
        loaded = await load_calls(conn, sorted(wanted))
        found |= loaded
        wanted = {one.merged_into for one in loaded.values() if one.merged_into} - found.keys()
    return found


def _redeliver_call(
    deliver: Callable[[Announcement], None],
    pop: ScreenPop,
    states: Mapping[UUID, CallState],
    state: CallState,
) -> None:
    """Tell what a call is; the end of a merged one, which has no legs, to those of its winner."""
    whole, seen = state, {state.id}
    while (into := whole.merged_into) is not None and into in states and into not in seen:
        whole = states[into]
        seen.add(into)
    call = pop.to_call(state)
    event = CallEnded(call=call) if state.status == "ended" else CallUpdated(call=call)
    people = _employees(pop, state.source, state.extensions | whole.extensions)
    for employee_id in sorted(people):
        deliver(announce(topics.user(employee_id), event))
    if queues := {stint.queue for one in (state, whole) for stint in one.stints}:
        deliver(_watcher_announcement(event.type, encode(event), queues, people))


def _announcements(pop: ScreenPop, change: CallChange) -> Iterator[Announcement]:
    """Say what happened to those on the call, and to who watches the queues it is or was in.

    Each event is printed once for all who hear it: with the last calls of the customer for those
    whose telephones ring and for watchers, plain for everybody else.
    """
    state, queues, rung = change.after, _queues(change), _newly_ringing(change)
    found = {ext: pop.employee(state.source, ext) for ext in sorted(_extensions(change))}
    people = {ext: employee_id for ext, employee_id in found.items() if employee_id is not None}
    if not (queues or people):
        return
    call = pop.to_call(state)
    shown = pop.with_contacts(call, state.number_e164) if rung else None
    popping = _encoded(change, call, shown)
    plain = popping if people.keys() <= rung else _encoded(change, call, None)
    for extension, employee_id in people.items():
        for kind, event in popping if extension in rung else plain:
            yield Announcement(topics.user(employee_id), kind, event)
    if queues:
        for kind, event in popping:
            yield _watcher_announcement(kind, event, queues, people.values())


def _encoded(change: CallChange, call: Call, popped: Call | None) -> list[tuple[str, bytes]]:
    return [(event.type, encode(event)) for event in _events(change, call, popped)]


def _events(change: CallChange, call: Call, popped: Call | None) -> Iterator[CallEvent]:
    """Say what happened to one agent, in order: one batch may ring, answer and end a call."""
    was_over = change.before is not None and change.before.status == "ended"
    if was_over and call.status == "ended":
        yield CallRevised(call=call)
        return
    if popped is not None:
        yield CallOffered(call=popped)
    if change.ended:
        yield CallEnded(call=call)
    elif popped is None or call.status != "ringing":
        yield CallUpdated(call=call)


def _watcher_announcement(
    kind: str, event: bytes, queues: Collection[str], people: Collection[int]
) -> Announcement:
    """Write before the event whose watchers hear it, and who has heard it as their own.

    The call alone does not say: merged, it has neither legs nor stays any more.
    """
    head = orjson.dumps({"queues": sorted(queues), "employees": sorted(set(people))})
    return Announcement(topics.QUEUE_CALLS, kind, head + b"\n" + event)


def _queues_recheck(queues: set[str], employee_ids: set[int]) -> list[Announcement]:
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


def _changed_agents(pop: ScreenPop, change: CallChange) -> Iterator[int]:
    """Say whose part in the call has become another one."""

    def parts(state: CallState | None) -> set[tuple[str | None, str]]:
        return {(leg.extension, leg.status) for leg in state.legs} if state else set()

    for extension, _ in parts(change.after) ^ parts(change.before):
        employee_id = pop.employee(change.after.source, extension)
        if employee_id is not None:
            yield employee_id


def _employees(pop: ScreenPop, source: str, extensions: Collection[str]) -> set[int]:
    """Return whose telephones these are."""
    people = {pop.employee(source, extension) for extension in extensions}
    return {one for one in people if one is not None}


def _newly_ringing(change: CallChange) -> frozenset[str]:
    """Return the extensions that ring anew, and those that rang and stopped within one batch.

    None when it is told again, maybe minutes later.
    """
    if change.repeated:
        return frozenset()
    return change.offered | (_ever_rung(change.after) - _ever_rung(change.before))


def _ever_rung(state: CallState | None) -> frozenset[str]:
    """Return the extensions that have rung so far."""
    legs = state.legs if state else ()
    return frozenset(leg.extension for leg in legs if leg.extension and leg.ringing_at)


def _conversation_changes(pop: ScreenPop, change: CallChange) -> Iterator[tuple[int, bool]]:
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
