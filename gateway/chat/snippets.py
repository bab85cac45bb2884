"""Snippets of found messages: the part of the text to show, and where the words are in it.

Words are normalised as in realtime.search_words (a test compares the two), with the position of
each letter in the original text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.protocol.search import Span

MAX_LENGTH = 160
"""Code points of a snippet: two lines of a list on a phone."""
LEADING = 40
"""At most this many code points come before the first match."""
MAX_WORD = 64
"""Letters of a word that are compared; the rest is ignored."""

_SIMPLER = str.maketrans("ґłøđς", "гlodσ", "'’ʼ‘`")  # noqa: RUF001 - they are meant
_MARKS = re.compile("[\u0300-\u036f]+")
_BETWEEN = re.compile(
    "[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u00d7\u00f7\u0589\u05be\u060c\u061b"
    "\u061f\u06d4\u0964\u2000-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\ufe00-\uff0f\ufffc"
    "\ufffd\U0001f000-\U0001faff\U000e0000-\U000e0fff]+"
)


@dataclass(frozen=True, slots=True)
class SearchTerms:
    """The words that a message was searched by."""

    words: frozenset[str]
    prefix: str | None
    """The beginning of one more word; None when all words are whole."""

    def __contains__(self, word: str) -> bool:
        if word in self.words:
            return True
        return self.prefix is not None and word.startswith(self.prefix)


def snippet(text: str, wanted: SearchTerms) -> tuple[str, list[Span]]:
    """Return the part of text around its first match, and the matches within that part."""
    found = [span for word, span in words_of(text) if word in wanted]
    start = _start(text, found[0].start) if found else 0
    end = min(len(text), start + MAX_LENGTH)
    if end < len(text):
        end = _end(text, start, end)
    head, tail = "…" if start else "", "…" if end < len(text) else ""
    shift = len(head) - start
    shown = [
        Span(start=span.start + shift, end=span.end + shift) for span in found if span.end <= end
    ]
    return head + _one_line(text[start:end]) + tail, shown


def words_of(text: str) -> Iterator[tuple[str, Span]]:
    """Return the normalised words of text, and the position of each."""
    word, start, end = "", 0, 0
    for place, char in enumerate(text):
        for letter in _fold(char):
            if letter != " ":
                start = start if word else place
                word, end = word + letter, place + 1
            elif word:
                yield word[:MAX_WORD], Span(start=start, end=end)
                word = ""
        if word and unicodedata.combining(char):
            end = place + 1
    if word:
        yield word[:MAX_WORD], Span(start=start, end=end)


@lru_cache(maxsize=4_096)
def _fold(char: str) -> str:
    simpler = unicodedata.normalize("NFKD", char).lower().translate(_SIMPLER)
    return _BETWEEN.sub(" ", _MARKS.sub("", simpler))


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


def search_terms(words: Sequence[str], *, beginning: bool) -> SearchTerms:
    """Return the terms to mark; with `beginning` the last word is a prefix."""
    if beginning:
        return SearchTerms(frozenset(words[:-1]), words[-1])
    return SearchTerms(frozenset(words), None)
