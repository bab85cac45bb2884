"""The states of queues and agents that a node sent last: only what differs is sent again.

QueueWatches ─▶ PublishedQueues ─▶ QueueWatches. A state is compared without its version, which is
the time at which it was read.
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
    """The states that one node sent last."""

    def __init__(self) -> None:
        self._queues: dict[tuple[str, str], QueueLive] = {}
        """(zone, queue) → the state that its watchers were sent last."""
        self._agents: dict[int, AgentState] = {}
        self._placed: dict[int, frozenset[str]] = {}
        """employee → the queues that they were in when their state was sent last."""

    @property
    def names(self) -> set[str]:
        """The queues whose state was sent to somebody."""
        return {queue for _, queue in self._queues}

    @property
    def people(self) -> list[int]:
        """The agents whose state was sent to somebody."""
        return list(self._agents)

    def shown(self, tz: str, queues: Iterable[QueueLive]) -> set[str]:
        """Record a snapshot; return the queues of which others were sent another state.

        Those are read again, and the result is sent to everybody.
        """
        return {one.queue for one in queues if not _record(self._queues, (tz, one.queue), one)}

    def shown_agents(self, states: Iterable[AgentState]) -> set[int]:
        """Record a snapshot of agents, in the same way."""
        return {
            one.employee_id for one in states if not _record(self._agents, one.employee_id, one)
        }

    def forget_agent(self, employee_id: int) -> None:
        """Remove an agent who is no longer connected here."""
        self._agents.pop(employee_id, None)

    def changed_queues(
        self, read: Mapping[str, Iterable[QueueLive]]
    ) -> dict[str, dict[str, bytes]]:
        """Return zone → queue → its state, encoded: those that have changed."""
        changes: dict[str, dict[str, bytes]] = {}
        for tz, states in read.items():
            for state in states:
                if not _same(self._queues.get((tz, state.queue)), state):
                    self._queues[tz, state.queue] = state
                    changes.setdefault(tz, {})[state.queue] = encode(state)
        return changes

    def changed_agent(self, agent: Agent) -> tuple[bytes, frozenset[str]] | None:
        """Return the event of an agent and the queues concerned; None when nothing has changed."""
        assert agent.employee_id is not None
        state = agent.to_wire()
        if _same(self._agents.get(agent.employee_id), state):
            return None
        before = self._placed.get(agent.employee_id, frozenset())
        self._agents[agent.employee_id] = state
        self._placed[agent.employee_id] = agent.queues
        return encode(AgentStateChanged(agent=state)), agent.queues | before

    def retain(self, queues: Callable[[str, str], bool], people: Callable[[int], bool]) -> None:
        """Remove the queues, by zone and name, and the agents that nobody watches any more."""
        self._queues = {key: state for key, state in self._queues.items() if queues(*key)}
        self._agents = {one: state for one, state in self._agents.items() if people(one)}
        self._placed = {one: placed for one, placed in self._placed.items() if people(one)}


def _same(before: State | None, state: State) -> bool:
    return before is not None and replace(before, version=state.version) == state


def _record(sent: dict[Key, State], key: Key, state: State) -> bool:
    """Return whether a snapshot equals what was sent; a new one counts as sent from now on."""
    before = sent.get(key)
    if before is None:
        sent[key] = state
        return True
    if _same(before, state):
        return True
    del sent[key]
    return False
