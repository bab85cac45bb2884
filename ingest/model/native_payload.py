"""The original message of a PBX as JSON, stored beside its event where the settings ask for it.

normalise ─▶ message_json ─▶ CallEvent.native ─▶ store ─▶ split_payloads ─▶ queries.events. Nothing
in a message is a reason to refuse its event: what cannot be stored is replaced, and a message that
is too long is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

from ingest.model.events import CallEvent

MAX_BYTES = 65_536
"""The largest of 57,880 recorded AMI messages has 1.3 KiB, a FreeSWITCH hang-up about 12."""

SECRET = re.compile(
    r"secret|passw|a1.?hash|token|authorization|credential|signature|digits"
    r"|(^|[^a-z])(pin|pwd)([^a-z]|$)",
    re.IGNORECASE,
)
"""Names of fields that are not kept: `variable_sip_auth_password`, `PIN_CODE`, `Digits`."""
VARIABLES = "ChanVariable"
"""AMI's fields of channel variables; their values are `NAME=value`."""

EventPayload = tuple[str, UUID, bytes]
"""An event's source and id, and the message that it came in."""


def message_json(fields: Iterable[tuple[str, Any]]) -> bytes | None:
    """Return a message as JSON; a repeated name gets a list. None when it is too long."""
    values: dict[str, list[Any]] = {}
    for name, value in fields:
        if not _is_secret(name, value):
            values.setdefault(name, []).append(value)
    message = {name: one[0] if len(one) == 1 else one for name, one in values.items()}
    try:
        text = _json(message)
    except (TypeError, RecursionError):  # a number beyond 64 bits, nested too deeply
        return None
    return text if len(text) <= MAX_BYTES else None


def with_native(events: Sequence[CallEvent], fields: Mapping[str, Any]) -> list[CallEvent]:
    """Attach a message to the first of the events made of it, so that it is stored once."""
    return [replace(event, native=message_json(fields.items())) for event in events[:1]] + [
        *events[1:]
    ]


def split_payloads(events: list[CallEvent]) -> tuple[list[CallEvent], list[EventPayload]]:
    """Detach the messages from their events: cached calls need not hold them."""
    payloads = [(one.source, one.event_id, one.native) for one in events if one.native]
    if not payloads:
        return events, []
    return [replace(one, native=None) if one.native else one for one in events], payloads


def _is_secret(name: str, value: Any) -> bool:
    return _names_secret(name) or (
        VARIABLES in name and _names_secret(str(value).partition("=")[0])
    )


@lru_cache(maxsize=4_096)  # 8 µs, and a PBX has some hundred names
def _names_secret(name: str) -> bool:
    return SECRET.search(name) is not None


def _json(message: Any) -> bytes:
    """Encode it as jsonb can store it; most messages need no replacements."""
    try:
        text = orjson.dumps(message)
    except TypeError:  # a lone surrogate
        text = b""
    if text and rb"\u0000" not in text:
        return text
    return orjson.dumps(_storable(message))


def _storable(value: Any) -> Any:
    """Replace NUL and lone surrogates."""
    match value:
        case str():
            return (
                value.replace("\0", "\ufffd")
                .encode("utf-16", "surrogatepass")
                .decode("utf-16", "replace")
            )
        case dict():
            return {_storable(name): _storable(one) for name, one in value.items()}
        case list():
            return [_storable(one) for one in value]
        case _:
            return value
