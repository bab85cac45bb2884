"""What programs of the CRM do in conversations, over HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import AfterValidator, Field

from gateway.protocol.conversations import MAX_PARTICIPANTS
from gateway.protocol.frame import Flag, Id, Line, Position, frame
from gateway.protocol.messages import Text

MAX_ATTRS_BYTES = 8_000


def check_attrs(value: dict[str, Any]) -> dict[str, Any]:
    """Return data that PostgreSQL can store as jsonb; ValueError when it cannot."""
    try:
        written = orjson.dumps(value)
    except TypeError:  # what it parses is at most as deep, but for some levels
        raise ValueError("has too many levels") from None
    if len(written) > MAX_ATTRS_BYTES:
        raise ValueError(f"must have at most {MAX_ATTRS_BYTES} bytes")
    if b"\\u0000" in written.replace(b"\\\\", b""):
        raise ValueError("must not contain U+0000")
    return value


Attrs = Annotated[dict[str, Any], AfterValidator(check_attrs)]
ExternalKey = Annotated[Line, Field(min_length=1, max_length=200)]


@frame
class ConversationKeyed:
    """A conversation that was opened by a program."""

    conversation_id: Id
    created: bool
    """false: it was there before, under this key or of these two people."""


@frame
class ParticipantsAre:
    """Employees who were added, or removed; the others were in it, or gone, before."""

    employee_ids: list[Id]


@frame
class SystemMessageSent:
    """Where a message of the system stands in its conversation."""

    conversation_id: Id
    seq: Position
    change: Position


@frame
class SystemMessageNew:
    """A message of the system; repeating a client_key stores it once."""

    client_key: UUID
    text: Text
    reply_to_seq: Id | None = None
    silent: Flag = False
    """true: it counts as unread for nobody."""
    attrs: Attrs | None = None
    """Data for programs, at most 8,000 bytes and 100 levels; clients receive it unchanged."""


OpenedKind = Literal["direct", "group"]
MOST = MAX_PARTICIPANTS
