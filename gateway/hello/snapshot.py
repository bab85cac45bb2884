"""Everything that a new client needs, as of one moment, and what a returning one has missed.

hello ─▶ read_snapshot ─▶ HelloSnapshot: the database's state, with names and presences of the
participants. Wire types, except for people: the same twenty are in everyone's lists, so they come
already encoded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

from gateway.auth.permissions import CALLBACKS_HANDLE
from gateway.chat.queries.messages import to_attachments, to_reactions
from gateway.context import Context
from gateway.hello.queries.overview import OverviewRow
from gateway.hello.rosters import Roster
from gateway.hello.views import ChatView, ViewRequest, unread_of
from gateway.protocol import (
    AgentState,
    Call,
    Conversation,
    Message,
    Mine,
    Participant,
    Presence,
    Unread,
)
from gateway.protocol.codec import JsonFragment
from gateway.telephony.callbacks.queries.callbacks import OpenCount


class PresenceJson(NamedTuple):
    """A presence as it was read last."""

    version: int
    encoded: JsonFragment


class EmployeeView(NamedTuple):
    """What is read for an employee, together with what other hellos read at the same time."""

    chats: ChatView
    rosters: list[Roster]
    """Of each line of the chats."""
    presences: Mapping[int, PresenceJson]
    """Employee → presence; others may be among them."""
    calls: list[Call]
    agent: AgentState | None
    callbacks: OpenCount | None


@dataclass(frozen=True, slots=True)
class HelloSnapshot:
    """An employee's chats, ready to be sent, their calls and their agent state."""

    conversations: list[Conversation]
    next: str | None
    unread: list[Unread]
    positions: dict[int, int]
    """conversation → last_change, of every conversation to join."""
    changes: dict[int, list[JsonFragment]]
    reload: list[int]
    hidden: dict[int, int]
    """conversation → the seq up to which its messages are hidden; only where some are."""
    calls: list[Call]
    """Those on this employee's telephones now."""
    agent: AgentState | None
    """None for an employee without a telephone."""
    callbacks: OpenCount | None
    """None for an employee who may not handle call-backs."""


ReadView = Callable[[ViewRequest], Awaitable[EmployeeView]]
"""Read what a welcome contains, after this call."""


async def read_snapshot(
    ctx: Context, resume: Mapping[int, int], read_view: ReadView
) -> HelloSnapshot:
    """Return what this employee's welcome contains.

    Never partial: a conversation is either caught up completely, or named in reload.
    """
    counts_callbacks = CALLBACKS_HANDLE in ctx.identity.permissions
    found = await read_view(ViewRequest(ctx.user_id, resume, counts_callbacks))
    view = found.chats
    return HelloSnapshot(
        conversations=[
            _conversation(line, roster, found.presences)
            for line, roster in zip(view.lines, found.rosters, strict=True)
        ],
        next=view.next,
        unread=view.unread,
        positions=view.positions,
        changes=view.changes,
        reload=view.reload,
        hidden=view.hidden,
        calls=found.calls,
        agent=found.agent,
        callbacks=found.callbacks,
    )


def _conversation(
    line: OverviewRow, roster: Roster, seen: Mapping[int, PresenceJson]
) -> Conversation:
    me = line.employee_id
    presences = [seen[one].encoded for one in roster.employee_ids if one != me and one in seen]
    return Conversation(
        id=line.id,
        kind=line.kind,
        title=line.title,
        avatar_url=line.avatar_url,
        closed_at=line.closed_at,
        history=line.history,
        participants=cast("list[Participant]", roster.participants),
        participant_count=line.participant_count,
        last_seq=line.last_seq,
        last_change=line.last_change,
        last_message=_last_message(line),
        last_message_at=line.last_message_at,
        unread=unread_of(line),
        mine=Mine(
            archived=line.archived,
            pinned_at=line.pinned_at,
            muted_until=line.muted_until,
            notify=line.notify,
            manual_unread=line.manual_unread,
            version=line.mine_version,
        ),
        presences=cast("list[Presence]", presences),
    )


def _last_message(line: OverviewRow) -> Message | None:
    if line.seq is None:
        return None
    return Message(
        conversation_id=line.id,
        seq=line.seq,
        change=line.change,
        sender_id=line.sender_id,
        client_key=line.client_key,
        text=line.body,
        created_at=line.created_at or line.last_message_at,
        kind=line.message_kind,
        attrs=line.attrs,
        reply_to_seq=line.reply_to_seq,
        reply_count=line.reply_count,
        mention_ids=line.mention_ids or [],
        mention_all=line.mention_all,
        reactions=to_reactions(line.reactions),
        attachments=to_attachments(line.attachments),
        edited_at=line.edited_at,
    )
