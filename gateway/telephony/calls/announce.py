"""From ingest's committed changes to call.* events for the employees on a call, and to presence.

ingest ─▶ calls_changed, agents_changed ─▶ Services.publish. Each agent on the call receives
call.offered when their telephone begins to ring, call.updated while the call is live, call.ended
when it is over, and call.revised when a late PBX event changes it after that. The event has the
whole call, with its version. Those who watch a queue receive the events of its calls, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from itertools import islice
from uuid import UUID

import orjson
import structlog

from gateway import topics
from gateway.bus import Announcement
from gateway.context import Services
from gateway.db import Conn
from gateway.protocol import Call, CallEnded, CallOffered, CallRevised, CallUpdated
from gateway.protocol.codec import encode
from gateway.telephony.agents.queries import agents as agent_queries
from gateway.telephony.callbacks import missed
from gateway.telephony.calls.queries import calls as queries
from gateway.telephony.calls.queries import lookup
from gateway.telephony.calls.screen_pop import ScreenPop
from gateway.telephony.stats.stats_cache import days_since, late_days
from ingest import (
    SHOWN_PARTS,
    AgentChange,
    CallChange,
    CallState,
    CondensedCall,
    PartsChoice,
    load_calls,
)

log = structlog.get_logger(__name__)

CallEvent = CallOffered | CallUpdated | CallEnded | CallRevised

AGENT_RECHECK = "agent.touched"
"""Between nodes, on an employee's topic: what they do may have changed, so read it again.

Names on the bus do not change: nodes of two versions read each other during a rolling upgrade.
"""

PUBLISH_BATCH = 20
"""Calls published without a pause: a few milliseconds in which this process does nothing else."""

MAX_ANNOUNCED = 200
"""Events published without a pause: a call may ring thousands of telephones."""

VIEWERS_AT_ONCE = SHOWN_PARTS.legs - 10
"""Telephones whose legs one event shows in addition to those that everybody sees."""

READ_BATCH, MAX_BATCHES = 500, 10
"""Calls read by one statement, and statements of one redelivery."""


async def calls_changed(services: Services, changes: Sequence[CallChange]) -> None:
    """Publish changed calls to their agents; one who misses it gets the call in the welcome."""
    popping = [change.after for change in changes if _newly_ringing(change)]
    async with services.connection() as conn:
        pop = await ScreenPop.read(conn, _states(changes), popping=popping)
    try:
        await _publish(services, pop, changes)
    finally:  # also when that was cancelled: nodes then read these for themselves
        queues = {queue for change in changes for queue in _queues(change)}
        agents = {one for change in changes for one in _changed_agents(pop, change)}
        services.publish(_queues_recheck(queues, agents))
        missed.wake(services, changes)
    for change in changes:
        for employee_id, talking in _talking_changes(pop, change):
            await services.presence.set_on_call(employee_id, str(change.after.id), talking)
    if services.stats_cache is not None:
        began = [change.after.started_at for change in changes]
        await services.stats_cache.invalidate_days(late_days(began, datetime.now(UTC)))


async def _publish(services: Services, pop: ScreenPop, changes: Sequence[CallChange]) -> None:
    """Publish the events of these calls; other tasks run between the batches."""
    for first in range(0, len(changes), PUBLISH_BATCH):
        batch = changes[first : first + PUBLISH_BATCH]
        every = (item for change in batch for item in _announcements(pop, change))
        while items := list(islice(every, MAX_ANNOUNCED)):
            items.sort(key=lambda item: item.topic == topics.QUEUE_CALLS)  # they share one message
            services.publish(items)
            await asyncio.sleep(0)


async def agents_changed(services: Services, changes: Sequence[AgentChange]) -> None:
    """Have nodes read agents again that logged in, paused or came back, and their queues."""
    if services.stats_cache is not None:
        since = [change.since for change in changes if change.since is not None]
        now = datetime.now(UTC)
        await services.stats_cache.invalidate_days(late_days(days_since(since, now), now))
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
    """Return the announcement that makes an employee's nodes read again what they do."""
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
    """Deliver calls on this node again that changed after since; versions make that harmless.

    A call for whose id and version is_current returns True is left out. Of too many changes the
    first are delivered, and the moment is returned up to which they are; otherwise None.
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
    """Deliver a recheck for each agent of whom a PBX reported something after since."""
    async with services.connection() as conn:
        telephones = await agent_queries.changed_since(conn, since)
        own = await lookup.employees(conn, telephones) if telephones else {}
    for employee_id in sorted(set(own.values())):
        deliver(agent_recheck(employee_id))


async def _load_with_merge_targets(conn: Conn, call_ids: Sequence[UUID]) -> dict[UUID, CallState]:
    """Return these calls, and the calls into which the merged ones of them were merged."""
    states: dict[UUID, CallState] = {}
    missing = set(call_ids)
    while missing:
        loaded = await load_calls(conn, sorted(missing))
        states |= loaded
        missing = {one.merged_into for one in loaded.values() if one.merged_into} - states.keys()
    return states


def _redeliver_call(
    deliver: Callable[[Announcement], None],
    pop: ScreenPop,
    states: Mapping[UUID, CallState],
    state: CallState,
) -> None:
    """Deliver a call's state; a merged call has no legs, so its target's agents receive its end."""
    target, seen = state, {state.id}
    while (into := target.merged_into) is not None and into in states and into not in seen:
        target = states[into]
        seen.add(into)
    kind = CallEnded if state.status == "ended" else CallUpdated
    telephones = _telephones(pop, state.source, state.extensions | target.extensions)
    watched: bytes | None = None
    for call, viewers in _views(pop, state, telephones):
        event = kind(call=call)
        payload = encode(event)
        watched = watched or payload
        for employee_id in sorted(viewers):
            deliver(Announcement(topics.user(employee_id), event.type, payload))
    queues = {stint.queue for one in (state, target) for stint in one.stints}
    if queues and watched:
        deliver(_watcher_announcement(kind.type, watched, queues, telephones))


def _announcements(pop: ScreenPop, change: CallChange) -> Iterator[Announcement]:
    """Yield the events for those on the call, and for those who watch a queue it is or was in.

    Each event is encoded once for all who receive it: with the last calls of the customer for
    those whose telephones ring and for watchers, without them for everybody else. An employee
    receives it once, whichever of their telephones are in the call.
    """
    state, queues, ringing = change.after, _queues(change), _newly_ringing(change)
    telephones = _telephones(pop, state.source, _extensions(change))
    if not (queues or telephones):
        return
    rung = {employee_id for employee_id, own in telephones.items() if own & ringing}
    watched: list[tuple[str, bytes]] | None = None
    for call, viewers in _views(pop, state, telephones):
        offered = pop.with_contacts(call, state.number_e164) if ringing else None
        popping = _encoded(change, call, offered)
        plain = popping if viewers <= rung else _encoded(change, call, None)
        watched = watched or popping
        for employee_id in sorted(viewers):
            for kind, event in popping if employee_id in rung else plain:
                yield Announcement(topics.user(employee_id), kind, event)
    if queues:
        for kind, event in watched or ():
            yield _watcher_announcement(kind, event, queues, telephones)


def _views(
    pop: ScreenPop, state: CallState, telephones: Mapping[int, AbstractSet[str]]
) -> Iterator[tuple[Call, AbstractSet[int]]]:
    """Yield the call as it is shown, and to which employees; the first is for everybody else.

    Of a call with too many legs, further ones show the legs of those employees' telephones that it
    does not. Nobody is shown two of them: they have the same version.
    """
    choice = PartsChoice(CondensedCall(state=state))
    everybody = choice.condensed()
    hidden = choice.hidden_from(everybody)
    apart = sorted(employee_id for employee_id, own in telephones.items() if own & hidden)
    yield pop.to_call(everybody), telephones.keys() - set(apart)
    while apart:
        viewers, first = {apart[0]}, set(telephones[apart[0]])
        for employee_id in apart[1:]:
            if len(first | telephones[employee_id]) > VIEWERS_AT_ONCE:
                break
            viewers.add(employee_id)
            first |= telephones[employee_id]
        apart = apart[len(viewers) :]
        yield pop.to_call(choice.condensed(first)), viewers


def _encoded(change: CallChange, call: Call, offered: Call | None) -> list[tuple[str, bytes]]:
    return [(event.type, encode(event)) for event in _events(change, call, offered)]


def _events(change: CallChange, call: Call, offered: Call | None) -> Iterator[CallEvent]:
    """Yield one agent's events, in order: one batch may ring, answer and end a call."""
    was_over = change.before is not None and change.before.status == "ended"
    if was_over and call.status == "ended":
        yield CallRevised(call=call)
        return
    if offered is not None:
        yield CallOffered(call=offered)
    if change.ended:
        yield CallEnded(call=call)
    elif offered is None or call.status != "ringing":
        yield CallUpdated(call=call)


def _watcher_announcement(
    kind: str, event: bytes, queues: Collection[str], employees: Collection[int]
) -> Announcement:
    """Put a line before the event: the queues it is for, and who receives it as a party.

    The call alone does not tell: a merged call has neither legs nor queue stints.
    """
    head = orjson.dumps({"queues": sorted(queues), "employees": sorted(set(employees))})
    return Announcement(topics.QUEUE_CALLS, kind, head + b"\n" + event)


def _queues_recheck(queues: set[str], employee_ids: set[int]) -> list[Announcement]:
    """Return what makes nodes with watchers read these again; nothing when there are none."""
    if not (queues or employee_ids):
        return []
    payload = orjson.dumps({"queues": sorted(queues), "employees": sorted(employee_ids)})
    return [Announcement(topics.QUEUES, "queues.touched", payload)]


def _states(changes: Sequence[CallChange]) -> list[CallState]:
    """Return the states after the changes, and those before that have telephones of their own."""
    before = [change.before for change in changes if change.before is not None]
    after = [change.after for change in changes]
    known = {state.id: state.extensions for state in after}
    return after + [state for state in before if state.extensions - known[state.id]]


def _extensions(change: CallChange) -> frozenset[str]:
    """Return the telephones that took part, also those that the call lost when it was merged."""
    return change.after.extensions | (change.before.extensions if change.before else frozenset())


def _queues(change: CallChange) -> set[str]:
    """Return the queues that the call is or was in."""
    states = (change.after, change.before)
    return {stint.queue for state in states if state for stint in state.stints}


def _changed_agents(pop: ScreenPop, change: CallChange) -> Iterator[int]:
    """Yield the employees whose part in the call has changed."""

    def parts(state: CallState | None) -> set[tuple[str | None, str]]:
        return {(leg.extension, leg.status) for leg in state.legs} if state else set()

    for extension, _ in parts(change.after) ^ parts(change.before):
        employee_id = pop.employee(change.after.source, extension)
        if employee_id is not None:
            yield employee_id


def _telephones(
    pop: ScreenPop, source: str, extensions: Collection[str]
) -> dict[int, frozenset[str]]:
    """Return the employees who have these telephones, with which of them each has."""
    found: dict[int, set[str]] = {}
    for extension in extensions:
        if (employee_id := pop.employee(source, extension)) is not None:
            found.setdefault(employee_id, set()).add(extension)
    return {employee_id: frozenset(own) for employee_id, own in found.items()}


def _newly_ringing(change: CallChange) -> frozenset[str]:
    """Return the extensions that began to ring, also those that stopped within the same batch.

    None of them when the change is a repetition, which may come minutes later.
    """
    if change.repeated:
        return frozenset()
    return change.offered | (_ever_rung(change.after) - _ever_rung(change.before))


def _ever_rung(state: CallState | None) -> frozenset[str]:
    """Return the extensions that ring or have rung."""
    legs = state.legs if state else ()
    return frozenset(leg.extension for leg in legs if leg.extension and leg.ringing_at)


def _talking_changes(pop: ScreenPop, change: CallChange) -> Iterator[tuple[int, bool]]:
    """Yield (employee, True) for each who began to talk in this call, False for who stopped."""
    after, before = _talking(pop, change.after), _talking(pop, change.before)
    for employee_id in sorted(after ^ before):
        yield employee_id, employee_id in after


def _talking(pop: ScreenPop, state: CallState | None) -> frozenset[int]:
    legs = state.legs if state and state.status != "ended" else ()
    employees = (
        pop.employee(state.source, leg.extension)
        for leg in legs
        if state and leg.status in {"talking", "held"}
    )
    return frozenset(one for one in employees if one is not None)
