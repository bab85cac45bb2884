"""Search words: a text's words as they are compared, the same as realtime.search_words makes them.

Every character becomes letters, a space or nothing, whatever stands beside it
(gateway/search_letters.py); so a whole text is translated in C, and one of its words is found in it
by the lengths of what its characters became.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from gateway.search_letters import letters_of

MAX_WORD = 64
"""Letters of a word that are compared; the rest is ignored."""
PART = 512
"""Code points that are translated at once: what is looked for is mostly found in the first."""
ALPHABETS = 0xA000
"""Most code points above are rare, or unassigned, and become what they are."""
CASED = 0x2000
"""Most letters with a case, whose forms take longest to find out, are below."""
IDEOGRAPHS = 0x20000
"""From here on are ideographs, and nothing else but in these blocks of 4,096."""
IDEOGRAPHS_AND_OTHERS = frozenset({0x2F, 0xE0})


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
    """Code point → what it becomes. Filled as characters occur, with some 70,000 at most."""

    def __missing__(self, code: int) -> str:
        if code >= IDEOGRAPHS and code >> 12 not in IDEOGRAPHS_AND_OTHERS:
            return chr(code)
        letters = letters_of(chr(code))
        if code < ALPHABETS or letters != chr(code):
            self[code] = letters
        return letters


_LETTERS = _Letters()
for _code in range(CASED):  # 15 ms, which a text of such letters would take when it comes first
    _LETTERS[_code]


def search_words(text: str) -> list[str]:
    """Return the words of text as they are compared."""
    return [word[:MAX_WORD] for word in text.translate(_LETTERS).split()]


def first_match(text: str, wanted: SearchTerms) -> Generator[None, None, int | None]:
    """Return where the first wanted word begins, None when there is none; yield after each part.

    The cost is that of the text up to the match, in C: about 0.1 µs a code point.
    """
    carried, began = "", 0  # of a word that goes on in the next part
    for start in range(0, len(text), PART):
        part = text[start : start + PART]
        words = part.translate(_LETTERS).split(" ")
        is_last_part = start + PART >= len(text)
        for number, letters in enumerate(words):
            word = (carried + letters)[:MAX_WORD]
            goes_on = number == len(words) - 1 and not is_last_part
            if (goes_on or word in wanted) and letters and not carried:
                began = start + _place(part, words, number)
            if goes_on:
                carried = word
            elif word in wanted:
                return began
            else:
                carried = ""
        yield
    return None


def _place(text: str, words: Sequence[str], number: int) -> int:
    """Return where the letters of this word begin in text."""
    letters_before = sum(map(len, words[:number])) + number
    lengths = accumulate(len(_LETTERS[ord(char)]) for char in text)
    return bisect_right(list(lengths), letters_before)


def words_from(text: str, start: int) -> Iterator[Word]:
    """Return the words of text from here, one after the other."""
    letters, began, end = "", start, start
    for place in range(start, len(text)):
        became = _LETTERS[ord(text[place])]
        first, *others = became.split(" ")
        if first:
            began = began if letters else place
            letters, end = letters[:MAX_WORD] + first, place + 1
        elif letters and not others and unicodedata.category(text[place])[0] == "M":
            end = place + 1
        for more in others:
            if letters:
                yield Word(letters[:MAX_WORD], began, end)
            letters, began, end = more, place, place + 1
    if letters:
        yield Word(letters[:MAX_WORD], began, end)
