"""What a node's watchers of queues, and the agents here, were told last: only what differs is news.

queue_watch ─▶ QueueNews ─▶ queue_watch. A state is compared without its version, which is the time
at which it was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from gateway.protocol import AgentState, AgentStateChanged, QueueLive
from gateway.protocol.codec import encode
from gateway.telephony.agents.agents import Agent

State = TypeVar("State", QueueLive, AgentState)
Key = TypeVar("Key")


class PublishedQueues:
    """One node's memory of what it said."""

    def __init__(self) -> None:
        self._queues: dict[tuple[str, str], QueueLive] = {}
        """(zone, queue) → what its watchers were told last."""
        self._agents: dict[int, AgentState] = {}
        self._placed: dict[int, frozenset[str]] = {}
        """employee → the queues that they were in when last told of."""

    @property
    def names(self) -> set[str]:
        """The queues that somebody was told of."""
        return {queue for _, queue in self._queues}

    @property
    def people(self) -> list[int]:
        """The agents that somebody was told of."""
        return list(self._agents)

    def shown(self, tz: str, queues: Iterable[QueueLive]) -> set[str]:
        """Take note of a snapshot; return the queues of which others were told something else.

        Those are read again: what is said then, everybody has to hear.
        """
        return {one.queue for one in queues if not _agrees(self._queues, (tz, one.queue), one)}

    def shown_agents(self, states: Iterable[AgentState]) -> set[int]:
        """Take note of a snapshot of agents, in the same way."""
        return {
            one.employee_id for one in states if not _agrees(self._agents, one.employee_id, one)
        }

    def forget_agent(self, employee_id: int) -> None:
        """Forget an agent to whom nothing is said here any more."""
        self._agents.pop(employee_id, None)

    def changed_queues(
        self, read: Mapping[str, Iterable[QueueLive]]
    ) -> dict[str, dict[str, bytes]]:
        """Return zone → queue → its state, printed: those that have become another one."""
        news: dict[str, dict[str, bytes]] = {}
        for tz, states in read.items():
            for state in states:
                if not _same(self._queues.get((tz, state.queue)), state):
                    self._queues[tz, state.queue] = state
                    news.setdefault(tz, {})[state.queue] = encode(state)
        return news

    def changed_agent(self, agent: Agent) -> tuple[bytes, frozenset[str]] | None:
        """Return what is to be said of an agent, and of which queues; None when it is no news."""
        assert agent.employee_id is not None
        state = agent.to_wire()
        if _same(self._agents.get(agent.employee_id), state):
            return None
        before = self._placed.get(agent.employee_id, frozenset())
        self._agents[agent.employee_id] = state
        self._placed[agent.employee_id] = agent.queues
        return encode(AgentStateChanged(agent=state)), agent.queues | before

    def retain(self, queues: Callable[[str, str], bool], people: Callable[[int], bool]) -> None:
        """Forget the queues, by zone and name, and the agents of whom nobody is told any more."""
        self._queues = {key: state for key, state in self._queues.items() if queues(*key)}
        self._agents = {one: state for one, state in self._agents.items() if people(one)}
        self._placed = {one: placed for one, placed in self._placed.items() if people(one)}


def _same(told: State | None, state: State) -> bool:
    return told is not None and replace(told, version=state.version) == state


def _agrees(said: dict[Key, State], key: Key, state: State) -> bool:
    """Say whether a snapshot is what was said; what was not is forgotten, or now is said."""
    told = said.get(key)
    if told is None:
        said[key] = state
        return True
    if _same(told, state):
        return True
    del said[key]
    return False
