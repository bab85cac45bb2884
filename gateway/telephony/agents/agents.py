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
from gateway.telephony.agents.queries.agents import OnCall, Person, Told
from gateway.telephony.stats.queries.stats import WRAP_UP

BUSIEST: tuple[AgentStatus, ...] = ("talking", "held", "dialling", "ringing")
"""Of several calls, the one that says what somebody does."""

EVERYWHERE = ""
MOST_QUEUES = 100


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent as judged: an employee, or a telephone that is nobody's."""

    person: Person
    status: AgentStatus
    reason: str | None
    since: datetime | None
    call: OnCall | None

    @property
    def employee_id(self) -> int | None:
        return self.person.employee_id

    @property
    def queues(self) -> frozenset[str]:
        """The queues that this agent is counted in."""
        of_calls = {call.queue for call in self.person.calls if call.queue}
        return frozenset({told.queue for told in _present(self.person)} | of_calls) - {EVERYWHERE}

    def doing(self, queue: str) -> str:
        """Say how this agent counts in one of their queues."""
        if self.call is not None:
            return "ringing" if self.status == "ringing" else "talking"
        told = [one for one in _present(self.person) if one.queue == queue]
        pauses = [one for one in told if one.paused]
        if not told or len(pauses) < len(told):
            return "available"
        return "wrap_up" if all(map(_is_wrap_up, pauses)) else "paused"

    def state(self) -> AgentState:
        """Return what clients are told."""
        assert self.employee_id is not None
        return AgentState(
            employee_id=self.employee_id,
            state=self.status,
            reason=self.reason,
            since=self.since,
            call_id=self.call.call_id if self.call else None,
            queue=self.call.queue if self.call else None,
            queues=_shown(_present(self.person)),
            version=self.person.version,
        )


async def look(
    conn: Conn, employee_ids: Collection[int], queues: Collection[str], *, spread: bool = False
) -> list[Agent]:
    """Return these employees and the agents of these queues; see queries.read."""
    people = await queries.read(conn, employee_ids, queues, spread=spread)
    return [judge(person) for person in people]


async def states(conn: Conn, employee_ids: Collection[int]) -> dict[int, AgentState]:
    """Return employee → what they do now; only those with a telephone."""
    having = await queries.with_telephone(conn, employee_ids)
    if not having:
        return {}
    return {
        agent.employee_id: agent.state()
        for agent in await look(conn, having, ())
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


def judge(person: Person) -> Agent:
    """Say what somebody does: on the telephone, logged out, paused, or nothing that is known."""
    if person.calls:
        call = min(person.calls, key=lambda one: BUSIEST.index(one.status))
        return Agent(person, call.status, None, call.since, call)  # type: ignore[arg-type]
    present = _present(person)
    if person.told and not present:
        return Agent(person, "offline", None, _last(one.login_at for one in person.told), None)
    relevant = [one for one in present if one.queue != EVERYWHERE] or present
    if relevant and all(one.paused for one in relevant):
        last = max(relevant, key=lambda one: (one.paused_at is not None, one.paused_at))
        status: AgentStatus = "wrap_up" if all(map(_is_wrap_up, relevant)) else "paused"
        return Agent(person, status, last.reason, last.paused_at, None)
    began = [one.login_at for one in present if one.logged_in]
    back = [one.paused_at for one in present if not one.paused]
    return Agent(person, "idle", None, _last([person.quiet_since, *began, *back]), None)


def count(members: Iterable[Agent], queue: str) -> QueueAgents:
    """Count the agents of one queue by what they do."""
    doing = [agent.doing(queue) for agent in members]
    kinds = ("available", "ringing", "talking", "wrap_up", "paused")
    return QueueAgents(total=len(doing), **{kind: doing.count(kind) for kind in kinds})


def _present(person: Person) -> list[Told]:
    """Return what is said of where somebody is not logged out."""
    return [one for one in person.told if one.logged_in is not False]


def _shown(told: list[Told]) -> list[AgentQueue]:
    """Join what is said of several telephones in one queue: paused when all of them are."""
    named: dict[str, list[Told]] = {}
    for one in told:
        if one.queue != EVERYWHERE:
            named.setdefault(one.queue, []).append(one)
    shown = []
    for queue, those in sorted(named.items())[:MOST_QUEUES]:
        one = next((told for told in those if not told.paused), those[0])
        shown.append(
            AgentQueue(queue=queue, paused=one.paused, reason=one.reason, since=one.paused_at)
        )
    return shown


def _is_wrap_up(told: Told) -> bool:
    return (told.reason or "").lower() in WRAP_UP


def _last(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)
