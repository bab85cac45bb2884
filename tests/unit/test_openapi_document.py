"""/openapi.json tells of every constraint that a request is refused for, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.protocol import MessageSearch, PresenceSet
from gateway.protocol.frame import MAX_INT, Flag, Instant
from gateway.rest import build
from gateway.settings import Settings


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return build(Settings(), lambda _app: nullcontext()).openapi()


def parts(of: Any) -> Iterator[dict[str, Any]]:
    """Return all objects in a document."""
    if isinstance(of, dict):
        yield of
        of = list(of.values())
    if isinstance(of, list):
        for one in of:
            yield from parts(one)


def test_bounds_of_integers_are_integers(document: dict[str, Any]) -> None:
    """2**63 - 1 is itself, not the float above it, in bodies as in parameters."""
    found = [
        bound
        for part in parts(document)
        if part.get("type") == "integer"
        for name in ("minimum", "maximum")
        if (bound := part.get(name)) is not None
    ]

    assert found.count(MAX_INT) > 100
    assert {type(bound) for bound in found} == {int}
    assert max(found) == MAX_INT


def test_keys_with_a_pattern_are_the_only_ones(document: dict[str, Any]) -> None:
    """Points of criteria: what matches no pattern is refused, and the document says so."""
    found = [part for part in parts(document) if "patternProperties" in part]

    assert len(found) >= 3
    assert all(part["additionalProperties"] is False for part in found)


@pytest.mark.parametrize(
    ("schema", "name", "pattern"),
    [
        ("Changes", "avatar_url", "https?"),
        ("DispositionChoice", "disposition", "{1,64}"),
        ("Criterion", "key", "{1,40}"),
    ],
)
def test_patterns_are_told(document: dict[str, Any], schema: str, name: str, pattern: str) -> None:
    """A pattern behind a check of our own is lost in pydantic's schema: ours stand before it."""
    described = document["components"]["schemas"][schema]["properties"][name]

    assert pattern in str(next(part for part in parts(described) if "pattern" in part)["pattern"])


@pytest.mark.parametrize("value", [0, 0.5, "0.5", "1767225600", "2026-01-31", "", True])
def test_a_moment_is_written_out(value: object) -> None:
    """Seconds since 1970 and days are not taken for moments, on the socket and over HTTP."""
    with pytest.raises(ValidationError):
        TypeAdapter(Instant).validate_python(value)
    with pytest.raises(ValidationError):
        TypeAdapter(MessageSearch).validate_python({"text": "word", "since": value})
    with pytest.raises(ValidationError):
        TypeAdapter(PresenceSet).validate_python({"status": "busy", "until": value})


@pytest.mark.parametrize(
    "value", ["2026-01-31T09:00:00Z", "2026-01-31t09:00:00.5+02:00", "2026-01-31 09:00:00Z"]
)
def test_a_moment_as_it_is_written_is_taken(value: str) -> None:
    """With fractions and zones; and moments that Python made are left alone."""
    adapter: TypeAdapter[Any] = TypeAdapter(Instant)

    assert adapter.validate_python(value).tzinfo is not None
    assert adapter.validate_python(datetime(2026, 1, 31, tzinfo=UTC)).day == 31


@pytest.mark.parametrize("value", [0, 1, "true", "yes", None])
def test_only_true_and_false_are_flags(value: object) -> None:
    """As the document says: type boolean."""
    with pytest.raises(ValidationError):
        TypeAdapter(Flag).validate_python(value)
    with pytest.raises(ValidationError):
        TypeAdapter(MessageSearch).validate_python({"text": "word", "has_attachment": value})
