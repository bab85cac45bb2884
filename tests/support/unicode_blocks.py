"""Members of Unicode, taken from every 128 code points of it: inputs of a kind, not one example."""

from __future__ import annotations

import functools
import sys
import unicodedata
from collections.abc import Callable

BLOCK = 128


@functools.cache
def code_points() -> str:
    """Return all characters that this Python knows: no surrogates, nothing private or unassigned.

    Like all that reads them, it takes so long that no module does so while it is imported.
    """
    every = map(chr, range(1, sys.maxunicode + 1))
    return "".join(char for char in every if unicodedata.category(char) not in {"Cs", "Co", "Cn"})


def one_of_each_block(wanted: Callable[[str], bool], *, most: int = 1) -> list[str]:
    """Return the first `most` wanted characters of each block."""
    chosen: list[str] = []
    block, taken = -1, 0
    for char in code_points():
        if ord(char) // BLOCK != block:
            block, taken = ord(char) // BLOCK, 0
        if taken < most and wanted(char):
            taken += 1
            chosen.append(char)
    return chosen


def is_letter(char: str) -> bool:
    return unicodedata.category(char)[0] == "L"


def is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] == "M"
