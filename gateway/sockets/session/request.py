"""A client's frame, before any command is known: bytes ─▶ objects with a type and maybe an id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.errors import Invalid, Malformed, TooMany
from gateway.protocol import codec

MAX_REQUEST_ID = 2**53 - 1  # what JavaScript counts exactly


@dataclass(frozen=True, slots=True)
class RequestEnvelope:
    """One object of a frame."""

    id: int | None
    type: str
    fields: dict[str, Any]


def parse_frame(data: bytes, most: int) -> list[Any]:
    """Read a frame: one object, or an array of at most `most`; Malformed, TooMany."""
    parsed = codec.parse(data)
    if not isinstance(parsed, list):
        return [parsed]
    if len(parsed) > most:
        raise TooMany(f"At most {most} in one frame.")
    return parsed


def request_id_of(item: Any) -> int | None:
    """Return the id a refusal of this item may carry; None when it has no usable one."""
    request_id = item.get("id") if isinstance(item, dict) else None
    return request_id if type(request_id) is int and 0 <= request_id <= MAX_REQUEST_ID else None


def parse_envelope(item: Any) -> RequestEnvelope:
    """Check the id and the type of a command; Malformed, Invalid."""
    if not isinstance(item, dict):
        raise Malformed("A frame is an object, or an array of objects.")
    request_id = request_id_of(item)
    if request_id is None and item.get("id") is not None:
        raise Invalid("An id is an integer from 0 to 2^53 - 1.", path="id")
    type_ = item.get("type")
    if not isinstance(type_, str):
        raise Invalid("Every command has a type.", path="type")
    fields = {name: value for name, value in item.items() if name not in {"id", "type"}}
    return RequestEnvelope(request_id, type_, fields)
