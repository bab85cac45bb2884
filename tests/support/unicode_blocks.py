"""Members of Unicode, taken from every 128 code points of it: inputs of a kind, not one example."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator

BLOCK = 128


def code_points() -> Iterator[str]:
    """Give every character that this Python knows: no surrogates, nothing private or unassigned."""
    for code in range(1, 0x110000):
        if unicodedata.category(chr(code)) not in {"Cs", "Co", "Cn"}:
            yield chr(code)


def one_of_each_block(wanted: Callable[[str], bool], *, most: int = 1) -> list[str]:
    """Return the first `most` wanted characters of each block."""
    taken: dict[int, list[str]] = {}
    for char in code_points():
        block = taken.setdefault(ord(char) // BLOCK, [])
        if len(block) < most and wanted(char):
            block.append(char)
    return [char for block in taken.values() for char in block]


def is_letter(char: str) -> bool:
    return unicodedata.category(char)[0] == "L"


def is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] == "M"
