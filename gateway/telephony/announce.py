"""ingest's committed changes ─▶ call.* events for the people they concern, and their presence.

Each agent on the call hears: offered when their telephone begins to ring, updated while it goes
on, ended when it is over. The call travels whole, with its version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import structlog

from gateway import topics
from gateway.bus import Announcement, announce
from gateway.context import Services
from gateway.protocol import Call, CallEnded, CallOffered, CallUpdated
from gateway.telephony.answers import late_calls
from gateway.telephony.queries import calls as queries
from gateway.telephony.screen_pop import ScreenPop
from ingest import CallChange, CallState, load_calls

log = structlog.get_logger(__name__)


async def calls_changed(services: Services, changes: Sequence[CallChange]) -> None:
    """Tell the agents of these calls; whoever misses it finds the call in their next welcome."""
    async with services.connection() as conn:
        pop = await ScreenPop.read(conn, [change.after for change in changes])
    services.publish([item for change in changes for item in _announcements(pop, change)])
    for change in changes:
        for employee_id, talking in _talking(pop, change):
            await services.presence.set_on_call(employee_id, str(change.after.id), talking)
    if services.answers is not None:
        began = [change.after.started_at for change in changes]
        await services.answers.late(late_calls(began, datetime.now(UTC)))


async def again(
    services: Services, deliver: Callable[[Announcement], None], since: datetime
) -> None:
    """Tell people on this node anew of calls that changed since then; versions sort it out."""
    async with services.connection() as conn:
        changed = await queries.changed_since(conn, since)
        states = list((await load_calls(conn, changed)).values()) if changed else []
        pop = await ScreenPop.read(conn, states)
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
    for extension in sorted(change.after.extensions):
        employee_id = pop.employee(change.after.source, extension)
        if employee_id is not None:
            newly_rung = extension in _rung(change.after) - rung_before
            for event in _events(change, call, newly_rung=newly_rung):
                yield announce(topics.user(employee_id), event)


def _events(
    change: CallChange, call: Call, *, newly_rung: bool
) -> Iterator[CallOffered | CallUpdated | CallEnded]:
    """Say what happened to one agent, in order: one batch may ring, answer and end a call."""
    if newly_rung:
        yield CallOffered(call=call)
    if change.ended:
        yield CallEnded(call=call)
    elif not newly_rung or call.status != "ringing":
        yield CallUpdated(call=call)


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
