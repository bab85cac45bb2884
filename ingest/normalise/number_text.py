"""The part of a text that is dialled: marks, display names, URIs and extensions are taken off.

numbers ─▶ dialled_part. Only texts are read here; what number it is, numbers decides. Every step
is linear, and a text is at most MAX_CHARS long.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

MAX_CHARS = 200
PLUS = frozenset("\u207a\u208a\u2795\ufb29\ufe62\uff0b")
HYPHENS = frozenset("\u02d7\u2043\u2052\u2053\u2212\u223c\u2796\u301c\u3030\u30fc\uff70")
"""Those that Unicode does not count as dashes. Japanese numbers are written with the last two."""
COMMAS = frozenset("\u060c\u061b\u1363\u1364\u3001")
HANGUL_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")
INVISIBLE = frozenset(("Cf", "Mn", "Me"))
"""Direction marks, joiners, soft hyphens; variation selectors and the keycap around an emoji."""
RESERVED_INVISIBLE = re.compile("[\u2065\ufff0-\ufff8\U000e0000-\U000e0fff]")

SCHEME = re.compile(r"[^\W\d_][\w+.-]*:(?://)?")
CONTEXT = re.compile(r";phone-context=([^;@>]*)", re.IGNORECASE)
SEPARATORS = re.compile(r"[\s().\-~\[\]'\"]+")
SUFFIX = re.compile(r"[^\W\d_]|[^\x00-\x7f]|[,;#*]")
"""Where an extension begins: `044 123-45-67 доб. 12`."""
PLAIN_NUMBER = re.compile(r"\+?[0-9]{1,25}")
MAX_SHORT = 6
SHORT = re.compile(rf"[0-9*#]{{1,{MAX_SHORT}}}")
NO_LETTERS = re.compile(r"[\W_]+")
PRIVACY_DOMAIN = ".invalid"
"""`sip:anonymous@anonymous.invalid` (RFC 3323)."""


@dataclass(frozen=True, slots=True)
class DialledPart:
    """What of a text is dialled."""

    words: str
    """In lower case, letters and digits alone: `private number`."""
    written: tuple[str, ...]
    """Digits with a + before them if there was one; of `044 1234567/68` also the first number."""
    short: str | None
    """It may be an extension or a code: `101`, `*98`."""
    context: str
    """RFC 3966: the global number that goes before a local one."""
    private: bool
    """Its host says that the number is withheld."""


def dialled_part(raw: str) -> DialledPart:
    """Read at most MAX_CHARS of a text."""
    if PLAIN_NUMBER.fullmatch(raw):  # as nearly all are: 1 µs instead of 12
        short = raw if len(raw) <= MAX_SHORT and raw.isdigit() else None
        return DialledPart(words=raw, written=(raw,), short=short, context="", private=False)
    text = _addressed(plain_text(raw[:MAX_CHARS]))
    found = CONTEXT.search(text)
    user, host = _user(text)
    compact = SEPARATORS.sub("", user).replace("/", "")
    return DialledPart(
        words=NO_LETTERS.sub(" ", user.casefold()).strip(),
        written=_written(user),
        short=compact if SHORT.fullmatch(compact) else None,
        context=SEPARATORS.sub("", found[1]) if found else "",
        private=host.casefold().endswith(PRIVACY_DOMAIN),
    )


def plain_text(raw: str) -> str:
    """Return the text with digits, plus signs, hyphens and spaces of ASCII, without marks."""
    if raw.isascii() and raw.isprintable():
        return raw.strip()
    return "".join(map(_plain, raw)).strip()


@lru_cache(maxsize=4_096)
def _plain(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else " " * character.isspace()
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if character in PLUS:
        return "+"
    if category == "Pd" or character in HYPHENS:
        return "-"
    if category in INVISIBLE or character in HANGUL_FILLERS or RESERVED_INVISIBLE.match(character):
        return ""
    if character in COMMAS:
        return ","
    compatible = unicodedata.normalize("NFKC", character)
    if compatible.isascii() and compatible.isprintable():
        # A raised or circled digit is a footnote and no part of the number.
        return character if category == "No" else compatible
    if category[0] == "Z" or category in {"Po", "So", "Sk", "Cc"}:
        return " "
    return character


def _addressed(text: str) -> str:
    """Return what is in the angle brackets of `"Name" <sip:…>;tag=…`; else the text."""
    _, bracket, address = text.rpartition("<")
    return address.partition(">")[0].strip() if bracket else text


def _user(text: str) -> tuple[str, str]:
    """Return the part of a URI that is dialled, and its host; of anything else the text."""
    scheme = SCHEME.match(text)
    user, at, host = text[scheme.end() if scheme else 0 :].partition("@")
    if not (scheme or at):
        return user, ""
    if at:
        user = user.partition(":")[0]  # behind it a password
    return plain_text(unquote(user.partition(";")[0])), re.split("[:;?]", host, maxsplit=1)[0]


def _written(user: str) -> tuple[str, ...]:
    head = SUFFIX.split(user, maxsplit=1)[0]
    found = (SEPARATORS.sub("", part) for part in (head.replace("/", ""), head.partition("/")[0]))
    return tuple(dict.fromkeys(one for one in found if one.lstrip("+").isdigit()))
