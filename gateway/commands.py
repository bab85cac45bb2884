"""Everything a client can ask for: command → what it costs, and the function that does it.

REST routes call the same functions with a Context of their own: there is one way to send a
message. What changes the connection itself is served in sockets/session/session.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from gateway.chat import (
    attachments,
    conversations,
    drafts,
    edits,
    members,
    messages,
    preferences,
    reactions,
    receipts,
    scheduled,
    search,
    typing_notice,
)
from gateway.context import Context
from gateway.errors import UnknownCommand
from gateway.people import presences
from gateway.people import search as people_search
from gateway.protocol import (
    AttachmentCreate,
    AttachmentGet,
    CallbackClaim,
    CallbackClose,
    CallbackList,
    CallbackRelease,
    CallbackReopen,
    CallDispositionSet,
    CallList,
    CallNoteAdd,
    CallNoteDelete,
    CallNoteEdit,
    ConversationAdd,
    ConversationArchive,
    ConversationClose,
    ConversationCreate,
    ConversationGet,
    ConversationLeave,
    ConversationList,
    ConversationMute,
    ConversationNotify,
    ConversationOpen,
    ConversationParticipants,
    ConversationPin,
    ConversationRemove,
    ConversationReopen,
    ConversationSetRole,
    ConversationUnarchive,
    ConversationUnpin,
    ConversationUpdate,
    DraftClear,
    DraftList,
    DraftSet,
    EmployeeSearch,
    Hello,
    MessageChanges,
    MessageDelete,
    MessageEdit,
    MessageHistory,
    MessageReschedule,
    MessageSchedule,
    MessageScheduledList,
    MessageSearch,
    MessageSend,
    MessageThread,
    MessageUnschedule,
    Ping,
    Pong,
    PresenceAway,
    PresenceSet,
    PresenceWatch,
    QueueWatch,
    ReactionAdd,
    ReactionRemove,
    ReceiptDelivered,
    ReceiptRead,
    ReceiptReadAll,
    ReceiptReaders,
    ReceiptUnread,
    TokenRefresh,
    TypingStart,
    UnreadGet,
)
from gateway.protocol.frame import type_of
from gateway.telephony.callbacks import callbacks
from gateway.telephony.calls import calls, notes

Cost = Literal["session", "write", "read", "passing", "ping"]
"""Which limit a command counts against. Only those that read may overtake one another."""

Serve = Callable[[Context, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Handler:
    """How one command is treated."""

    cost: Cost
    serve: Serve | None = None
    """None: the session does it."""

    @property
    def changes(self) -> bool:
        """Whether commands sent behind it wait until it is done."""
        return self.cost != "read"


HANDLERS: dict[type[Any], Handler] = {
    Hello: Handler("session"),
    TokenRefresh: Handler("session"),
    Ping: Handler("ping"),
    Pong: Handler("ping"),
    ConversationOpen: Handler("write", conversations.open_direct),
    ConversationCreate: Handler("write", conversations.create_group),
    ConversationList: Handler("read", conversations.list_page),
    ConversationGet: Handler("read", conversations.get),
    ConversationParticipants: Handler("read", conversations.participants),
    ConversationAdd: Handler("write", members.add),
    ConversationRemove: Handler("write", members.remove),
    ConversationLeave: Handler("write", members.leave),
    ConversationSetRole: Handler("write", members.set_role),
    ConversationUpdate: Handler("write", members.update),
    ConversationClose: Handler("write", members.close),
    ConversationReopen: Handler("write", members.reopen),
    ConversationArchive: Handler("write", preferences.archive),
    ConversationUnarchive: Handler("write", preferences.unarchive),
    ConversationPin: Handler("write", preferences.pin),
    ConversationUnpin: Handler("write", preferences.unpin),
    ConversationMute: Handler("write", preferences.mute),
    ConversationNotify: Handler("write", preferences.notify),
    MessageSend: Handler("write", messages.send),
    AttachmentCreate: Handler("write", attachments.create),
    AttachmentGet: Handler("read", attachments.get),
    MessageEdit: Handler("write", edits.edit),
    MessageDelete: Handler("write", edits.delete),
    MessageHistory: Handler("read", messages.history),
    MessageThread: Handler("read", messages.thread),
    MessageChanges: Handler("read", messages.changed),
    MessageSearch: Handler("read", search.messages),
    MessageSchedule: Handler("write", scheduled.schedule),
    MessageReschedule: Handler("write", scheduled.reschedule),
    MessageUnschedule: Handler("write", scheduled.unschedule),
    MessageScheduledList: Handler("read", scheduled.list_all),
    DraftSet: Handler("write", drafts.put),
    DraftClear: Handler("write", drafts.clear),
    DraftList: Handler("read", drafts.list_page),
    ReactionAdd: Handler("write", reactions.add),
    ReactionRemove: Handler("write", reactions.remove),
    ReceiptRead: Handler("write", receipts.read),
    ReceiptUnread: Handler("write", receipts.mark_unread),
    ReceiptReadAll: Handler("write", receipts.read_all),
    ReceiptDelivered: Handler("write", receipts.delivered),
    ReceiptReaders: Handler("read", receipts.readers),
    EmployeeSearch: Handler("read", people_search.employees),
    TypingStart: Handler("passing", typing_notice.start),
    UnreadGet: Handler("read", receipts.unread),
    PresenceWatch: Handler("passing"),
    PresenceSet: Handler("passing", presences.choose),
    PresenceAway: Handler("passing"),
    CallList: Handler("read", calls.list_page),
    QueueWatch: Handler("passing"),
    CallDispositionSet: Handler("write", notes.set_disposition),
    CallNoteAdd: Handler("write", notes.add_note),
    CallNoteEdit: Handler("write", notes.edit_note),
    CallNoteDelete: Handler("write", notes.delete_note),
    CallbackList: Handler("read", callbacks.list_page),
    CallbackClaim: Handler("write", callbacks.claim),
    CallbackRelease: Handler("write", callbacks.release),
    CallbackClose: Handler("write", callbacks.close),
    CallbackReopen: Handler("write", callbacks.reopen),
}

_named = {type_of(command): handler for command, handler in HANDLERS.items()}


def handler_of(type_: str) -> Handler:
    """Return how a command of this type is treated; UnknownCommand when there is none."""
    handler = _named.get(type_)
    if handler is None:
        raise UnknownCommand
    return handler


async def run(ctx: Context, command: Any) -> Any:
    """Do what the command asks; return what its reply carries."""
    serve = HANDLERS[type(command)].serve
    assert serve is not None
    return await serve(ctx, command)
