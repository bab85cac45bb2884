"""Search words: a text's words as they are compared, the same as realtime.search_words makes them.

Every character becomes letters, a space or nothing, whatever stands beside it; so a whole text is
translated in C, and one of its words is found in it by the lengths of what its characters became.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import accumulate

MAX_WORD = 64
"""Letters of a word that are compared; the rest is ignored."""
PART = 512
"""Code points that are translated at once: what is looked for is mostly found in the first."""
ALPHABETS = 0x3000
"""Most code points above are Chinese, or unassigned, and become what they are."""

_SIMPLER = str.maketrans("ґłøđς", "гlodσ", "'’ʼ‘`")  # noqa: RUF001 - they are meant
_MARKS = re.compile("[\u0300-\u036f]+")
_BETWEEN = re.compile(
    "[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u00d7\u00f7\u0589\u05be\u060c\u061b"
    "\u061f\u06d4\u0964\u2000-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\ufe00-\uff0f\ufffc"
    "\ufffd\U0001f000-\U0001faff\U000e0000-\U000e0fff]+"
)
_SPACE = re.compile(r"\s")
"""Characters between words, all of which become one space."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it is compared, and its place in the text, `end` excluded."""

    letters: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SearchTerms:
    """The words that a message was searched by."""

    words: frozenset[str]
    prefix: str | None
    """The beginning of one more word; None when all words are whole."""

    @classmethod
    def of(cls, words: Collection[str], *, beginning: bool) -> SearchTerms:
        """Return the terms of these words; with `beginning` the last one is a prefix."""
        *others, last = words
        return cls(frozenset(others), last) if beginning else cls(frozenset(words), None)

    def __contains__(self, word: str) -> bool:
        return word in self.words or (self.prefix is not None and word.startswith(self.prefix))


class _Letters(dict[int, str]):
    """Code point → what it becomes. Filled as characters occur, with some 40,000 at most."""

    def __missing__(self, code: int) -> str:
        letters = _letters(chr(code))
        if code < ALPHABETS or letters != chr(code):
            self[code] = letters
        return letters


def _letters(char: str) -> str:
    simpler = unicodedata.normalize("NFKD", char).lower().translate(_SIMPLER)
    return _BETWEEN.sub(" ", _MARKS.sub("", simpler))


_LETTERS = _Letters()


def search_words(text: str) -> list[str]:
    """Return the words of text as they are compared."""
    return [word[:MAX_WORD] for word in text.translate(_LETTERS).split()]


def first_match(text: str, wanted: SearchTerms) -> int | None:
    """Return where the first wanted word begins; None when there is none.

    The cost is that of the text up to the match, in C: about 0.1 µs a code point.
    """
    start = 0
    while start < len(text):
        space = _SPACE.search(text, start + PART)
        end = space.start() if space else len(text)
        place = _first_match(text[start:end], wanted)
        if place is not None:
            return start + place
        start = end
    return None


def _first_match(text: str, wanted: SearchTerms) -> int | None:
    words = text.translate(_LETTERS).split(" ")
    for number, word in enumerate(words):
        if word[:MAX_WORD] in wanted:
            letters_before = sum(map(len, words[:number])) + number
            lengths = accumulate(len(_LETTERS[ord(char)]) for char in text)
            return bisect_right(list(lengths), letters_before)
    return None


def words_from(text: str, start: int) -> Iterator[Word]:
    """Return the words of text from here, one after the other."""
    letters, began, end = "", start, start
    for place in range(start, len(text)):
        became = _LETTERS[ord(text[place])]
        first, *others = became.split(" ")
        if first:
            began = began if letters else place
            letters, end = letters[:MAX_WORD] + first, place + 1
        elif letters and not others and unicodedata.combining(text[place]):
            end = place + 1
        for more in others:
            if letters:
                yield Word(letters[:MAX_WORD], began, end)
            letters, began, end = more, place, place + 1
    if letters:
        yield Word(letters[:MAX_WORD], began, end)
