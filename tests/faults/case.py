"""What a run is checked with: its history, the database after it, and the limits that apply.

history, Truth ─▶ Case, RoomCase ─▶ checker. Each index over the history is built once, when a rule
needs it. What was heard is looked at by conversation, so that one of them is in memory at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from gateway.protocol import Message
from loadtests.messenger.truth import Truth
from tests.faults.deadlines import DeliveryDeadlines
from tests.faults.history import History, ObservedSession, Sent
from tests.faults.received_events import ReceivedEvent


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """How much of what is allowed."""

    deliver_s: float = 5.0
    """From the acknowledgement, or the end of the fault, until everybody has it."""
    return_s: float = 30.0
    """From losing a connection, or the end of the fault, until the next welcome."""
    lease_s: float = 6.0
    grace_s: float = 2.0
    slack_s: float = 3.0
    """What is announced is told a moment later: conflation, a sweep, a busy machine."""
    acks: int = 20
    received: int = 50
    """A run with fewer proves nothing."""
    observer_starved: float = 0.25
    """The part of a run for which the laboratory itself may be late: what waits in its sockets
    meanwhile is a queue, and comes later than any moment's lateness shows."""


@dataclass(frozen=True)
class Case:
    """What is judged."""

    history: History
    truth: Truth
    bounds: CheckLimits

    @cached_property
    def rows(self) -> dict[tuple[int, int], Message]:
        """(conversation, seq) → what is stored there."""
        return {
            (cid, message.seq): message
            for cid, room in self.truth.rooms.items()
            for message in room.messages
        }

    @cached_property
    def stored(self) -> dict[str, list[Message]]:
        """What was said → where it is stored."""
        found: dict[str, list[Message]] = defaultdict(list)
        for message in self.rows.values():
            found[message.text].append(message)
        return found

    @cached_property
    def deadlines(self) -> DeliveryDeadlines:
        return DeliveryDeadlines(self.history, self.bounds.deliver_s)

    def rooms(self) -> Iterator[RoomCase]:
        """Yield all conversations, with what was sent and heard in each."""
        heard = self.history.received.by_conversation()
        sent: dict[int, list[Sent]] = defaultdict(list)
        for one in self.history.sent:
            sent[one.conversation_id].append(one)
        for cid in sorted({*self.truth.rooms, *heard, *sent}):
            told = [self.history.received[index] for index in heard.get(cid, ())]
            yield RoomCase(self, cid, told, sent.get(cid, []))

    @cached_property
    def positions(self) -> dict[int, list[tuple[ObservedSession, int]]]:
        """Conversation → the connections that began in it, and after which change."""
        found: dict[int, list[tuple[ObservedSession, int]]] = defaultdict(list)
        for session in self.history.sessions:
            for cid, position in session.positions.items():
                found[cid].append((session, position))
        return found

    @cached_property
    def listed(self) -> dict[tuple[int, int], int]:
        """(reader, conversation) → up to which change it was given a list's entry instead."""
        found: dict[tuple[int, int], int] = defaultdict(int)
        for session in self.history.sessions:
            for cid in session.listed:
                where = session.reader, cid
                found[where] = max(found[where], session.positions[cid])
        return found

    @cached_property
    def left_at(self) -> dict[int, float]:
        """Reader → when they left and did not come back."""
        last = {session.reader: session for session in self.history.sessions}
        return {reader: session.ended_at or 0.0 for reader, session in last.items() if session.left}

    @cached_property
    def sent_at(self) -> dict[str, float]:
        """What was said → when it was known to be stored, or at least tried."""
        return {sent.text: sent.ended_at or sent.invoked_at for sent in self.history.sent}

    def gone(self, reader: int, message: Message) -> bool:
        """Say whether this reader left before they could be expected to hear of it."""
        left_at = self.left_at.get(reader)
        if left_at is None:
            return False
        sent_at = self.sent_at.get(message.text, left_at)
        return self.deadlines.expected(reader, sent_at) + self.bounds.deliver_s > left_at


@dataclass(frozen=True)
class RoomCase:
    """One conversation of it."""

    case: Case
    conversation_id: int
    told: list[ReceivedEvent]
    """In the order in which it came, on all connections."""
    sent: list[Sent]

    @property
    def messages(self) -> list[Message]:
        room = self.case.truth.rooms.get(self.conversation_id)
        return room.messages if room else []

    @property
    def members(self) -> tuple[int, ...]:
        return self.case.history.members.get(self.conversation_id, ())

    @property
    def visitors(self) -> tuple[int, ...]:
        return self.case.history.visitors.get(self.conversation_id, ())

    @cached_property
    def by_session(self) -> dict[int, list[ReceivedEvent]]:
        """Connection → what it was told."""
        found: dict[int, list[ReceivedEvent]] = defaultdict(list)
        for one in self.told:
            found[one.session].append(one)
        return found

    @cached_property
    def first_received(self) -> dict[tuple[int, int], ReceivedEvent]:
        """(reader, seq) → when it came first."""
        found: dict[tuple[int, int], ReceivedEvent] = {}
        for one in self.told:
            if one.seq is not None:
                found.setdefault((one.reader, one.seq), one)
        return found
