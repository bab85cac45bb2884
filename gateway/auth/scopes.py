"""Every scope that a service account may have, and what it allows.

rest, cli ─▶ here. docs/operations.md lists the same; a test compares the two. A scope in
realtime.service_accounts that is not listed has no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

CONNECTIONS_MANAGE: Final = "connections.manage"
CONVERSATIONS_MANAGE: Final = "conversations.manage"
EVENTS_PUBLISH: Final = "events.publish"
MESSAGES_SEND: Final = "messages.send"

ALLOWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        CONVERSATIONS_MANAGE: "to open conversations, and to add and remove their participants",
        MESSAGES_SEND: "to send messages as the system, into any conversation",
        EVENTS_PUBLISH: "to publish events of the CRM",
        CONNECTIONS_MANAGE: "to list and to close anybody's connections",
    }
)
"""scope → what an account that has it may do, in the order of docs/operations.md."""
