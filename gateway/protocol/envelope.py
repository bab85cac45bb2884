"""What belongs to a connection, not to its content: hello, welcome, token, ping, bye, refusal."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.protocol.attachments import FileLimits
from gateway.protocol.calls import Call
from gateway.protocol.conversations import Conversation, UnreadCounts
from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Flag, PlainText, Position, frame
from gateway.protocol.people import Employee
from gateway.protocol.wallboard import AgentState

SUBPROTOCOL = "crm-gateway.v1"
MAX_RESUME = 1_000

DeviceId = Annotated[
    str, Field(strict=True, min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")
]
ResumeKey = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,18}$")]


@frame
class Device:
    """The client's device. Its id stays the same across reconnects of one browser or telephone."""

    id: DeviceId
    kind: Literal["web", "mobile", "desktop", "softphone", "bot"] = "web"


@frame
class Welcome:
    """Reply to hello: everything that a new client needs, read at one moment."""

    session: str
    node: str
    """The worker that serves this connection."""
    user: Employee
    permissions: list[str]
    ping_s: float
    """The server sends a ping after this many seconds without a frame; any frame answers it."""
    token_expires_at: datetime
    conversations: list[Conversation]
    """The 50 that were active last, fewer when their last messages have more than 200,000
    characters together; conversation.list returns the others."""
    next: str | None = None
    """Cursor for conversation.list; null when there are no others."""
    unread: UnreadCounts
    calls: list[Call]
    """The employee's calls that have not ended, at most 20."""
    agent: AgentState | None = None
    """The employee's state on the telephone; null for an employee without a telephone."""
    callbacks_open: int | None = None
    """How many call-back requests are open and unclaimed, at most 1,000; null without the
    permission `callbacks.handle`."""
    callbacks_open_as_of: int | None = None
    """When that was counted, in microseconds by the database's clock: keep the latest count."""
    changes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """conversation → the events after the position given in resume, in order, exactly as they
    were first sent: at most 200 of one conversation, and 1,000 or 1 MiB in all."""
    reload: list[int] = field(default_factory=list)
    """Conversations with more changes than fit here: read them again."""
    files: FileLimits | None = None
    """null: this gateway stores no files, so a client offers no attachments."""


@command(reply=Welcome, cost="session")
class Hello:
    """Client → server: the first command: who connects, and what it has received before."""

    type: Literal["hello"] = "hello"
    token: Annotated[PlainText, Field(max_length=8_192)] | None = None
    """May be left out when it was sent in the Authorization header or as a subprotocol."""
    device: Device | None = None
    resume: Annotated[dict[ResumeKey, Position], Field(max_length=MAX_RESUME)] = field(
        default_factory=dict
    )
    """conversation → the last change that the client has processed."""
    away: Flag = False
    """True: nobody is looking at this device. presence.away changes it later."""


@frame
class TokenRefreshed:
    """Reply to token.refresh."""

    token_expires_at: datetime


@command(reply=TokenRefreshed, cost="session")
class TokenRefresh:
    """Client → server: continue with this token. It must belong to the same employee."""

    type: Literal["token.refresh"] = "token.refresh"
    token: Annotated[PlainText, Field(max_length=8_192)]


@command(reply=None, cost="ping")
class Pong:
    """Either side → the other: the answer to ping. Any other frame answers it, too."""

    type: Literal["pong"] = "pong"


@event(lane="reply")
@command(reply=Pong, cost="ping")
class Ping:
    """Either side → the other: a check that the connection works; answer it."""

    type: Literal["ping"] = "ping"


@event(lane="reply")
class TokenExpiring:
    """Server → client: the token expires soon; without token.refresh the connection then closes."""

    type: Literal["token.expiring"] = "token.expiring"
    expires_at: datetime


@event(lane="reply")
class Bye:
    """Server → client: sent before a close: the reason, and when to reconnect."""

    type: Literal["bye"] = "bye"
    code: int
    reason: str
    resume: bool
    """False: do not reconnect."""
    retry_in: tuple[int, int] | None = None
    """Reconnect after a random time between these two, in milliseconds."""


@frame
class Refusal:
    """The content of `error` in a reply."""

    code: str
    message: str
    path: str | None = None
    retry_after: float | None = None
    """Seconds after which to try again; set when the refusal is temporary."""


__all__ = [
    "SUBPROTOCOL", "Bye", "Device", "Hello", "Ping", "Pong", "Position", "Refusal",
    "TokenExpiring", "TokenRefresh", "TokenRefreshed", "Welcome",
]  # fmt: skip
