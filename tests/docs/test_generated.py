"""What is generated from the wire types is what the types say today."""

from __future__ import annotations

import json
import re

import pytest

from gateway.errors import GatewayError, catalogue
from gateway.protocol import COMMANDS, EVENTS, codec, exports, javascript, reference
from gateway.protocol.close_codes import CATALOGUE, verdict
from gateway.protocol.described import errors, limits, wire_types

REMEDY = "run `python -m gateway.protocol` and look at what changed"
PAGE = reference.PATH.read_text(encoding="utf-8")
EXAMPLES = [json.loads(found) for found in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
SAID = [one for one in EXAMPLES if one.get("type") in COMMANDS and "id" in one]


def test_the_package_exports_every_type_that_its_modules_declare() -> None:
    """gateway/protocol/__init__.py is what the generator writes."""
    assert exports.PATH.read_text(encoding="utf-8") == exports.render(), REMEDY


def test_the_constants_for_javascript_are_current() -> None:
    """web/sdk/protocol.js is what the generator writes."""
    assert javascript.PATH.read_text(encoding="utf-8") == javascript.render(), REMEDY


def test_the_tables_of_the_protocol_page_are_current() -> None:
    """docs/protocol.md is what the generator makes of it."""
    assert reference.render(PAGE) == PAGE, REMEDY


def test_the_page_has_every_table() -> None:
    """Each table the generator knows stands on the page, once."""
    assert sorted(found[1] for found in reference.MARKERS.findall(PAGE)) == sorted(reference.TABLES)


def test_a_table_that_does_not_exist_is_an_error() -> None:
    """A misspelt marker does not stay empty unnoticed."""
    with pytest.raises(KeyError):
        reference.render("<!-- table: colours -->\n<!-- end -->")


def test_everything_that_travels_is_named_on_the_page() -> None:
    """Commands, events, errors and close codes are all there."""
    missing = [name for name in (*COMMANDS, *EVENTS) if f"| `{name}` |" not in PAGE]
    missing += [error.code for error in errors() if f"| `{error.code}` |" not in PAGE]
    missing += [str(close.code) for close in CATALOGUE if f"| {close.code} |" not in PAGE]

    assert missing == []


def test_every_link_of_the_page_leads_somewhere() -> None:
    """Links to types have a heading to go to."""
    headings = {found.lower() for found in re.findall(r"^#+ (\w+)$", PAGE, re.MULTILINE)}

    assert set(re.findall(r"\]\(#(\w+)\)", PAGE)) <= headings


@pytest.mark.parametrize("example", SAID, ids=lambda example: str(example["type"]))
def test_the_examples_of_commands_are_valid(example: dict[str, object]) -> None:
    """The server's own decoder accepts what the page tells clients to send."""
    fields = {name: value for name, value in example.items() if name not in {"type", "id"}}

    codec.command(str(example["type"]), fields)


def test_the_examples_of_answers_have_the_fields_that_are_sent() -> None:
    """The welcome and the events on the page have the fields of their types, in any order."""
    types = wire_types()
    welcome = next(one["ok"] for one in EXAMPLES if "session" in one.get("ok", {}))
    events = [one for one in EXAMPLES if one.get("type") in EVENTS and "id" not in one]

    assert set(welcome) == {field.name for field in types["Welcome"].fields}
    assert events
    for event in events:
        described = types[EVENTS[event["type"]].__name__]
        assert set(event) == {field.name for field in described.fields}


def test_the_verdict_for_javascript_is_that_of_python() -> None:
    """The ranges written into protocol.js give the same verdict for every application code."""
    ranges = list(javascript.verdict_ranges())

    for code in range(4000, 5000):
        words = [advice for first, last, advice in ranges if first <= code <= last]
        assert (words or ["back_off"]) == [verdict(code)]


def test_errors_made_elsewhere_do_not_reach_the_tables() -> None:
    """Only those of gateway/errors/ are part of the protocol."""

    class MadeHere(GatewayError):
        """Not part of the protocol."""

        code = "zz.made_here"

    assert MadeHere in catalogue()
    assert MadeHere not in errors()


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "minLength": 1, "maxLength": 8_000}, "1 to 8,000 characters"),
        ({"type": "array", "maxItems": 500, "items": {}}, "at most 500 items"),
        ({"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]}, "at most 9 characters"),
        ({"type": "integer", "minimum": 1, "maximum": 50}, "1 to 50"),
        ({"type": "integer", "minimum": 1, "maximum": 2**63 - 1}, ""),
    ],
)  # fmt: skip
def test_limits_are_in_words(schema: dict[str, object], words: str) -> None:
    """What a declaration allows stands in the table, bigint's own bound does not."""
    assert limits(schema) == words
