"""Every permission that the gateway checks: its name in crm.permissions, and what it allows.

use cases, sockets ─▶ here. docs/crm-contract.md lists the same for the CRM; a test compares the
two, and finds a name that is written anywhere else in the gateway. A name in crm.permissions that
is not listed has no effect.
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

TOPICS: Final[Mapping[str, str]] = MappingProxyType({CALLBACKS_HANDLE: topics.CALLBACKS})
"""permission → the topic that every socket of somebody who has it is subscribed to."""


def topics_for(permissions: Iterable[str]) -> set[str]:
    """Return the topics that somebody with these permissions is subscribed to."""
    return {TOPICS[one] for one in permissions if one in TOPICS}
