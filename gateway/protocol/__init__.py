"""What travels between clients and the gateway, declared once.

`COMMANDS` is what a client can say, `EVENTS` what it can hear. Replies are `{"id", "ok"}` or
`{"id", "error"}`; a frame with an `id` answers a command. One without is an event, a
`pong`, or an `error` that belongs to no command.
"""

from __future__ import annotations

from typing import Any

from gateway.protocol.attachments import (
    Attachment,
    AttachmentCreate,
    AttachmentCreated,
    AttachmentGet,
    AttachmentLink,
    Upload,
)
from gateway.protocol.calls import (
    Call,
    CallEnded,
    CallLeg,
    CallList,
    CallOffered,
    CallPage,
    CallUpdated,
    Customer,
    OpenWork,
    QueueStint,
)
from gateway.protocol.conversations import (
    Conversation,
    ConversationCreate,
    ConversationCreated,
    ConversationGet,
    ConversationList,
    ConversationOpen,
    ConversationOpened,
    ConversationPage,
    ConversationParticipants,
    ConversationUpdated,
    Participant,
    ParticipantChanged,
    ParticipantPage,
    Unread,
    UnreadChanged,
    UnreadCounts,
    UnreadGet,
    UnreadTotal,
)
from gateway.protocol.drafts import (
    Draft,
    DraftChanged,
    DraftClear,
    DraftIs,
    DraftList,
    DraftPage,
    DraftSet,
)
from gateway.protocol.envelope import (
    SUBPROTOCOL,
    Bye,
    Device,
    Hello,
    Ping,
    Pong,
    Refusal,
    TokenExpiring,
    TokenRefresh,
    TokenRefreshed,
    Welcome,
)
from gateway.protocol.frame import type_of
from gateway.protocol.members import (
    ConversationAdd,
    ConversationClose,
    ConversationIs,
    ConversationLeave,
    ConversationRemove,
    ConversationReopen,
    ConversationSetRole,
    ConversationUpdate,
)
from gateway.protocol.messages import (
    ChangesPage,
    Message,
    MessageChanges,
    MessageCreated,
    MessageDelete,
    MessageDeleted,
    MessageEdit,
    MessageHistory,
    MessageIs,
    MessagePage,
    MessageReacted,
    MessageSend,
    MessageSent,
    MessageThread,
    MessageUpdated,
    Reaction,
    ReactionAdd,
    ReactionRemove,
    ReactionsAre,
    ThreadPage,
)
from gateway.protocol.mine import (
    ConversationArchive,
    ConversationMineChanged,
    ConversationMute,
    ConversationNotify,
    ConversationPin,
    ConversationUnarchive,
    ConversationUnpin,
    Mine,
    MineIs,
)
from gateway.protocol.people import (
    Employee,
    Presence,
    PresenceChanged,
    PresenceIs,
    PresenceSet,
    PresenceWatch,
    PresenceWatched,
    TypingStart,
    TypingStarted,
)
from gateway.protocol.receipts import (
    Readers,
    ReceiptDelivered,
    ReceiptDeliveredDone,
    ReceiptRead,
    ReceiptReadAll,
    ReceiptReadAllDone,
    ReceiptReadDone,
    ReceiptReaders,
    ReceiptUnread,
    ReceiptWasDelivered,
    ReceiptWasRead,
)
from gateway.protocol.scheduled import (
    MessageReschedule,
    MessageSchedule,
    MessageScheduleChanged,
    MessageScheduled,
    MessageScheduledList,
    MessageScheduleFailed,
    MessageUnschedule,
    ScheduledMessage,
    ScheduledPage,
)
from gateway.protocol.search import (
    EmployeeSearch,
    EmployeesFound,
    FoundMessage,
    MessageSearch,
    MessagesFound,
    Span,
)

REPLIES: dict[type[Any], type[Any] | None] = {
    Hello: Welcome,
    TokenRefresh: TokenRefreshed,
    Ping: Pong,
    Pong: None,
    ConversationOpen: ConversationOpened,
    ConversationCreate: ConversationOpened,
    ConversationList: ConversationPage,
    ConversationGet: ConversationIs,
    ConversationParticipants: ParticipantPage,
    ConversationAdd: ConversationIs,
    ConversationRemove: ConversationIs,
    ConversationLeave: None,
    ConversationSetRole: ConversationIs,
    ConversationUpdate: ConversationIs,
    ConversationClose: ConversationIs,
    ConversationReopen: ConversationIs,
    ConversationArchive: MineIs,
    ConversationUnarchive: MineIs,
    ConversationPin: MineIs,
    ConversationUnpin: MineIs,
    ConversationMute: MineIs,
    ConversationNotify: MineIs,
    MessageSend: MessageSent,
    AttachmentCreate: AttachmentCreated,
    AttachmentGet: AttachmentLink,
    MessageEdit: MessageIs,
    MessageDelete: MessageIs,
    MessageHistory: MessagePage,
    MessageThread: ThreadPage,
    MessageChanges: ChangesPage,
    MessageSearch: MessagesFound,
    MessageSchedule: MessageScheduled,
    MessageReschedule: MessageScheduled,
    MessageUnschedule: MessageScheduled,
    MessageScheduledList: ScheduledPage,
    DraftSet: DraftIs,
    DraftClear: DraftIs,
    DraftList: DraftPage,
    ReactionAdd: ReactionsAre,
    ReactionRemove: ReactionsAre,
    ReceiptRead: ReceiptReadDone,
    ReceiptUnread: ReceiptReadDone,
    ReceiptReadAll: ReceiptReadAllDone,
    ReceiptDelivered: ReceiptDeliveredDone,
    ReceiptReaders: Readers,
    EmployeeSearch: EmployeesFound,
    TypingStart: None,
    UnreadGet: UnreadCounts,
    PresenceWatch: PresenceWatched,
    PresenceSet: PresenceIs,
    CallList: CallPage,
}
"""command → what its reply carries under `ok`; None: nothing to say, `ok` is `{}`."""

COMMANDS: dict[str, type[Any]] = {type_of(command): command for command in REPLIES}

EVENTS: dict[str, type[Any]] = {
    type_of(event): event
    for event in (
        MessageCreated, MessageUpdated, MessageDeleted, MessageReacted,
        ReceiptWasRead, ReceiptWasDelivered, TypingStarted, UnreadChanged,
        ConversationCreated, ConversationUpdated, ConversationMineChanged, ParticipantChanged,
        MessageScheduleChanged, MessageScheduleFailed, DraftChanged,
        PresenceChanged, CallOffered, CallUpdated, CallEnded, TokenExpiring, Ping, Bye,
    )
}  # fmt: skip

__all__ = [
    "COMMANDS", "EVENTS", "REPLIES", "SUBPROTOCOL", "Attachment", "AttachmentCreate",
    "AttachmentCreated", "AttachmentGet", "AttachmentLink", "Bye", "Call", "CallEnded",
    "CallLeg", "CallList", "CallOffered", "CallPage", "CallUpdated", "ChangesPage",
    "Conversation", "ConversationAdd", "ConversationArchive", "ConversationClose",
    "ConversationCreate", "ConversationCreated", "ConversationGet", "ConversationIs",
    "ConversationLeave", "ConversationList", "ConversationMineChanged", "ConversationMute",
    "ConversationNotify", "ConversationOpen", "ConversationOpened", "ConversationPage",
    "ConversationParticipants", "ConversationPin", "ConversationRemove", "ConversationReopen",
    "ConversationSetRole", "ConversationUnarchive", "ConversationUnpin", "ConversationUpdate",
    "ConversationUpdated", "Customer", "Device", "Draft", "DraftChanged", "DraftClear",
    "DraftIs", "DraftList", "DraftPage", "DraftSet", "Employee", "EmployeeSearch",
    "EmployeesFound", "FoundMessage", "Hello", "Message", "MessageChanges", "MessageCreated",
    "MessageDelete", "MessageDeleted", "MessageEdit", "MessageHistory", "MessageIs",
    "MessagePage", "MessageReacted", "MessageReschedule", "MessageSchedule",
    "MessageScheduleChanged", "MessageScheduleFailed", "MessageScheduled",
    "MessageScheduledList", "MessageSearch", "MessageSend", "MessageSent", "MessageThread",
    "MessageUnschedule", "MessageUpdated", "MessagesFound", "Mine", "MineIs", "OpenWork",
    "Participant", "ParticipantChanged", "ParticipantPage", "Ping", "Pong", "Presence",
    "PresenceChanged", "PresenceIs", "PresenceSet", "PresenceWatch", "PresenceWatched",
    "QueueStint", "Reaction", "ReactionAdd", "ReactionRemove", "ReactionsAre", "Readers",
    "ReceiptDelivered", "ReceiptDeliveredDone", "ReceiptRead", "ReceiptReadAll",
    "ReceiptReadAllDone", "ReceiptReadDone", "ReceiptReaders", "ReceiptUnread",
    "ReceiptWasDelivered", "ReceiptWasRead", "Refusal", "ScheduledMessage", "ScheduledPage",
    "Span", "ThreadPage", "TokenExpiring", "TokenRefresh", "TokenRefreshed", "TypingStart",
    "TypingStarted", "Unread", "UnreadChanged", "UnreadCounts", "UnreadGet", "UnreadTotal",
    "Upload", "Welcome",
]  # fmt: skip
