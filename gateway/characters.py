"""What Unicode's characters show: nothing, a line's end, another direction, an emoji or a text.

Python's data lacks the properties that are listed here (Default_Ignorable_Code_Point, and Emoji
without Emoji_Presentation); tests/unit/test_characters.py says what follows from them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

DEFAULT_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
"""Neither shown nor read: joiners, selectors, fillers, marks of direction."""

BLANK = frozenset("\u2800\U0001d159\U00016fe4")
"""An empty braille cell, a note without a head, a filler: they have a width and show nothing."""

SHOWN_FORMATS = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
"""Of category Cf, and shown all the same: Arabic number signs and their like."""

BIDI_CONTROLS = frozenset(
    "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
"""Control the writing direction: photo\u202egpj.exe is displayed as photoexe.jpg."""

LINE_ENDS_AND_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})

TEXT_BY_DEFAULT = re.compile(
    "([\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u2199\u21a9\u21aa\u2328\u23cf\u23ed-\u23ef\u23f1"
    "\u23f2\u23f8-\u23fa\u24c2\u25aa\u25ab\u25b6\u25c0\u25fb\u25fc\u2600-\u2604\u260e\u2611\u2618"
    "\u261d\u2620\u2622\u2623\u2626\u262a\u262e\u262f\u2638-\u263a\u2640\u2642\u265f\u2660\u2663"
    "\u2665\u2666\u2668\u267b\u267e\u2692\u2694-\u2697\u2699\u269b\u269c\u26a0\u26a7\u26b0\u26b1"
    "\u26c8\u26cf\u26d1\u26d3\u26e9\u26f0\u26f1\u26f4\u26f7-\u26f9\u2702\u2708\u2709\u270c\u270d"
    "\u270f\u2712\u2714\u2716\u271d\u2721\u2733\u2734\u2744\u2747\u2763\u2764\u27a1\u2934\u2935"
    "\u2b05-\u2b07\u3030\u303d\u3297\u3299\U0001f170\U0001f171\U0001f17e\U0001f17f\U0001f202"
    "\U0001f237\U0001f321\U0001f324-\U0001f32c\U0001f336\U0001f37d\U0001f396\U0001f397"
    "\U0001f399-\U0001f39b\U0001f39e\U0001f39f\U0001f3cb-\U0001f3ce\U0001f3d4-\U0001f3df\U0001f3f3"
    "\U0001f3f5\U0001f3f7\U0001f43f\U0001f441\U0001f4fd\U0001f549\U0001f54a\U0001f56f\U0001f570"
    "\U0001f573-\U0001f579\U0001f587\U0001f58a-\U0001f58d\U0001f590\U0001f5a5\U0001f5a8\U0001f5b1"
    "\U0001f5b2\U0001f5bc\U0001f5c2-\U0001f5c4\U0001f5d1-\U0001f5d3\U0001f5dc-\U0001f5de\U0001f5e1"
    "\U0001f5e3\U0001f5e8\U0001f5ef\U0001f5f3\U0001f5fa\U0001f6cb\U0001f6cd-\U0001f6cf"
    "\U0001f6e0-\U0001f6e5\U0001f6e9\U0001f6f0\U0001f6f3](?![\U0001f3fb-\U0001f3ff])"
    "|[0-9#*](?=\u20e3))"
)
"""Emoji that are shown as text unless U+FE0F follows, and the digits of keycaps."""

SELECTORS = re.compile("[\ufe00-\ufe0f]")
JOINER = "\u200d"
TAGS = range(0xE0020, 0xE0080)
"""They spell the region of a flag: England's, Wales'."""


def is_shown(char: str) -> bool:
    """Return whether a reader sees something of this character."""
    category = unicodedata.category(char)
    if category[0] == "Z" or category in {"Cc", "Cs"} or char in BLANK:
        return False
    if category == "Cf" and char not in SHOWN_FORMATS:
        return False
    return DEFAULT_IGNORABLE.match(char) is None


def shows_something(text: str) -> bool:
    """Return whether a reader sees something of this text; stops at the first that is shown."""
    return any(is_shown(char) for char in text)


@lru_cache(maxsize=1_024)
def one_form_of_emoji(text: str) -> str:
    """Return the form in which an emoji is stored: that of the list of emoji, fully qualified.

    Keyboards leave U+FE0F out, or put it where it changes nothing; some add joiners and spaces that
    nobody sees.
    """
    kept = "".join(
        char
        for char in SELECTORS.sub("", text)
        if char == JOINER or ord(char) in TAGS or DEFAULT_IGNORABLE.match(char) is None
    )
    # Only now: what stood between a letter and its mark is gone, and they may be one character.
    return TEXT_BY_DEFAULT.sub("\\1\ufe0f", unicodedata.normalize("NFC", kept.strip(JOINER)))
