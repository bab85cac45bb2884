"""Bytes ⇄ types: the only place that parses and prints JSON of the wire."""

from __future__ import annotations

import re
from typing import Any, TypeAlias
from uuid import UUID

import orjson
from pydantic import TypeAdapter, ValidationError

from gateway.errors import GatewayError, Invalid, Malformed, UnknownCommand
from gateway.protocol import COMMANDS

OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS

OF_PYDANTIC = re.compile(r"[\[(]")
"""In a path: the kind of a union that was tried, which is not a field."""

NAMED_BY_US = dict.fromkeys(
    ("unexpected_keyword_argument", "extra_forbidden"), "There is no such field."
)
"""What pydantic says in the words of Python, which mean nothing to who writes JSON."""

_adapters: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(command) for name, command in COMMANDS.items()
}


def encode(value: Any) -> bytes:
    """Print a wire type, or plain data, as JSON."""
    return orjson.dumps(value, default=_plain, option=OPTIONS)


Printed: TypeAlias = orjson.Fragment
"""JSON that is ready: encode() takes it over as it is, wherever it stands."""


def printed(value: Any) -> Printed:
    """Print a value that will stand in several answers."""
    return orjson.Fragment(encode(value))


def as_printed(text: str) -> Printed:
    """Take text that is JSON already."""
    return orjson.Fragment(text)


def _plain(value: Any) -> str:
    """Print what orjson does not know: asyncpg's UUID is a subclass of the standard one."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(type(value).__name__)


def parse(data: bytes | str) -> Any:
    """Read JSON; Malformed when it is not (NaN, lone surrogates, bad UTF-8, too deep)."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"Not valid JSON: {error.msg} at character {error.pos}.") from None


def command(type_: str, fields: dict[str, Any]) -> Any:
    """Make the command of this type from its fields; Invalid names the field that is wrong."""
    adapter = _adapters.get(type_)
    if adapter is None:
        raise UnknownCommand
    return validate(adapter, fields)


def validate(adapter: TypeAdapter[Any], value: Any) -> Any:
    """Check value against adapter; Invalid never repeats what was sent."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> Invalid:
    """Turn pydantic's complaint into ours: the first field that is wrong, and why."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}"
        for part in first["loc"]
        if isinstance(part, int) or not OF_PYDANTIC.search(part)
    ).lstrip(".")
    return Invalid(words(first["type"], first["msg"]), path=path[:200] or None)


def words(error_type: str, message: str) -> str:
    """Say pydantic's complaint in the words of who writes JSON."""
    if message.startswith("Value should have"):  # of a text, behind a validator of ours
        message = message.replace("Value", "Text").replace("item", "character")
    return NAMED_BY_US.get(error_type, message)[:300]


def refusal(error: GatewayError) -> dict[str, Any]:
    """Describe an error as it stands under `error` in replies and REST bodies."""
    said: dict[str, Any] = {"code": error.code, "message": error.detail}
    if error.path is not None:
        said["path"] = error.path
    if error.retry_after is not None:
        said["retry_after"] = error.retry_after
    return said
