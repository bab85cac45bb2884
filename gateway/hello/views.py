"""The database's part of a welcome, read for several employees at once.

hellos ─▶ read_views ─▶ a ChatView for each ─▶ snapshot. Five thousand who come back after an outage
share most of their conversations, and what they missed there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway import cursors
from gateway.chat.queries import changes as change_queries
from gateway.chat.queries.receipts import MAX_UNREAD_CONVERSATIONS
from gateway.db import Conn
from gateway.hello.queries import overview
from gateway.hello.queries.overview import OverviewRow
from gateway.protocol import Unread
from gateway.protocol.codec import JsonFragment, encode, fragment_of_text
from gateway.protocol.conversations import MAX_CONVERSATIONS

CHANGES_PER_CONVERSATION = 200
CHANGES_IN_ALL = 1_000
CHANGES_BYTES = 1024 * 1024
"""Of the events in one welcome; conversations with more are named in reload."""
LAST_MESSAGES_CHARS = 200_000
"""Of the last messages in one welcome: it shows fewer conversations when they are very long."""


class MissedChange(NamedTuple):
    """One event that somebody missed."""

    change: int
    seq: int
    """Of the message; 0 when it is about none."""
    event: JsonFragment
    bytes: int


MissedChanges = Mapping[int, Sequence[MissedChange]]
"""conversation → what was missed there, in order."""


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """Who sends hello, and conversation → the last change that their client has."""

    employee_id: int
    resume: Mapping[int, int]
    counts_callbacks: bool = False
    """They may handle call-back requests, and are told how many are open."""


@dataclass(frozen=True, slots=True)
class ChatView:
    """One employee's chats as of one moment."""

    lines: list[OverviewRow]
    """The newest conversations: those a welcome shows."""
    next: str | None
    unread: list[Unread]
    positions: dict[int, int]
    """conversation → last_change, of every conversation to join."""
    changes: dict[int, list[JsonFragment]]
    reload: list[int]
    hidden: dict[int, int]
    """conversation → the seq up to which its messages are hidden; only where some are."""


async def read_views(
    conn: Conn, requests: Sequence[ViewRequest], *, max_topics: int
) -> list[ChatView]:
    """Read the views as of one statement, and what was missed up to then.

    No transaction, which would be two more round trips: a row that changes between the two
    statements is missed here and comes as its later change, which the session holds meanwhile.
    """
    lines: dict[int, list[OverviewRow]] = defaultdict(list)
    for line in await overview.lines(
        conn,
        sorted({one.employee_id for one in requests}),
        detailed=MAX_CONVERSATIONS,
        limit=max(max_topics, MAX_CONVERSATIONS + 1),
    ):
        lines[line.employee_id].append(line)
    builders = [_ViewBuilder(one.resume, lines[one.employee_id], max_topics) for one in requests]
    missed = await _read_missed(conn, builders)
    return [builder.build(missed) for builder in builders]


class _ViewBuilder:
    """One view, while what was missed is still to be read."""

    def __init__(
        self, resume: Mapping[int, int], lines: list[OverviewRow], max_topics: int
    ) -> None:
        self._lines = lines
        self.positions = {line.id: line.last_change for line in lines if line.place <= max_topics}
        chosen, reload = _choose_resumable(
            {
                conversation_id: self.positions[conversation_id] - change
                for conversation_id, change in resume.items()
                if change < self.positions.get(conversation_id, 0)
            }
        )
        self.missing = {conversation_id: resume[conversation_id] for conversation_id in chosen}
        # A conversation that they are not in, and a position beyond the last change (after a
        # restored backup): the client fetches it again.
        astray = [c for c, change in resume.items() if change > self.positions.get(c, -1)]
        self._reload = sorted({*reload, *astray})

    def build(self, missed: MissedChanges) -> ChatView:
        """Return the view; of the changes read for others, too, only those this client lacks."""
        listed = [line for line in self._lines if not line.archived]
        shown = list(_fitting(line for line in listed if line.place <= MAX_CONVERSATIONS))
        last = shown[-1] if len(shown) < len(listed) else None
        hidden = {line.id: line.hidden_to for line in self._lines if line.hidden_to}
        changes, room, too_large = {}, CHANGES_BYTES, []
        for conversation_id, after in self.missing.items():
            theirs = [
                one
                for one in missed.get(conversation_id, ())
                if after < one.change <= self.positions[conversation_id]
                and (not one.seq or one.seq > hidden.get(conversation_id, 0))
            ]
            size = sum(one.bytes for one in theirs)
            if size > room:
                too_large.append(conversation_id)
                continue
            room -= size
            changes[conversation_id] = [one.event for one in theirs]
        return ChatView(
            lines=shown,
            next=cursors.pack(last.last_message_at, last.id) if last else None,
            unread=[unread_of(line) for line in self._lines if line.unread][
                :MAX_UNREAD_CONVERSATIONS
            ],
            positions=self.positions,
            changes={cid: events for cid, events in changes.items() if events},
            reload=sorted([*self._reload, *too_large]),
            hidden={cid: seq for cid, seq in hidden.items() if cid in self.positions},
        )


def _fitting(lines: Iterable[OverviewRow]) -> Iterator[OverviewRow]:
    """Yield conversations until their last messages are too long together."""
    chars = 0
    for line in lines:
        chars += len(line.body) if line.seq is not None else 0
        if chars > LAST_MESSAGES_CHARS:
            return
        yield line


def unread_of(line: OverviewRow) -> Unread:
    """Return the unread counts of a row of the overview."""
    return Unread(
        conversation_id=line.id,
        unread=line.unread,
        mentions=line.mentions,
        last_read_seq=line.last_read_seq,
        version=line.version,
        muted_until=line.muted_until,
        archived=line.archived,
    )


async def _read_missed(conn: Conn, builders: Iterable[_ViewBuilder]) -> MissedChanges:
    """Read what any of these missed, from where the one furthest behind needs it.

    Each event is read and encoded once, for any number of clients.
    """
    behind: dict[int, tuple[int, int]] = {}  # conversation → (after, how many changes)
    for builder in builders:
        for conversation_id, after in builder.missing.items():
            if conversation_id not in behind or after < behind[conversation_id][0]:
                behind[conversation_id] = after, builder.positions[conversation_id] - after
    missed: dict[int, list[MissedChange]] = defaultdict(list)
    for positions in _portions(behind):
        for found in await change_queries.after(conn, positions, CHANGES_PER_CONVERSATION):
            encoded = encode(found.event)
            event = fragment_of_text(encoded)
            missed[found.conversation_id].append(
                MissedChange(found.change, found.seq, event, len(encoded))
            )
    return missed


def _portions(behind: Mapping[int, tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Divide (conversation, after) so that no statement returns more rows than one hello may."""
    portion: list[tuple[int, int]] = []
    room = CHANGES_IN_ALL
    for conversation_id, (after, changes) in behind.items():
        if changes > room:
            yield portion
            portion, room = [], CHANGES_IN_ALL
        portion.append((conversation_id, after))
        room -= changes
    if portion:
        yield portion


def _choose_resumable(behind: Mapping[int, int]) -> tuple[list[int], list[int]]:
    """Choose whole conversations, the least behind first; clients fetch the others again.

    The number of changes that a conversation is behind is never less than the events to read for
    it, so the choice is made before any is read: with 1,000 conversations, 1,000 rows are read, not
    everything that was missed.
    """
    chosen: list[int] = []
    reload: list[int] = []
    room = CHANGES_IN_ALL
    for conversation_id, changes in sorted(behind.items(), key=lambda item: item[1]):
        if changes > CHANGES_PER_CONVERSATION or changes > room:
            reload.append(conversation_id)
        else:
            chosen.append(conversation_id)
            room -= changes
    return chosen, reload
