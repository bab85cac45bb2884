"""The welcome: what a client gets in reply to hello.

snapshot ─▶ build ─▶ Welcome.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from gateway.auth import Identity
from gateway.chat import receipts
from gateway.files import Files
from gateway.hello.snapshot import HelloSnapshot
from gateway.protocol import FileLimits, UnreadCounts, Welcome


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What a welcome says of the node."""

    name: str
    ping_s: float
    files: Files


def build(
    session_id: str,
    identity: Identity,
    taken: HelloSnapshot,
    node: NodeInfo,
) -> Welcome:
    """Return the welcome."""
    counted = taken.callbacks
    return Welcome(
        session=session_id,
        node=node.name,
        user=identity.employee,
        permissions=sorted(identity.permissions),
        ping_s=node.ping_s,
        token_expires_at=identity.expires_at,
        conversations=taken.conversations,
        next=taken.next,
        unread=UnreadCounts(total=receipts.total(taken.unread), conversations=taken.unread),
        calls=taken.calls,
        callbacks_open=counted.open if counted else None,
        callbacks_open_as_of=counted.open_as_of if counted else None,
        agent=taken.agent,
        changes=cast(
            "dict[str, list[dict[str, Any]]]",
            {str(conversation_id): events for conversation_id, events in taken.changes.items()},
        ),
        reload=taken.reload,
        files=_file_limits(node.files),
    )


def _file_limits(files: Files) -> FileLimits | None:
    if files.storage is None:
        return None
    limits = files.limits
    return FileLimits(
        max_bytes=limits.max_bytes, per_message=limits.per_message, types=list(limits.types)
    )
