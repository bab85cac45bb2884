"""Bad input for every command, made from what its declaration allows.

    for wrong in bad_inputs("message.send"):
        await client.say(wrong.frame)   # text, since some of it is no JSON of Python's

A field's JSON schema says what fits it; each way of not fitting makes one frame.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from gateway.protocol import COMMANDS

ID = 7
INVALID, MALFORMED = "command.invalid", "frame.malformed"
MOMENT = "2030-01-01T00:00:00Z"
UUID_TEXT = "6f1c6f1c-6f1c-4f1c-8f1c-6f1c6f1c6f1c"
BY_PATTERN = {"sha256": "0" * 64, "content_type": "image/png", "tz": "Europe/Kyiv",
              "avatar_url": "https://crm.example/a.png", "topics": ["crm:lead:1"]}  # fmt: skip
"""What fits a field that has a pattern."""
DEEP = 400
"""Levels, deeper than any field goes and less deep than the parser's own end."""
NOT_READ = {"ping", "pong"}
"""Answered by their type alone, before anything in them is read: nothing in them can be wrong."""


@dataclass(frozen=True, slots=True)
class BadInput:
    """One frame that must be refused."""

    why: str
    frame: str
    code: str
    path: str | None = None
    """The field that the refusal has to name; None: any, or none."""


def good_input(name: str) -> dict[str, Any]:
    """Return fields that the declaration allows, all of them; whether they make sense is open."""
    schema = TypeAdapter(COMMANDS[name]).json_schema()
    return {
        field: _fits(field, described, schema)
        for field, described in schema.get("properties", {}).items()
        if field != "type"
    }


def bad_inputs(name: str) -> Iterator[BadInput]:
    """Yield every way in which the fields of this command can be wrong."""
    if name in NOT_READ:
        return
    schema = TypeAdapter(COMMANDS[name]).json_schema()
    good = {"type": name, "id": ID, **good_input(name)}

    def with_field(why: str, field: str, value: Any) -> BadInput:
        return BadInput(f"{field}: {why}", json.dumps({**good, field: value}), INVALID, field)

    yield with_field("there is no such field", "zz_unknown", 1)
    yield BadInput("a number for a frame", "7", MALFORMED)
    yield BadInput("half a frame", json.dumps(good)[:-1], MALFORMED)
    for field in schema.get("required", []):
        if field != "type":
            left = {key: value for key, value in good.items() if key != field}
            yield BadInput(f"{field} is missing", json.dumps(left), INVALID, field)
    for field, described in schema.get("properties", {}).items():
        if field != "type":
            rule = _resolved(described, schema)
            for why, value in _misfits(rule, schema):
                yield with_field(why, field, value)
            surrogate = json.dumps({**good, field: "@"}).replace('"@"', '"a\\ud800"')
            yield BadInput(f"{field}: a lone surrogate", surrogate, MALFORMED)


def _misfits(rule: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield values that no choice of this rule allows."""
    choices = _choices(rule, schema)
    kinds = {choice.get("type", _kind(choice)) for choice in choices}
    formats = {choice.get("format") for choice in choices}  # a moment may be a Unix time
    if "null" not in kinds:
        yield "null", None
    yield "deep nesting", json.loads("[" * DEEP + "]" * DEEP)
    yield "an object in an object", {"a": {"b": {"c": []}}}
    texts = [choice for choice in choices if choice.get("type", _kind(choice)) == "string"]
    if all(choice.keys() & {"format", "pattern", "enum", "const"} for choice in texts):
        yield "a text", "no such thing"
    if kinds.isdisjoint({"integer", "number"}) and "date-time" not in formats:
        yield "a number", 5
        yield "a float", 1.5
    yield "2^63", 2**63
    yield "2^64", 2**64
    yield "less than any integer", -(2**63) - 1
    if "integer" in kinds:
        yield "a float", 1.5
    if "boolean" not in kinds:
        yield "true", True
    if "string" in kinds:
        yield "U+0000", "a\x00b"
    for choice in choices:
        if "maxLength" in choice:
            yield "a text that is too long", "x" * (choice["maxLength"] + 1)
        if "maxItems" in choice:
            item = _fits("", choice["items"], schema)
            yield "too many", [item] * (choice["maxItems"] + 1)
        if choice.get("type") == "array":
            yield "an item of another kind", [{"a": 1}]
            yield "an item beyond 2^63", [2**63]
        if choice.get("type") == "object" and "maxProperties" in choice:
            many = range(1, choice["maxProperties"] + 2)
            yield "too many entries", {str(number): 1 for number in many}


def _fits(field: str, rule: dict[str, Any], schema: dict[str, Any]) -> Any:
    """Return a value that fits."""
    rule = _resolved(rule, schema)
    if "const" in rule:
        return rule["const"]
    if "enum" in rule:
        return rule["enum"][0]
    if "anyOf" in rule:
        return _fits(field, rule["anyOf"][0], schema)
    if field in BY_PATTERN:
        return BY_PATTERN[field]
    match rule.get("type"):
        case "integer" | "number":
            return max(1, rule.get("minimum", 1))
        case "boolean":
            return True
        case "array":
            return [_fits("", rule["items"], schema)] * max(1, rule.get("minItems", 0))
        case "object":
            fields = rule.get("properties", {})
            return {name: _fits(name, below, schema) for name, below in fields.items()}
    by_format = {"uuid": UUID_TEXT, "date-time": MOMENT}
    return by_format.get(rule.get("format", ""), "a")


def _choices(rule: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [_resolved(choice, schema) for choice in rule.get("anyOf", [rule])]


def _kind(choice: dict[str, Any]) -> str:
    return "string" if "enum" in choice or "const" in choice else "any"


def _resolved(rule: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference to another type."""
    if "$ref" not in rule:
        return rule
    found: dict[str, Any] = schema["$defs"][rule["$ref"].rsplit("/", 1)[1]]
    return found
