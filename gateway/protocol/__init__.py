"""What travels between clients and the gateway, declared once.

`COMMANDS` is what a client can say, `EVENTS` what it can hear. Replies are `{"id", "ok"}` or
`{"id", "error"}`; a frame with an `id` answers a command. One without is an event, a
`pong`, or an `error` that belongs to no command.
"""

from __future__ import annotations

from typing import Any

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
    ConversationList,
    ConversationOpen,
    ConversationOpened,
    ConversationPage,
    Participant,
    ReceiptRead,
    ReceiptReadDone,
    ReceiptWasRead,
    Unread,
    UnreadChanged,
    UnreadCounts,
    UnreadGet,
    UnreadTotal,
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
from gateway.protocol.messages import (
    Message,
    MessageCreated,
    MessageHistory,
    MessagePage,
    MessageSend,
    MessageSent,
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

REPLIES: dict[type[Any], type[Any] | None] = {
    Hello: Welcome,
    TokenRefresh: TokenRefreshed,
    Ping: Pong,
    Pong: None,
    ConversationOpen: ConversationOpened,
    ConversationCreate: ConversationOpened,
    ConversationList: ConversationPage,
    MessageSend: MessageSent,
    MessageHistory: MessagePage,
    ReceiptRead: ReceiptReadDone,
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
        MessageCreated, ReceiptWasRead, TypingStarted, UnreadChanged, ConversationCreated,
        PresenceChanged, CallOffered, CallUpdated, CallEnded, TokenExpiring, Ping, Bye,
    )
}  # fmt: skip

__all__ = [
    "COMMANDS", "EVENTS", "REPLIES", "SUBPROTOCOL", "Bye", "Call", "CallEnded", "CallLeg",
    "CallList", "CallOffered", "CallPage", "CallUpdated", "Conversation", "ConversationCreate",
    "ConversationCreated", "ConversationList", "ConversationOpen", "ConversationOpened",
    "ConversationPage", "Customer", "Device", "Employee", "Hello", "Message", "MessageCreated",
    "MessageHistory", "MessagePage", "MessageSend", "MessageSent", "OpenWork", "Participant",
    "Ping", "Pong", "Presence", "PresenceChanged", "PresenceIs", "PresenceSet", "PresenceWatch",
    "PresenceWatched", "QueueStint", "ReceiptRead", "ReceiptReadDone", "ReceiptWasRead",
    "Refusal", "TokenExpiring", "TokenRefresh", "TokenRefreshed", "TypingStart", "TypingStarted",
    "Unread", "UnreadChanged", "UnreadCounts", "UnreadGet", "UnreadTotal", "Welcome",
]  # fmt: skip
