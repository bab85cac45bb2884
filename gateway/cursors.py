"""Cursors of keyset pages: opaque to clients, checked when they come back."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from gateway.errors import Invalid


def pack(at: datetime, last_id: int | UUID) -> str:
    """Return a cursor for the rows after this one."""
    # asyncpg's UUID is a subclass of the standard one, which orjson does not take.
    plain = str(last_id) if isinstance(last_id, UUID) else last_id
    return _encode(at, plain)


def unpack(cursor: str) -> tuple[datetime, Any]:
    """Parse a cursor; Invalid when this gateway did not make it."""
    try:
        at, last_id = _decode(cursor)
        moment = _moment(at)
    except (binascii.Error, ValueError, TypeError, OverflowError):
        raise _not_ours() from None
    if not isinstance(last_id, int | str):
        raise _not_ours()
    return moment, last_id


def unpack_int(cursor: str) -> tuple[datetime, int]:
    """Parse a cursor of a list whose rows have integer ids."""
    at, last_id = unpack(cursor)
    if not isinstance(last_id, int) or isinstance(last_id, bool) or not 0 < last_id < 2**63:
        raise _not_ours()
    return at, last_id


def unpack_uuid(cursor: str) -> tuple[datetime, UUID]:
    """Parse a cursor of a list whose rows have UUIDs."""
    at, last_id = unpack(cursor)
    try:
        return at, UUID(last_id)
    except (ValueError, AttributeError, TypeError):
        raise _not_ours() from None


def pack_ranked(rank: int, name: str, last_id: int) -> str:
    """Return a cursor of a list that is ordered by how well a name matches."""
    return _encode(rank, name, last_id)


def unpack_ranked(cursor: str) -> tuple[int, str, int]:
    """Parse a cursor of a list that is ordered by how well a name matches."""
    try:
        rank, name, last_id = _decode(cursor)
    except (binascii.Error, ValueError, TypeError):
        raise _not_ours() from None
    named = isinstance(name, str) and "\x00" not in name
    if not (named and type(last_id) is int and 0 < last_id < 2**63):
        raise _not_ours()
    if type(rank) is not int or not 0 <= rank < 2**31:
        raise _not_ours()
    return rank, name, last_id


def pack_message(at: datetime, conversation_id: int, seq: int) -> str:
    """Return a cursor for the messages after this one, of several conversations."""
    return _encode(at, conversation_id, seq)


def unpack_message(cursor: str) -> tuple[datetime, int, int]:
    """Parse a cursor of a list of messages of several conversations."""
    try:
        at, *numbers = _decode(cursor)
        moment, (conversation_id, seq) = _moment(at), numbers
    except (binascii.Error, ValueError, TypeError, OverflowError):
        raise _not_ours() from None
    for number in (conversation_id, seq):
        if type(number) is not int or not 0 < number < 2**63:
            raise _not_ours()
    return moment, conversation_id, seq


def pack_position(position: int) -> str:
    """Return a cursor for what comes after the first `position` rows."""
    return _encode(position)


def unpack_position(cursor: str) -> int:
    """Parse a cursor of a list that is read by position."""
    try:
        (position,) = _decode(cursor)
    except (binascii.Error, ValueError, TypeError):
        raise _not_ours() from None
    if type(position) is not int or not 0 < position < 2**31 - 1_000:
        raise _not_ours()
    return position


def _encode(*values: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def _decode(cursor: str) -> Any:
    """Decode a cursor; binascii.Error or ValueError when it is not one."""
    return orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))


def _moment(text: str) -> datetime:
    """Parse a time in UTC; ValueError or OverflowError when it is not one."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset from UTC")
    return moment.astimezone(UTC)


def _not_ours() -> Invalid:
    return Invalid("This cursor was not made by this list.", path="cursor")
