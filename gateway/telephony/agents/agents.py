"""What agents do now: their calls and what their PBX says of them, judged.

queries ─▶ look ─▶ AgentState for clients, and the counts of a queue's agents. One statement for
any number of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from gateway.auth.permissions import STATS_VIEW
from gateway.context import Context
from gateway.db import Conn
from gateway.protocol.wallboard import AgentPage, AgentQueue, AgentState, AgentStatus, QueueAgents
from gateway.telephony.agents.queries import agents as queries
from gateway.telephony.agents.queries.agents import AgentRecord, OnCall, QueueMark
from gateway.telephony.stats.queries.stats import WRAP_UP

BUSIEST: tuple[AgentStatus, ...] = ("talking", "held", "dialling", "ringing")
"""Of several calls, the one that says what somebody does."""

ALL_QUEUES = ""
MAX_QUEUES = 100


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent as judged: an employee, or a telephone that is nobody's."""

    record: AgentRecord
    status: AgentStatus
    reason: str | None
    since: datetime | None
    call: OnCall | None

    @property
    def employee_id(self) -> int | None:
        return self.record.employee_id

    @property
    def queues(self) -> frozenset[str]:
        """The queues that this agent is counted in."""
        of_calls = {call.queue for call in self.record.calls if call.queue}
        return frozenset({told.queue for told in _logged_in(self.record)} | of_calls) - {ALL_QUEUES}

    def activity_in(self, queue: str) -> str:
        """Say how this agent counts in one of their queues."""
        if self.call is not None:
            return "ringing" if self.status == "ringing" else "talking"
        told = [one for one in _logged_in(self.record) if one.queue == queue]
        pauses = [one for one in told if one.paused]
        if not told or len(pauses) < len(told):
            return "available"
        return "wrap_up" if all(map(_is_wrap_up, pauses)) else "paused"

    def to_wire(self) -> AgentState:
        """Return what clients are told."""
        assert self.employee_id is not None
        return AgentState(
            employee_id=self.employee_id,
            state=self.status,
            reason=self.reason,
            since=self.since,
            call_id=self.call.call_id if self.call else None,
            queue=self.call.queue if self.call else None,
            queues=_queues_to_wire(_logged_in(self.record)),
            version=self.record.version,
        )


async def read(
    conn: Conn,
    employee_ids: Collection[int],
    queues: Collection[str],
    *,
    with_their_queues: bool = False,
) -> list[Agent]:
    """Return these employees and the agents of these queues; see queries.read."""
    people = await queries.read(conn, employee_ids, queues, with_their_queues=with_their_queues)
    return [derive(person) for person in people]


async def states(conn: Conn, employee_ids: Collection[int]) -> dict[int, AgentState]:
    """Return employee → what they do now; only those with a telephone."""
    having = await queries.with_telephone(conn, employee_ids)
    if not having:
        return {}
    return {
        agent.employee_id: agent.to_wire()
        for agent in await read(conn, having, ())
        if agent.employee_id is not None
    }


async def page(ctx: Context, *, after: int, limit: int) -> AgentPage:
    """Return a page of all who have a telephone, by their numbers; needs stats.view."""
    ctx.identity.require(STATS_VIEW)
    async with ctx.reading() as conn:
        found = await queries.employees(conn, after=after, limit=limit + 1)
        shown = await states(conn, found[:limit])
    following = found[limit - 1] if len(found) > limit else None
    return AgentPage(agents=list(shown.values()), next=following)


def derive(record: AgentRecord) -> Agent:
    """Say what somebody does: on the telephone, logged out, paused, or nothing that is known."""
    if record.calls:
        call = min(record.calls, key=lambda one: BUSIEST.index(one.status))
        return Agent(record, call.status, None, call.since, call)  # type: ignore[arg-type]
    present = _logged_in(record)
    if record.marks and not present:
        return Agent(record, "offline", None, _latest(one.login_at for one in record.marks), None)
    relevant = [one for one in present if one.queue != ALL_QUEUES] or present
    if relevant and all(one.paused for one in relevant):
        last = max(relevant, key=lambda one: (one.paused_at is not None, one.paused_at))
        status: AgentStatus = "wrap_up" if all(map(_is_wrap_up, relevant)) else "paused"
        return Agent(record, status, last.reason, last.paused_at, None)
    began = [one.login_at for one in present if one.logged_in]
    back = [one.paused_at for one in present if not one.paused]
    return Agent(record, "idle", None, _latest([record.last_call_ended_at, *began, *back]), None)


def count(members: Iterable[Agent], queue: str) -> QueueAgents:
    """Count the agents of one queue by what they do."""
    doing = [agent.activity_in(queue) for agent in members]
    kinds = ("available", "ringing", "talking", "wrap_up", "paused")
    return QueueAgents(total=len(doing), **{kind: doing.count(kind) for kind in kinds})


def _logged_in(record: AgentRecord) -> list[QueueMark]:
    """Return what is said of where somebody is not logged out."""
    return [one for one in record.marks if one.logged_in is not False]


def _queues_to_wire(told: list[QueueMark]) -> list[AgentQueue]:
    """Join what is said of several telephones in one queue: paused when all of them are."""
    named: dict[str, list[QueueMark]] = {}
    for one in told:
        if one.queue != ALL_QUEUES:
            named.setdefault(one.queue, []).append(one)
    shown = []
    for queue, those in sorted(named.items())[:MAX_QUEUES]:
        one = next((told for told in those if not told.paused), those[0])
        shown.append(
            AgentQueue(queue=queue, paused=one.paused, reason=one.reason, since=one.paused_at)
        )
    return shown


def _is_wrap_up(told: QueueMark) -> bool:
    return (told.reason or "").lower() in WRAP_UP


def _latest(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)
