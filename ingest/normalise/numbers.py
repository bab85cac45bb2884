"""Telephone numbers to E.164; None when there is no number to call back.

The normalisers ─▶ e164. The number as the PBX sent it is always stored beside it.
"""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers

NOT_A_NUMBER = frozenset(
    ("", "anonymous", "restricted", "private", "unknown", "unavailable", "withheld", "<unknown>")
)
MIN_DIGITS = 7  # fewer are extensions and short services, which cannot be called from abroad
MAX_CHARS = 40
OLD_TRUNK_PREFIX = {"UA": "8", "BY": "8", "MD": "8", "GE": "8", "KZ": "8"}
"""People still write `8 (044) 123-45-67`: 8 was the trunk prefix in the former USSR."""

SEPARATORS = re.compile(r"[\s().\-/]+")
SUFFIX = re.compile(r"[^\W\d_]|[,;#]")
"""Where an extension begins: `044 123-45-67 доб. 12`."""
TAIL_DIGITS = 9
REGIONS: frozenset[str] = frozenset(phonenumbers.SUPPORTED_REGIONS)
SIP_URI = re.compile(r"^(?:sips?|tel):([^@;]+)", re.IGNORECASE)


@lru_cache(maxsize=20_000)  # parsing takes 36 µs, and a call repeats its number 20 times
def e164(raw: str | None, region: str | None = None) -> str | None:
    """Return the number as `+380441234567`; region is the country of one without a code."""
    digits = _plain(raw)
    if digits is None:
        return None
    valid = (_valid(text, region) for text in _readings(digits, region))
    return next((number for number in valid if number), None)


def is_withheld(raw: str) -> bool:
    """Return whether this is what PBXs write for a caller who withholds the number."""
    return raw.strip().lower() in NOT_A_NUMBER


def without_suffix(raw: str) -> str:
    """Return what stands before the first letter, comma, semicolon or #."""
    return SUFFIX.split(raw, maxsplit=1)[0].strip()


def by_last_digits(raw: str, region: str) -> str | None:
    """Return the number of this country with the last digits of a text that is no number."""
    digits = re.sub(r"[^0-9]", "", without_suffix(raw))
    code = phonenumbers.country_code_for_region(region)
    if len(digits) < TAIL_DIGITS or not code:
        return None
    return _valid(f"+{code}{digits[-TAIL_DIGITS:]}", None)


def _plain(raw: str | None) -> str | None:
    text = (raw or "").strip()
    if text.lower() in NOT_A_NUMBER or len(text) > MAX_CHARS:
        return None
    if uri := SIP_URI.match(text):
        text = uri[1]
    text = SEPARATORS.sub("", text)
    plus, digits = text.startswith("+"), text.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or len(digits) < MIN_DIGITS:
        return None
    return f"+{digits}" if plus else digits


def _readings(digits: str, region: str | None) -> list[str]:
    """Return ways to read it, the likeliest first: as dialled here, without its +, the old way."""
    if digits.startswith("+"):
        return [digits]
    readings = [digits] if region else []
    readings.append(f"+{digits}")
    old = OLD_TRUNK_PREFIX.get(region or "")
    if old and digits.startswith(old):
        readings.append(digits.removeprefix(old))
    return readings


def _valid(text: str, region: str | None) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
