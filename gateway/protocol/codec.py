"""Bytes ⇄ types: the only place that decodes and encodes the JSON of the wire."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, TypeAlias
from uuid import UUID

import orjson
from pydantic import TypeAdapter, ValidationError

from gateway.errors import GatewayError, Invalid, Malformed, UnknownCommand
from gateway.protocol import COMMANDS

OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS

FEW = 8
"""A list of no more items is encoded at once."""
PORTION_S = 0.0005
"""Items of a longer one are encoded without a pause for so long."""

UNION_STEP = re.compile(r"[\[(]")
"""In an error path: a variant of a union that was tried, which is no field."""

PLAIN_MESSAGES = dict.fromkeys(
    ("unexpected_keyword_argument", "extra_forbidden"), "There is no such field."
)
"""Messages of pydantic in terms of Python, in terms of JSON instead."""

_adapters: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(command) for name, command in COMMANDS.items()
}


def encode(value: Any) -> bytes:
    """Encode a wire type, or plain data, as JSON."""
    return orjson.dumps(value, default=_encode_other, option=OPTIONS)


JsonFragment: TypeAlias = orjson.Fragment
"""JSON that is encoded already: encode() inserts it unchanged."""


def fragment(value: Any) -> JsonFragment:
    """Encode a value once that several answers contain."""
    return orjson.Fragment(encode(value))


def fragment_of_text(text: str | bytes) -> JsonFragment:
    """Wrap text, or its bytes, that is JSON already."""
    return orjson.Fragment(text)


async def encode_stepwise(value: Any) -> bytes:
    """Encode a wire type like encode(); other tasks run after each few items of a long list."""
    long = {
        name: items
        for name in _names(value.__class__)
        if isinstance(items := getattr(value, name), list) and len(items) > FEW
    }
    if not long:
        return encode(value)
    return encode(replace(value, **{name: await list_stepwise(long[name]) for name in long}))


async def fragment_stepwise(value: Any) -> JsonFragment:
    """Encode a wire type for an answer that contains it, in the same way."""
    return orjson.Fragment(await encode_stepwise(value))


async def list_stepwise(items: Sequence[Any]) -> JsonFragment:
    """Encode a list once that several answers contain; other tasks run after each few items."""
    encoded, began = [], time.perf_counter()
    for item in items:
        encoded.append(encode(item))
        if time.perf_counter() - began > PORTION_S:
            await asyncio.sleep(0)
            began = time.perf_counter()
    return orjson.Fragment(b"[%b]" % b",".join(encoded))


@cache
def _names(cls: type[Any]) -> tuple[str, ...]:
    return tuple(one.name for one in fields(cls)) if is_dataclass(cls) else ()


def _encode_other(value: Any) -> str:
    """Encode what orjson does not know: asyncpg's UUID, a subclass of the standard one."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(type(value).__name__)


def parse(data: bytes | str) -> Any:
    """Decode JSON; Malformed when it is not valid (NaN, lone surrogates, bad UTF-8, too deep)."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"Not valid JSON: {error.msg} at character {error.pos}.") from None


def command(type_: str, fields: dict[str, Any]) -> Any:
    """Make the command of this type from its fields; UnknownCommand, or Invalid with the field."""
    adapter = _adapters.get(type_)
    if adapter is None:
        raise UnknownCommand
    return validate(adapter, fields)


def validate(adapter: TypeAdapter[Any], value: Any) -> Any:
    """Validate value; the message of Invalid never contains what was sent."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> Invalid:
    """Make the error for the client: the first field that is wrong, and why."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}"
        for part in first["loc"]
        if isinstance(part, int) or not UNION_STEP.search(part)
    ).lstrip(".")
    return Invalid(plain_message(first["type"], first["msg"]), path=path[:200] or None)


def plain_message(error_type: str, message: str) -> str:
    """Return pydantic's message in terms of JSON, at most 300 characters."""
    if message.startswith("Value should have"):  # of a string with a validator of ours
        message = message.replace("Value", "Text").replace("item", "character")
    return PLAIN_MESSAGES.get(error_type, message)[:300]


def refusal(error: GatewayError) -> dict[str, Any]:
    """Return an error as replies and REST bodies contain it under `error`."""
    content: dict[str, Any] = {"code": error.code, "message": error.detail}
    if error.path is not None:
        content["path"] = error.path
    if error.retry_after is not None:
        content["retry_after"] = error.retry_after
    return content
