"""The AsyncAPI document: everything that travels is in it, and every reference leads somewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.protocol import COMMANDS, EVENTS, REPEATABLE, REPLIES, asyncapi


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return asyncapi.document("1.2.3")


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for below in node.values():
            yield from _references(below)
    elif isinstance(node, list):
        for below in node:
            yield from _references(below)


def _at(document: dict[str, Any], reference: str) -> Any:
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_every_command_and_event_is_an_operation(document: dict[str, Any]) -> None:
    """The gateway receives commands and sends events."""
    operations = document["operations"]

    assert set(operations) == {f"receive-{name}" for name in COMMANDS} | {
        f"send-{name}" for name in EVENTS
    }
    for name in COMMANDS:
        assert operations[f"receive-{name}"]["x-repeatable"] == (name in REPEATABLE)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """Operations refer to messages of the channel, those to components."""
    references = set(_references(document))

    assert len(references) > 200
    assert all(_at(document, reference) for reference in references)


def test_a_command_says_what_its_declaration_says(document: dict[str, Any]) -> None:
    """An id may be given, a type must be, and no field that is not declared."""
    for name, command in COMMANDS.items():
        schema = document["components"]["schemas"][command.__name__]

        assert schema["additionalProperties"] is False
        assert "type" in schema["required"]
        assert "id" in schema["properties"]
        assert schema["properties"]["type"]["const"] == name


def test_replies_are_those_of_the_table(document: dict[str, Any]) -> None:
    """Each command leads to what stands under ok, or to a refusal."""
    for name, command in COMMANDS.items():
        answers = document["operations"][f"receive-{name}"]["reply"]["messages"]
        messages = [_at(document, _at(document, one["$ref"])["$ref"]) for one in answers]
        content = messages[0]["payload"]["properties"]["ok"]
        reply = REPLIES[command]

        assert content.get("$ref", "").rpartition("/")[2] == (reply.__name__ if reply else "")
        assert messages[1]["title"] == "Refusal"


def test_what_we_send_may_get_new_fields(document: dict[str, Any]) -> None:
    """Clients ignore what they do not know, so a program made from this must accept it."""
    for event in set(EVENTS.values()) - set(COMMANDS.values()):
        schema = document["components"]["schemas"][event.__name__]

        assert "additionalProperties" not in schema
        assert set(schema["required"]) == set(schema["properties"])
