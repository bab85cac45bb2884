"""What agents do now, derived from their live calls and from the marks of their PBX.

queries ─▶ read ─▶ AgentState for clients, and the counts of a queue's agents. One statement for any
number of agents.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from gateway.auth.permissions import STATS_VIEW
from gateway.batch_loader import in_portions
from gateway.context import Context
from gateway.db import Conn
from gateway.protocol.wallboard import AgentPage, AgentQueue, AgentState, AgentStatus, QueueAgents
from gateway.telephony.agents.queries import agents as queries
from gateway.telephony.agents.queries.agents import AgentRecord, OnCall, QueueMark
from gateway.telephony.agents.standing import standing
from ingest import ALL_QUEUES

BUSIEST: tuple[AgentStatus, ...] = ("talking", "held", "dialling", "ringing")
"""Of several calls, the one whose status comes first here is what the agent does."""

MAX_QUEUES = 100


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent and what they do: an employee, or a telephone that belongs to none."""

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
        return frozenset({mark.queue for mark in _logged_in(self.record)} | of_calls) - {ALL_QUEUES}

    def activity_in(self, queue: str) -> str:
        """Return how this agent counts in one of their queues, as a field of QueueAgents."""
        if self.call is not None:
            return "ringing" if self.status == "ringing" else "talking"
        stands = standing(one for one in self.record.marks if one.queue == queue)
        return stands if stands in {"paused", "wrap_up"} else "available"

    def to_wire(self) -> AgentState:
        """Return the state that clients receive; only for an employee."""
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
    records = await queries.read(conn, employee_ids, queues, with_their_queues=with_their_queues)
    return [derive(record) async for record in in_portions(records, queries.AT_ONCE)]


async def states(conn: Conn, employee_ids: Collection[int]) -> dict[int, AgentState]:
    """Return employee → what they do now, for those with a telephone."""
    return await states_of(conn, await queries.with_telephone(conn, employee_ids))


async def states_of(conn: Conn, with_telephone: Collection[int]) -> dict[int, AgentState]:
    """Return employee → what they do now; each of them has a telephone."""
    if not with_telephone:
        return {}
    return {
        agent.employee_id: agent.to_wire()
        for agent in await read(conn, with_telephone, ())
        if agent.employee_id is not None
    }


async def page(ctx: Context, *, after: int, limit: int) -> AgentPage:
    """Return a page of all who have a telephone, in the order of their ids; needs stats.view."""
    ctx.identity.require(STATS_VIEW)
    async with ctx.reading() as conn:
        found = await queries.employees(conn, after=after, limit=limit + 1)
        shown = await states(conn, found[:limit])
    following = found[limit - 1] if len(found) > limit else None
    return AgentPage(agents=list(shown.values()), next=following)


def derive(record: AgentRecord) -> Agent:
    """Derive what an agent does: on a call, logged out, paused, or idle."""
    if record.calls:
        call = min(record.calls, key=lambda one: BUSIEST.index(one.status))
        return Agent(record, call.status, None, call.since, call)
    stands = standing(record.marks)
    if stands == "offline":
        return Agent(record, stands, None, _latest(one.login_at for one in record.marks), None)
    present = _logged_in(record)
    if stands != "ready":
        relevant = [one for one in present if one.queue != ALL_QUEUES] or present
        last = max(relevant, key=lambda one: (one.paused_at is not None, one.paused_at))
        return Agent(record, stands, last.reason, last.paused_at, None)
    began = [one.login_at for one in present if one.logged_in]
    back = [one.paused_at for one in present if not one.paused]
    return Agent(record, "idle", None, _latest([record.last_call_ended_at, *began, *back]), None)


def count(members: Iterable[Agent], queue: str) -> QueueAgents:
    """Count the agents of one queue by what they do."""
    doing = [agent.activity_in(queue) for agent in members]
    kinds = ("available", "ringing", "talking", "wrap_up", "paused")
    return QueueAgents(total=len(doing), **{kind: doing.count(kind) for kind in kinds})


def _logged_in(record: AgentRecord) -> list[QueueMark]:
    """Return the marks of queues from which the agent is not logged out."""
    return [one for one in record.marks if one.logged_in is not False]


def _queues_to_wire(marks: list[QueueMark]) -> list[AgentQueue]:
    """Merge the marks of several telephones in one queue: paused when all of them are."""
    by_queue: dict[str, list[QueueMark]] = {}
    for mark in marks:
        if mark.queue != ALL_QUEUES:
            by_queue.setdefault(mark.queue, []).append(mark)
    merged = []
    for queue, own in sorted(by_queue.items())[:MAX_QUEUES]:
        one = next((mark for mark in own if not mark.paused), own[0])
        merged.append(
            AgentQueue(queue=queue, paused=one.paused, reason=one.reason, since=one.paused_at)
        )
    return merged


def _latest(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)
