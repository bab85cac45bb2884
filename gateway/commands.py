"""Everything a client can ask for: command → the function that does it.

REST routes call the same functions with a Context of their own: there is one way to send a
message. hello, token.refresh and presence.watch change the connection itself and are served in
sockets/session.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.chat import conversations, messages, receipts, typing_notice
from gateway.context import Context
from gateway.people import presences
from gateway.protocol import (
    CallList,
    ConversationCreate,
    ConversationList,
    ConversationOpen,
    MessageHistory,
    MessageSend,
    PresenceSet,
    ReceiptRead,
    TypingStart,
    UnreadGet,
)
from gateway.telephony import calls

HANDLERS: dict[type[Any], Callable[[Context, Any], Awaitable[Any]]] = {
    ConversationOpen: conversations.open_direct,
    ConversationCreate: conversations.create_group,
    ConversationList: conversations.list_page,
    MessageSend: messages.send,
    MessageHistory: messages.history,
    ReceiptRead: receipts.read,
    TypingStart: typing_notice.start,
    UnreadGet: receipts.unread,
    PresenceSet: presences.choose,
    CallList: calls.list_page,
}


async def run(ctx: Context, command: Any) -> Any:
    """Do what the command asks; return what its reply carries."""
    return await HANDLERS[type(command)](ctx, command)
