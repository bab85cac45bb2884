"""What frames have around their content: hello, welcome, replies, refusals, bye and ping."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.protocol.attachments import FileLimits
from gateway.protocol.calls import Call
from gateway.protocol.conversations import Conversation, UnreadCounts
from gateway.protocol.declaration import command, event
from gateway.protocol.frame import PlainText, Position, frame
from gateway.protocol.people import Employee
from gateway.protocol.wallboard import AgentState

SUBPROTOCOL = "crm-gateway.v1"
MAX_RESUME = 1_000

DeviceId = Annotated[PlainText, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
ResumeKey = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,18}$")]


@frame
class Device:
    """What is connecting. The id stays the same across reconnects of one browser or telephone."""

    id: DeviceId
    kind: Literal["web", "mobile", "desktop", "softphone", "bot"] = "web"


@frame
class Welcome:
    """Reply to hello: everything a fresh client needs, as of one moment."""

    session: str
    node: str
    """The worker that serves this connection."""
    user: Employee
    permissions: list[str]
    ping_s: float
    """A ping comes when nothing was sent for this long; answer with anything."""
    token_expires_at: datetime
    conversations: list[Conversation]
    """The newest 50; conversation.list has the rest."""
    next: str | None = None
    """Cursor for conversation.list; null when all are here."""
    unread: UnreadCounts
    calls: list[Call]
    """Live calls of mine."""
    agent: AgentState | None = None
    """What I do on the telephone now; null for who has none."""
    callbacks_open: int | None = None
    """How many call-back requests are open and claimed by nobody, at most 1,000; null without
    `callbacks.handle`."""
    callbacks_open_as_of: int | None = None
    """When that was counted, in microseconds by the database's clock: keep the latest count."""
    changes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """conversation → the events after the position given in resume, in order, exactly as they
    were first sent."""
    reload: list[int] = field(default_factory=list)
    """Conversations with more than was sent here: fetch them afresh."""
    files: FileLimits | None = None
    """null: this gateway keeps no files, so hide the paper clip."""


@command(reply=Welcome, cost="session")
class Hello:
    """Client → server, first: who I am and what I have already seen."""

    type: Literal["hello"] = "hello"
    token: Annotated[PlainText, Field(max_length=8_192)] | None = None
    """May be left out when it came in the Authorization header or as subprotocol."""
    device: Device | None = None
    resume: Annotated[dict[ResumeKey, Position], Field(max_length=MAX_RESUME)] = field(
        default_factory=dict
    )
    """conversation → the last change taken in."""
    away: bool = False
    """Nobody is looking at this device; presence.away changes it."""


@frame
class TokenRefreshed:
    """Reply to token.refresh."""

    token_expires_at: datetime


@command(reply=TokenRefreshed, cost="session")
class TokenRefresh:
    """Client → server: go on with this token. It must be for the same employee."""

    type: Literal["token.refresh"] = "token.refresh"
    token: Annotated[PlainText, Field(max_length=8_192)]


@command(reply=None, cost="ping")
class Pong:
    """Either way: I am. Any other frame says so too."""

    type: Literal["pong"] = "pong"


@event(lane="reply")
@command(reply=Pong, cost="ping")
class Ping:
    """Either way: answer, so that I know you are there."""

    type: Literal["ping"] = "ping"


@event(lane="reply")
class TokenExpiring:
    """Server → client: refresh the token, or this connection closes when it expires."""

    type: Literal["token.expiring"] = "token.expiring"
    expires_at: datetime


@event(lane="reply")
class Bye:
    """Server → client, before a close: why, and when to come back."""

    type: Literal["bye"] = "bye"
    code: int
    reason: str
    resume: bool
    """False: do not come back."""
    retry_in: tuple[int, int] | None = None
    """Come back after a random time within these milliseconds."""


@frame
class Refusal:
    """What stands under `error` in a reply."""

    code: str
    message: str
    path: str | None = None
    retry_after: float | None = None
    """Seconds; present means temporary."""


__all__ = [
    "SUBPROTOCOL", "Bye", "Device", "Hello", "Ping", "Pong", "Position", "Refusal",
    "TokenExpiring", "TokenRefresh", "TokenRefreshed", "Welcome",
]  # fmt: skip
