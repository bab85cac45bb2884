"""What one device shows, by the rules of docs/protocol.md alone.

gateway.client ─▶ ClientView ─▶ check. A welcome is a snapshot, an event carries whole state, and a
page of history is older than the events that arrived while it was being read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.client import Reload
from gateway.protocol import (
    Conversation,
    ConversationCreated,
    ConversationMineChanged,
    ConversationUpdated,
    Draft,
    DraftChanged,
    Message,
    MessageCreated,
    MessageDeleted,
    MessageReacted,
    MessageUpdated,
    Mine,
    Participant,
    ParticipantChanged,
    Unread,
    UnreadChanged,
    UnreadTotal,
    Welcome,
)

Changed = (
    MessageCreated
    | MessageUpdated
    | MessageDeleted
    | MessageReacted
    | ParticipantChanged
    | ConversationUpdated
)
NOTHING = UnreadTotal(messages=0, conversations=0, mentions=0)


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message that was announced to this device."""

    conversation_id: int
    message: Message
    admitted: int
    """The newest change of which this device knew that its owner is in the conversation."""


WHOLE = 2**63
"""Admitted as one who is sent the conversation whole, from its first change on."""


@dataclass(slots=True)
class RoomView:
    """One conversation on the screen."""

    id: int
    title: str | None
    avatar_url: str | None
    closed: bool
    history: str
    known: int
    """The change up to which the snapshot includes people, title and so on."""
    people: dict[int, str]
    admitted: int
    """The newest change of which we know that we are in it."""
    mine: Mine = field(default_factory=Mine)
    messages: dict[int, Message] = field(default_factory=dict)
    stale: bool = True
    """Its history is to be fetched."""
    fetching: bool = False
    meanwhile: list[Changed] = field(default_factory=list)
    """Events since the fetch began."""


class ClientView:
    """One device's idea of everything."""

    def __init__(self, employee_id: int) -> None:
        self.employee_id = employee_id
        self.rooms: dict[int, RoomView] = {}
        self.counts: dict[int, Unread] = {}
        self.total = NOTHING
        self.drafts: dict[int, Draft] = {}
        self.received: list[ReceivedMessage] = []
        self.out: dict[int, int] = {}
        """conversation → the change by which its owner was taken out, until let in again."""
        self.problems: dict[str, list[str]] = {}
        """check → what this device itself saw go wrong."""
        self._last: dict[int, int] = {}
        self._pushed: dict[int, int] = {}
        """conversation → the highest version pushed over this connection."""

    # --- snapshots -------------------------------------------------------------------------

    def welcomed(self, welcome: Welcome) -> None:
        """Take the snapshot of a new connection."""
        self._pushed.clear()
        for conversation in welcome.conversations:
            self.listed(conversation)
        listed = {one.id for one in welcome.conversations}
        unread = {one.conversation_id: one for one in welcome.unread.conversations}
        for conversation_id in self.counts.keys() - listed - unread.keys():
            del self.counts[conversation_id]  # what is not listed has nothing unread
        self._count(welcome.unread.conversations)
        self.total = welcome.unread.total

    def listed(self, conversation: Conversation) -> None:
        """Take a conversation of the welcome or of a list."""
        room = self.rooms.get(conversation.id)
        if room is None:
            room = self._enter(conversation, known=conversation.last_change)
        if room.known <= conversation.last_change:
            self._describe(room, conversation)
            room.people = _roles(conversation.participants)
            room.known = room.admitted = conversation.last_change
        if self.out.get(conversation.id, -1) < conversation.last_change:
            self.out.pop(conversation.id, None)
        self._set_mine(room, conversation.mine)
        self._count([conversation.unread])

    def drafted(self, drafts: Iterable[Draft], *, before: Mapping[int, Draft]) -> None:
        """Take the whole list of drafts, which was asked for when `before` was all there was.

        What is not in it is no more, unless it has changed meanwhile.
        """
        found = {draft.conversation_id: draft for draft in drafts}
        for conversation_id, draft in before.items():
            if conversation_id not in found and self.drafts.get(conversation_id) is draft:
                del self.drafts[conversation_id]
        for draft in found.values():
            self._keep(draft)

    # --- events ----------------------------------------------------------------------------

    def take(self, event: object) -> None:
        """Take in one event."""
        match event:
            case Reload():
                if (room := self.rooms.get(event.conversation_id)) is not None:
                    room.stale = True
                    self._last.pop(event.conversation_id, None)
            case ConversationCreated():
                self._let_in(event)
            case ConversationMineChanged():
                if (room := self.rooms.get(event.conversation_id)) is not None:
                    self._set_mine(room, event.mine)
            case UnreadChanged():
                self._pushed_counts(event)
            case DraftChanged():
                self._keep(event.draft)
            case (
                MessageCreated()
                | MessageUpdated()
                | MessageDeleted()
                | MessageReacted()
                | ParticipantChanged()
                | ConversationUpdated()
            ):
                self._change(event)
            case _:
                pass

    def _let_in(self, event: ConversationCreated) -> None:
        if event.change <= self.out.get(event.conversation_id, -1):
            return  # from before we were taken out
        room = self.rooms.get(event.conversation_id)
        if room is None or event.conversation_id in self.out:
            room = self._enter(event, known=event.change)
            room.people = _roles(event.participants)
        else:
            room.stale = True
            if room.known <= event.change:
                self._describe(room, event)
                room.people = _roles(event.participants)
                room.known = event.change
        room.admitted = max(room.admitted, WHOLE if event.change == 1 else event.change)
        self.out.pop(event.conversation_id, None)

    def _change(self, event: Changed) -> None:
        cid = event.conversation_id
        if self._is_out(event):
            return
        if event.change <= self._last.get(cid, 0):
            self.problem("disordered", f"{cid}: change {event.change} after {self._last[cid]}")
        self._last[cid] = event.change
        room = self.rooms.get(cid)
        if isinstance(event, MessageCreated):
            self.received.append(ReceivedMessage(cid, event.message, room.admitted if room else 0))
        if room is None:
            return
        if room.fetching:
            room.meanwhile.append(event)
        self._apply(room, event)

    def _is_out(self, event: Changed) -> bool:
        """Return whether this is of a conversation we are not in, of which nothing may arrive."""
        taken_out = self.out.get(event.conversation_id)
        if taken_out is None:
            return False
        if event.change > taken_out and not self._names_me(event):
            self.problem(
                "seen_after_removal",
                f"{event.conversation_id}: {event.type} {event.change}, removed at {taken_out}",
            )
        return True

    def _names_me(self, event: Changed) -> bool:
        return (
            isinstance(event, ParticipantChanged)
            and event.participant.employee.id == self.employee_id
        )

    def _apply(self, room: RoomView, event: Changed) -> None:
        match event:
            case MessageCreated() | MessageUpdated() | MessageDeleted():
                held = room.messages.get(event.message.seq)
                if held is None or event.message.change >= held.change:
                    room.messages[event.message.seq] = event.message
            case MessageReacted():
                held = room.messages.get(event.seq)
                if held is not None and held.deleted_at is None:
                    room.messages[event.seq] = replace(held, reactions=event.reactions)
            case ConversationUpdated() if event.change > room.known:
                self._describe(room, event)
            case ParticipantChanged() if event.change > room.known:
                who = event.participant
                if not event.left:
                    room.people[who.employee.id] = who.role
                elif who.employee.id == self.employee_id:
                    self._go(room, event.change)
                else:
                    room.people.pop(who.employee.id, None)

    def _go(self, room: RoomView, change: int) -> None:
        del self.rooms[room.id]
        self.counts.pop(room.id, None)
        self._pushed.pop(room.id, None)
        self.out[room.id] = change

    # --- history ---------------------------------------------------------------------------

    def fetching(self, room: RoomView) -> None:
        """Its history is about to be asked for."""
        room.stale = False
        room.fetching = True
        room.meanwhile.clear()

    def fetched(self, room: RoomView, messages: Iterable[Message] | None) -> None:
        """Apply a page of history; None: the conversation does not exist."""
        room.fetching = False
        if self.rooms.get(room.id) is not room:
            return  # it has gone, or gone and come back, meanwhile
        if messages is None:
            if not any(map(self._names_me, room.meanwhile)):
                self._go(room, max(room.known, self._last.get(room.id, 0)))
            return
        room.messages = {message.seq: message for message in messages}
        for event in room.meanwhile:
            if not isinstance(event, ParticipantChanged | ConversationUpdated):
                self._apply(room, event)

    # --- pieces ----------------------------------------------------------------------------

    def problem(self, check: str, what: str) -> None:
        self.problems.setdefault(check, []).append(f"employee {self.employee_id}: {what}")

    def _enter(self, seen: Conversation | ConversationCreated, *, known: int) -> RoomView:
        conversation_id = seen.id if isinstance(seen, Conversation) else seen.conversation_id
        room = self.rooms[conversation_id] = RoomView(
            conversation_id,
            None,
            None,
            closed=False,
            history="all",
            known=known,
            people={},
            admitted=known,
        )
        self._describe(room, seen)
        return room

    @staticmethod
    def _describe(
        room: RoomView, seen: Conversation | ConversationCreated | ConversationUpdated
    ) -> None:
        if seen.history != room.history:
            room.stale = True  # what may be read is another part of it now
        room.title, room.avatar_url = seen.title, seen.avatar_url
        room.closed, room.history = seen.closed_at is not None, seen.history

    def _set_mine(self, room: RoomView, mine: Mine) -> None:
        if mine.version >= room.mine.version:
            room.mine = mine

    def _keep(self, draft: Draft) -> None:
        held = self.drafts.get(draft.conversation_id)
        if held is None or held.version < draft.version:
            self.drafts[draft.conversation_id] = draft

    def _pushed_counts(self, event: UnreadChanged) -> None:
        for unread in event.conversations:
            before = self._pushed.get(unread.conversation_id, -1)
            if unread.version < before:
                self.problem(
                    "versions_backward",
                    f"{unread.conversation_id}: {unread.version} pushed after {before}",
                )
            self._pushed[unread.conversation_id] = unread.version
        self._count(event.conversations)
        self.total = event.total

    def _count(self, counts: Iterable[Unread]) -> None:
        for unread in counts:
            if unread.conversation_id in self.out:
                continue
            held = self.counts.get(unread.conversation_id)
            if held is None or held.version < unread.version:
                self.counts[unread.conversation_id] = unread
            elif held.version == unread.version and held != unread:
                self.problem("versions_backward", f"one version, two counts: {held}, {unread}")


def _roles(participants: Iterable[Participant]) -> dict[int, str]:
    return {who.employee.id: who.role for who in participants}
