# ruff: noqa: RUF001 - letters that look alike are the subject
"""What a character becomes when words are compared: letters, a space, or nothing.

From Unicode's data: compatibility decomposition (NFKD), full case folding, without the marks of any
script and without what is ignorable by default; then letters that are typed for each other. Applied
by search_words.py, and by realtime.search_words, which tests/support/search_words_sql.py writes.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

from gateway.characters import DEFAULT_IGNORABLE

APOSTROPHES = frozenset("'`´‘’‛′ʹʻʼʽʾʿˈ՚׳\ua78b\ua78c")
"""They have no counterpart, unlike quotation marks: п'ять, п’ять and пять are one word."""
STRETCHERS = frozenset("\u0640\u07fa")
"""Tatweel: it makes a word longer to look at."""
IOTA_SUBSCRIPT = "\u0345"
"""The only mark that has a letter for a capital."""

SAME = str.maketrans(
    {
        # Latin letters that neither decompose nor are named after another.
        "æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "ŋ": "n", "ə": "e",
        # Persian and Urdu letters beside their Arabic ones; alef maksura, teh marbuta, alef wasla.
        "\u06cc": "\u064a", "\u0649": "\u064a", "\u06a9": "\u0643", "\u06aa": "\u0643",
        "\u06c1": "\u0647", "\u06be": "\u0647", "\u06d5": "\u0647", "\u0629": "\u0647",
        "\u06c3": "\u0647", "\u0671": "\u0627",
        # Yiddish digraphs.
        "\u05f0": "\u05d5\u05d5", "\u05f1": "\u05d5\u05d9", "\u05f2": "\u05d9\u05d9",
    }
)  # fmt: skip
"""Letters that are typed for each other, according to the keyboard or the language."""

NAMED_AFTER = (
    # ø, ł, đ, ґ, қ: O, L, D WITH STROKE, GHE WITH UPTURN, KA WITH DESCENDER.
    (re.compile(r"((?:LATIN|CYRILLIC) SMALL LETTER .+?) WITH .+"), r"\1"),
    (re.compile(r"(LATIN SMALL LETTER) DOTLESS (.)"), r"\1 \2"),
    (re.compile(r"(HEBREW LETTER) FINAL (.+)"), r"\1 \2"),
    (re.compile(r"KATAKANA LETTER (.+)"), r"HIRAGANA LETTER \1"),
)
"""Names of letters → of those that are typed instead. A letter may have no such other."""


SCRIPTS = ("LATIN ", "CYRILLIC ", "HEBREW ", "KATAKANA ")
FILLERS = frozenset("\u115f\u1160\u3164\uffa0")
"""Letters without case that show nothing: the ignorable ones of category Lo."""
TYPED = 0x3100
"""Letters up to here are on keyboards; those above, some of them new, are no one's simpler form."""
WITH_OTHERS = re.compile("[\u05d0-\u05ea\u30a1-\u30fa\u31f0-\u31ff]")
"""Letters without case that are named after others: Hebrew and Katakana."""


def letters_of(char: str, data: Any = unicodedata) -> str:
    """Return what this character becomes; `data` is `unicodedata` of the wanted version.

    A code point that is not assigned, or private, stays as it is. Takes 1 µs for an ideograph and
    up to 10 for a letter with a case, of which there are 4,000.
    """
    if char in APOSTROPHES:
        return ""
    parts = data.normalize("NFKD", char)
    if parts == char:
        return _letters(char, data)
    return "".join([_letters(part, data) for part in parts])


@lru_cache(maxsize=4_096)
def _letters(char: str, data: Any) -> str:
    category = data.category(char)
    if category == "Lo" and not WITH_OTHERS.match(char):
        return "" if char in FILLERS else SAME.get(ord(char), char)
    if char == IOTA_SUBSCRIPT:
        return "ι"
    if (
        char in APOSTROPHES
        or char in STRETCHERS
        or category[0] == "M"
        or DEFAULT_IGNORABLE.match(char)
    ):
        return ""
    if category in {"Cn", "Co"}:
        return char
    if category[0] not in "LN":
        return " "
    if (digit := data.digit(char, None)) is not None:
        return str(digit)
    folded = data.normalize("NFKD", _case_folded(char, data))
    letters = (_plain(one, data) for one in folded if data.category(one)[0] != "M")
    return "".join(letters).translate(SAME)


def _case_folded(char: str, data: Any) -> str:
    """Return char.casefold(), for a letter that is newer than this Python as well."""
    folded = char.casefold()
    if folded != char or data is unicodedata:
        return folded
    name = data.name(char, "")
    if " CAPITAL LETTER " in name:
        try:
            folded = data.lookup(name.replace(" CAPITAL ", " SMALL "))
        except KeyError:
            return char  # a capital without a small letter, as in Cherokee
    return folded


def _plain(char: str, data: Any) -> str:
    """Return the letters of the one that this is named after, or itself."""
    name = data.name(char, "")
    if not name.startswith(SCRIPTS):
        return char
    for pattern, other in NAMED_AFTER:
        if pattern.fullmatch(name):
            try:
                plain = data.lookup(pattern.sub(other, name))
            except KeyError:
                continue
            if ord(plain) < TYPED:
                return letters_of(plain, data)
    return char
