"""Every permission: its name in crm.permissions, what it allows, and which are only reserved.

use cases, sockets ─▶ here. docs/crm-contract.md lists the same for the CRM; a test compares the
two, and finds a name that is written anywhere else in the gateway. A name in crm.permissions that
is not listed, or is only reserved, has no effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from gateway import topics

AUDIT_READ: Final = "audit.read"
CALLBACKS_HANDLE: Final = "callbacks.handle"
CALLS_REVIEW: Final = "calls.review"
CALLS_VIEW_ALL: Final = "calls.view_all"
CONVERSATIONS_CREATE_GROUP: Final = "conversations.create_group"
CONVERSATIONS_EXPORT: Final = "conversations.export"
JOBS_MANAGE: Final = "jobs.manage"
MESSAGES_DELETE_ANY: Final = "messages.delete_any"
MESSAGES_MENTION_ALL: Final = "messages.mention_all"
RECORDINGS_LISTEN: Final = "recordings.listen"
STATS_VIEW: Final = "stats.view"

ALLOWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        CONVERSATIONS_CREATE_GROUP: "to start group conversations",
        CONVERSATIONS_EXPORT: "to download whole conversations that they are in; each download is"
        " noted in `realtime.audit`",
        AUDIT_READ: "to read all of `realtime.audit` by `GET /v1/audit`, also about conversations"
        " and calls of others",
        MESSAGES_DELETE_ANY: "to delete anyone's messages in conversations that they are in",
        MESSAGES_MENTION_ALL: "to mention everybody in groups of more than 20",
        CALLBACKS_HANDLE: "to see, claim and close call-back requests",
        CALLS_VIEW_ALL: "to see all calls, not only those that they took part in",
        CALLS_REVIEW: "to review calls that they may see, and to hear their recordings",
        RECORDINGS_LISTEN: "to hear the recordings of calls that they may see; each time is noted"
        " in `realtime.audit`",
        JOBS_MANAGE: "to see background jobs that failed for good, and to order them again; each"
        " time is noted in `realtime.audit`",
        STATS_VIEW: "to read call statistics, and to watch queues and agents as they are now",
    }
)
"""permission → what somebody who has it may do, in the order of docs/crm-contract.md."""

RESERVED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "clientchats.answer": "to answer client chats",
        "clientchats.view_all": "to see all client chats, not only those of their teams",
        "clientchats.manage": "to set hours, service levels, labels and templates of client chats",
        "channels.manage": "to connect and disconnect messengers of client chats",
        "calls.control": "to hold, transfer and end their own calls from the CRM",
        "calls.dial": "to dial from the CRM",
        "calls.transfer_out": "to transfer calls to numbers outside",
        "calls.control_any": "to control calls of others",
        "calls.monitor": "to listen to calls as they are made",
        "calls.record": "to begin and end recordings",
        "agents.manage": "to set pauses and queues of other agents",
        "webhooks.manage": "to set where events are posted to",
        "intelligence.view": "to see profiles of customers",
        "notifications.send": "to send notifications to colleagues",
        "notifications.view": "to see which notifications were sent",
    }
)
"""permission → what it will allow. Nothing checks it: what does moves it to ALLOWS first."""

TOPICS: Final[Mapping[str, str]] = MappingProxyType({CALLBACKS_HANDLE: topics.CALLBACKS})
"""permission → the topic that every socket of somebody who has it is subscribed to."""


def topics_for(permissions: Iterable[str]) -> set[str]:
    """Return the topics that somebody with these permissions is subscribed to."""
    return {TOPICS[one] for one in permissions if one in TOPICS}
