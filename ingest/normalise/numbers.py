"""The one reader of telephone numbers: of callers, dialled numbers, look-ups, filters and lists.

The normalisers, the gateway's look-ups and filters ─▶ read_number, e164. Any text is read, in
bounded time; a text that is no number is one, too. What a PBX sent is stored beside the number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberType

from ingest.normalise.number_text import MAX_CHARS, DialledPart, dialled_part

REGIONS: frozenset[str] = frozenset(phonenumbers.SUPPORTED_REGIONS)
ANONYMOUS = "anonymous"
"""What is stored and shown for a number that is withheld, whatever the PBX writes."""
WITHHELD = frozenset(
    ("anonymous", "anonymous caller", "anonym", "restricted", "private", "private number",
     "private caller", "unknown", "unknown caller", "unknown number", "unavailable",
     "not available", "number unavailable", "id unavailable", "withheld", "number withheld",
     "withheld number", "hidden", "hidden number", "blocked", "blocked number", "no caller id",
     "no callerid", "caller id blocked", "no number", "out of area", "prohibited", "undisclosed")
)  # fmt: skip
KEYS = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")
SPELLED = frozenset(
    (*(word.translate(KEYS) for word in WITHHELD if " " not in word), "656667773")
)  # fmt: skip
"""Twilio sends a word as the keys of a telephone: ANONYMOUS is +266696687. Where one of these is
a number, it is that number."""
MIN_ZEROS = 7
"""FreeSWITCH's caller without a number is 0000000000."""

MIN_DIGITS = 7  # fewer are extensions and short services, which cannot be called from abroad
MIN_SHORT_PLAN_DIGITS = 6
"""In a country without a trunk prefix, fewer if all its numbers are shorter."""
MAX_DIGITS = 25
TAIL_DIGITS = 9
OLD_PREFIXES = {380: ("8",), 375: ("8",), 373: ("8",), 995: ("8",), 52: ("1", "01", "044", "045")}
"""Country code → what people, contacts and trunks still write before the number. 8 was the trunk
prefix of the former USSR: `8 (044) 123-45-67`; +52 1 a Mexican mobile from abroad until 2019. What
phonenumberslite itself knows (Argentina's 15, carrier codes of Brazil) is not in here."""
ORDINARY = frozenset(
    (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
)


@dataclass(frozen=True, slots=True)
class NumberReading:
    """What a text says as a telephone number."""

    e164: str | None = None
    short: str | None = None
    """It may be an extension or a code, without marks and separators."""
    withheld: bool = False
    """It is what PBXs write for a caller whose number is withheld."""
    digits: str = ""
    """The digits of the number, or of what looks like one; no extension behind it."""


UNREADABLE = NumberReading()


def read_number(raw: str | None, region: str | None = None) -> NumberReading:
    """Read a text by the rules of a country; without one, only numbers with a country code."""
    return _read(raw, region) if raw and len(raw) <= MAX_CHARS else UNREADABLE


def e164(raw: str | None, region: str | None = None) -> str | None:
    """Return the number as `+380441234567`; region is the country of one without a code."""
    return read_number(raw, region).e164


def party_number(raw: str | None, region: str | None) -> dict[str, Any]:
    """Return a caller's or called number as attrs, as it came and in E.164."""
    reading = read_number(raw, region)
    return {
        "number_raw": ANONYMOUS if reading.withheld else raw,
        "number_e164": reading.e164,
    }


def by_last_digits(raw: str, region: str) -> str | None:
    """Return the number of this country with the last digits of a text that is no number."""
    digits = read_number(raw, region).digits
    code = phonenumbers.country_code_for_region(region)
    if len(digits) < TAIL_DIGITS or not code:
        return None
    return _valid(_parse(f"+{code}{digits[-TAIL_DIGITS:]}", None))


@lru_cache(maxsize=20_000)  # parsing takes 36 µs, and a call repeats its number 20 times
def _read(raw: str, region: str | None) -> NumberReading:
    part = dialled_part(raw)
    digits = part.written[0].lstrip("+") if part.written else ""
    if part.private or part.words in WITHHELD:
        return NumberReading(withheld=True)
    for number in _numbers(part, region):
        return NumberReading(e164=number, short=part.short, digits=digits)
    return NumberReading(short=part.short, withheld=_is_spelled(digits), digits=digits)


def _is_spelled(digits: str) -> bool:
    no_digit_but_zero = len(digits) >= MIN_ZEROS and not digits.strip("0")
    return no_digit_but_zero or digits in SPELLED or digits.removeprefix("1") in SPELLED


def _numbers(part: DialledPart, region: str | None) -> Iterator[str]:
    """Yield the valid numbers that it may be, the likeliest first."""
    for written in part.written:
        if len(written) > MAX_DIGITS:
            continue
        tried = []
        for number in _parsed(written, part.context, region):
            if valid := _valid(number):
                yield valid
            tried.append(number)
        for number in (old for one in tried for old in _without_old_prefix(one)):
            if valid := _valid(number):
                yield valid


def _parsed(written: str, context: str, region: str | None) -> Iterator[PhoneNumber | None]:
    """Yield it as dialled here, without its missing +, and with a + too many."""
    digits = written.lstrip("+")
    if len(digits) < MIN_DIGITS:
        if digits == written and region:
            yield _of_short_plan(digits, region)
        if context.startswith("+"):
            yield _parse(context + digits, None)
        return
    if digits != written:
        yield _parse(f"+{digits}", None)
        if not digits.startswith("0"):
            return
    elif context.startswith("+"):
        yield _parse(context + digits, None)
    abroad_first = digits == written and _has_country_code(digits, region)
    if abroad_first:
        yield _parse(f"+{digits}", None)
    if region:
        yield _parse(digits, region)
    if not abroad_first:
        yield _parse(f"+{digits}", None)


def _has_country_code(digits: str, region: str | None) -> bool:
    """Return whether it begins like a number from abroad and not, by a trunk prefix, from home.

    Trunks send 49151… for a German mobile, and 49151 is an area code, too.
    """
    plan = PhoneMetadata.metadata_for_region(region) if region else None
    if plan is None or not plan.national_prefix or digits.startswith(plan.national_prefix):
        return False
    return digits.startswith(str(plan.country_code))


def _of_short_plan(digits: str, region: str) -> PhoneNumber | None:
    """Return a national number of few digits, in a country where it is dialled like this.

    With a trunk prefix in the country, few digits without it are an extension or a local number.
    """
    plan = PhoneMetadata.metadata_for_region(region)
    if plan is None or plan.national_prefix or len(digits) < _shortest(plan):
        return None
    number = _parse(digits, region)
    return number if number and phonenumbers.number_type(number) in ORDINARY else None


def _shortest(plan: Any) -> int:
    examples = (kind.example_number for kind in (plan.fixed_line, plan.mobile) if kind)
    return min(MIN_SHORT_PLAN_DIGITS, *(len(one) for one in examples if one), MIN_DIGITS)


def _without_old_prefix(number: PhoneNumber | None) -> Iterator[PhoneNumber | None]:
    if number is None or number.country_code not in OLD_PREFIXES:
        return
    national = phonenumbers.national_significant_number(number)
    region = phonenumbers.region_code_for_country_code(number.country_code)
    for prefix in OLD_PREFIXES[number.country_code]:
        if national.startswith(prefix):
            yield _parse(national.removeprefix(prefix), region)


def _parse(text: str, region: str | None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None


def _valid(number: PhoneNumber | None) -> str | None:
    if number is None or not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def did_attrs(number: str | None, region: str | None) -> dict[str, Any]:
    """Return the attrs of the number that a caller dialled to reach us."""
    attrs = {"exten": number, "exten_e164": e164(number, region)}
    return {name: value for name, value in attrs.items() if value}
