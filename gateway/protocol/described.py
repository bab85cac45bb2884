"""The wire types as data: names, fields, types and meanings, taken from the declarations.

gateway/protocol ─▶ described ─▶ javascript (web/sdk/protocol.js) and reference (docs/protocol.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from pydantic import TypeAdapter

import gateway.protocol
from gateway.errors import GatewayError, catalogue
from gateway.protocol import COMMANDS, EVENTS, REPLIES, Refusal


@dataclass(frozen=True, slots=True)
class FieldDescription:
    """One field: its type in JSDoc's notation, its limits, and its meaning."""

    name: str
    type: str
    required: bool
    limits: str
    meaning: str


@dataclass(frozen=True, slots=True)
class TypeDescription:
    """One wire type."""

    name: str
    meaning: str
    fields: tuple[FieldDescription, ...]


@cache
def wire_types() -> dict[str, TypeDescription]:
    """Describe every type on the wire, by class name: replies and events, then commands."""
    received = _describe(COMMANDS.values(), partial=True)
    replies = (reply for reply in REPLIES.values() if reply is not None)
    sent = _describe([*replies, *EVENTS.values(), Refusal], partial=False)
    return sent | received


def errors() -> list[type[GatewayError]]:
    """Return the errors of gateway/errors/; tests may define others."""
    return [error for error in catalogue() if error.__module__.startswith("gateway.errors.")]


def _describe(classes: Iterable[type[Any]], *, partial: bool) -> dict[str, TypeDescription]:
    """partial: fields with a default may be left out (commands); the gateway sends all fields."""
    adapters = [(cls.__name__, "validation", TypeAdapter(cls)) for cls in classes]
    _, schema = TypeAdapter.json_schemas(adapters, ref_template="{model}")  # type: ignore[arg-type]
    definitions: dict[str, Any] = schema["$defs"]
    return {
        name: TypeDescription(
            name=name,
            meaning=one_line(definition.get("description", "")),
            fields=tuple(_fields(name, definition, partial=partial)),
        )
        for name, definition in sorted(definitions.items())
    }


def _fields(owner: str, definition: dict[str, Any], *, partial: bool) -> Iterable[FieldDescription]:
    """Yield the fields in the order of the declaration: pydantic moves some to the front."""
    required = definition.get("required", [])
    for name in (field.name for field in fields(getattr(gateway.protocol, owner))):
        field = definition["properties"][name]
        yield FieldDescription(
            name=name,
            type=javascript_type(field),
            required=not partial or name in required or "const" in field,
            limits=limits(field),
            meaning=one_line(field.get("description", "")),
        )


def javascript_type(schema: dict[str, Any]) -> str:
    """Write a JSON schema as a JSDoc type: `'direct' | 'group'`, `Message[]`, `string | null`."""
    if "$ref" in schema:
        return str(schema["$ref"])
    if "const" in schema:
        return f"'{schema['const']}'"
    if "enum" in schema:
        return " | ".join(f"'{value}'" for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(javascript_type(choice) for choice in schema["anyOf"])
    if schema.get("type") == "array":
        return _array_type(schema)
    if schema.get("type") == "object":
        return f"Object<string, {_object_value(schema)}>"
    names = {"integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
    return names.get(schema.get("type", "any"), "string")


def limits(schema: dict[str, Any]) -> str:
    """Return what the declaration allows: `1 to 200 characters`, `at most 50`; empty: anything."""
    choice = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)
    kind = choice.get("type")
    if kind == "string":
        return _between(choice.get("minLength"), choice.get("maxLength"), " characters")
    if kind == "array" and "prefixItems" not in choice:
        return _between(choice.get("minItems"), choice.get("maxItems"), " items")
    if kind == "object":
        return _between(choice.get("minProperties"), choice.get("maxProperties"), " entries")
    if kind == "integer" and choice.get("maximum", 2**63) < 2**53:
        return _between(choice.get("minimum"), choice.get("maximum"), "")
    return ""


def one_line(text: str) -> str:
    return " ".join(text.split())


def _array_type(schema: dict[str, Any]) -> str:
    if "prefixItems" in schema:
        return f"[{', '.join(javascript_type(item) for item in schema['prefixItems'])}]"
    item = javascript_type(schema["items"])
    return f"({item})[]" if "|" in item else f"{item}[]"


def _object_value(schema: dict[str, Any]) -> str:
    """Write the type of a mapping's values; its keys may be described by a pattern."""
    value = schema.get("additionalProperties") or next(
        iter(schema.get("patternProperties", {}).values()), True
    )
    return javascript_type(value) if isinstance(value, dict) and value else "any"


def _between(low: int | None, high: int | None, unit: str) -> str:
    if high is None:
        return ""
    return f"{low} to {high:,}{unit}" if low else f"at most {high:,}{unit}"
