"""What is refused is kept as text, whatever it is."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.storing.rejects import MAX_CHARS, as_text

DEEP: Any = "bottom"
for _ in range(1_020):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"name": "Оля"}, '{"name":"Оля"}'),
        ({"name": "a\0b"}, r'{"name":"a\u0000b"}'),
        ({"name": "Оля\ud83d"}, r"{'name': 'Оля\ud83d'}"),
        ({"cause": float("inf")}, '{"cause":null}'),
        ("a\udce9", r"'a\udce9'"),
        (None, "null"),
        (2**70, str(2**70)),
    ],
)
def test_anything_is_printed_so_that_it_can_be_stored_and_read(said: Any, kept: str) -> None:
    """As JSON where JSON can say it."""
    assert as_text(said) == kept


@pytest.mark.parametrize("said", [DEEP, {"attrs": DEEP}, ["x" * 100_000], {"x" * 100_000: DEEP}])
def test_neither_depth_nor_length_is_too_much(said: Any) -> None:
    """What cannot be printed whole is cut; it is text that PostgreSQL takes."""
    text = as_text(said)

    assert 0 < len(text) <= MAX_CHARS
    assert text.encode()
