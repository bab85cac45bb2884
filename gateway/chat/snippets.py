"""Snippets of found messages: the part of the text to show, and where the words are in it."""

from __future__ import annotations

import re
from collections.abc import Generator
from itertools import takewhile

from gateway.protocol.search import Span
from gateway.search_words import SearchTerms, first_match, words_from

MAX_LENGTH = 160
"""Code points of a snippet: two lines of a list on a phone."""
LEADING = 40
"""At most this many code points come before the first match."""


def snippet(text: str, wanted: SearchTerms) -> Generator[None, None, tuple[str, list[Span]]]:
    """Return the part of text around its first match, and the matches within that part.

    Yields often: a match at the end of a long text takes 1 to 18 ms to find.
    """
    match = yield from first_match(text, wanted)
    start = _start(text, match or 0)
    end = min(len(text), start + MAX_LENGTH)
    if end < len(text):
        end = _end(text, start, end)
    head, tail = "…" if start else "", "…" if end < len(text) else ""
    shift = len(head) - start
    words = (
        [] if match is None else takewhile(lambda word: word.end <= end, words_from(text, match))
    )
    shown = [
        Span(start=word.start + shift, end=word.end + shift)
        for word in words
        if word.letters in wanted
    ]
    return head + _one_line(text[start:end]) + tail, shown


def _start(text: str, match: int) -> int:
    """Return where the snippet begins: a little before the match, at the start of a word."""
    if match <= LEADING:
        return 0
    space = text.find(" ", match - LEADING, match)
    return space + 1 if space >= 0 else match - LEADING


def _end(text: str, start: int, end: int) -> int:
    """Return where the snippet ends: between two words, if one begins in its second half."""
    space = text.rfind(" ", start + (end - start) // 2, end + 1)
    return space if space >= 0 else end


def _one_line(text: str) -> str:
    """Replace each line break by one space: offsets stay right."""
    return re.sub(r"\s", " ", text)
