"""What travels, in tables: each command with its reply, and each event.

The declarations ─▶ REPLIES, COMMANDS, EVENTS ─▶ codec, the SDKs and all that is generated.
"""

from __future__ import annotations

from typing import Any

from gateway.protocol.annotations import (
    CallAnnotated,
    CallDispositionIs,
    CallDispositionSet,
    CallNoteAdd,
    CallNoteDelete,
    CallNoteEdit,
    CallNoteIs,
)
from gateway.protocol.attachments import (
    AttachmentCreate,
    AttachmentCreated,
    AttachmentGet,
    AttachmentLink,
)
from gateway.protocol.callbacks import (
    CallbackChanged,
    CallbackClaim,
    CallbackClose,
    CallbackIs,
    CallbackList,
    CallbackPage,
    CallbackRelease,
    CallbackReopen,
    MissedCallCreated,
)
from gateway.protocol.calls import (
    CallEnded,
    CallList,
    CallOffered,
    CallPage,
    CallRevised,
    CallUpdated,
)
from gateway.protocol.conversations import (
    ConversationCreate,
    ConversationCreated,
    ConversationGet,
    ConversationList,
    ConversationOpen,
    ConversationOpened,
    ConversationPage,
    ConversationParticipants,
    ConversationUpdated,
    ParticipantChanged,
    ParticipantPage,
    UnreadChanged,
    UnreadCounts,
    UnreadGet,
)
from gateway.protocol.drafts import (
    DraftChanged,
    DraftClear,
    DraftIs,
    DraftList,
    DraftPage,
    DraftSet,
)
from gateway.protocol.envelope import (
    Bye,
    Hello,
    Ping,
    Pong,
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
    ReactionAdd,
    ReactionRemove,
    ReactionsAre,
    ThreadPage,
)
from gateway.protocol.people import (
    PresenceAway,
    PresenceChanged,
    PresenceIs,
    PresenceSet,
    PresenceWatch,
    PresenceWatched,
    TypingStart,
    TypingStarted,
)
from gateway.protocol.preferences import (
    ConversationArchive,
    ConversationMineChanged,
    ConversationMute,
    ConversationNotify,
    ConversationPin,
    ConversationUnarchive,
    ConversationUnpin,
    MineIs,
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
from gateway.protocol.reviews import ReviewChanged
from gateway.protocol.scheduled import (
    MessageReschedule,
    MessageSchedule,
    MessageScheduleChanged,
    MessageScheduled,
    MessageScheduledList,
    MessageScheduleFailed,
    MessageUnschedule,
    ScheduledPage,
)
from gateway.protocol.search import EmployeeSearch, EmployeesFound, MessageSearch, MessagesFound
from gateway.protocol.wallboard import (
    AgentStateChanged,
    QueueChanged,
    QueueUnwatched,
    QueueWatch,
    QueueWatched,
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
    PresenceAway: None,
    CallList: CallPage,
    CallDispositionSet: CallDispositionIs,
    CallNoteAdd: CallNoteIs,
    CallNoteEdit: CallNoteIs,
    CallNoteDelete: CallNoteIs,
    QueueWatch: QueueWatched,
    CallbackList: CallbackPage,
    CallbackClaim: CallbackIs,
    CallbackRelease: CallbackIs,
    CallbackClose: CallbackIs,
    CallbackReopen: CallbackIs,
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
        PresenceChanged, CallOffered, CallUpdated, CallEnded, MissedCallCreated, CallbackChanged,
        CallAnnotated, ReviewChanged, CallRevised, QueueChanged,
        QueueUnwatched, AgentStateChanged, TokenExpiring, Ping, Bye,
    )
}  # fmt: skip
