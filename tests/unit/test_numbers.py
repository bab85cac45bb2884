"""One reader of telephone numbers: as people, trunks, URIs and other scripts write them."""

from __future__ import annotations

import sys
import unicodedata
from collections import defaultdict
from functools import cache
from itertools import cycle

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneMetadata, PhoneNumberFormat, PhoneNumberType

from ingest.normalise.number_text import COMMAS, HYPHENS, MAX_CHARS, PLUS
from ingest.normalise.numbers import (
    REGIONS,
    WITHHELD,
    NumberReading,
    by_last_digits,
    e164,
    party_number,
    read_number,
)

NUMBER = "+380671234567"
FORMS = (
    "{plus}380671234567",
    "{plus}38 (067) 123-45-67",
    "067 123-45-67",
    "0671234567",
    "380671234567",
    "00380671234567",
    "8 (067) 123-45-67",
    "{plus}38 (0) 67 123 45 67",
    "067/1234567",
    "067.123.45.67 доб. 12",
    "067 123 45 67 ext. 12",
    "067 123 45 67, 0501112233",
    "(067) 123 45 67#12",
    "sip:{plus}380671234567@ims.carrier.example;user=phone",
    "sips:0671234567@10.0.0.1:5061;transport=tls?Subject=x",
    "SIP:{plus}380671234567:secret@carrier.example",
    "tel:{plus}380-67-123-45-67;ext=12",
    "tel:0671234567;phone-context={plus}380",
    "sip:671234567;phone-context={plus}380@carrier.example;user=phone",
    "tel:067-123-45-67;phone-context=carrier.example",
    '"Іван <Ivan>" <sip:{plus}380671234567@carrier.example;user=phone>;tag=4711',
    "Ivan <tel:{plus}380671234567>",
    "<{plus}380671234567>",
    "whatsapp:{plus}380671234567",
    "sip:%2B380671234567@carrier.example",
    "{plus}380671234567@carrier.example",
    "{plus}0671234567",
    "067 1234567/68",
)
"""One number in many forms, as read in Ukraine."""


@cache
def by_category() -> dict[str, list[str]]:
    """All characters of Unicode by their category."""
    found: dict[str, list[str]] = defaultdict(list)
    for character in map(chr, range(sys.maxunicode + 1)):
        found[unicodedata.category(character)].append(character)
    return found


def of_category(*categories: str) -> list[str]:
    return [one for category in categories for one in by_category()[category]]


def zeros() -> list[str]:
    """The digit zero of each block of Unicode that has digits of its own."""
    return [one for one in of_category("Nd") if unicodedata.decimal(one) == 0]


def in_script(text: str, zero: str) -> str:
    return "".join(chr(ord(zero) + int(c)) if c.isascii() and c.isdigit() else c for c in text)


def marked(text: str, mark: str) -> str:
    """Put a mark before, behind and between all characters of a text."""
    return mark + mark.join(text) + mark


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_number_in_the_digits_of_every_script(form: str) -> None:
    """Seventy blocks of Unicode have digits, some of them two sets; all plus signs are one."""
    scripts = zeros()

    read = {e164(in_script(form.format(plus="+"), zero), "UA") for zero in scripts}

    assert len(scripts) > 60
    assert read == {NUMBER}
    assert {e164(form.format(plus=plus), "UA") for plus in PLUS} == {NUMBER}


@pytest.mark.parametrize("form", FORMS[:13])
def test_no_mark_space_or_hyphen_hides_a_number(form: str) -> None:
    """Direction marks, joiners, soft hyphens, variation selectors, every space and every dash."""
    text = form.format(plus="+")
    marks = [one for one in of_category("Cf", "Me") if one != "\N{ARABIC NUMBER SIGN}"]
    marks += [chr(code) for code in (0xFE0F, 0x34F, 0x20E3, 0x115F, 0x3164, 0xE0100, 0xE0020)]

    for mark in marks:
        assert e164(marked(text, mark), "UA") == NUMBER, ascii(mark)
    for space in [*of_category("Zs", "Zl", "Zp"), "\t", "\r\n"]:
        assert e164(text.replace(" ", space), "UA") == NUMBER, ascii(space)
    for hyphen in [*of_category("Pd"), *HYPHENS]:
        assert e164(text.replace("-", hyphen), "UA") == NUMBER, ascii(hyphen)


def test_a_comma_of_any_script_ends_a_number() -> None:
    """What follows is another number."""
    for comma in [*COMMAS, ",", ";", "\uff0c", "\uff1b"]:
        assert e164(f"067 123 45 67{comma} 050 111 22 33", "UA") == NUMBER, ascii(comma)


@pytest.mark.parametrize("region", sorted(REGIONS))
def test_the_numbers_of_every_country_are_read_as_they_are_written_there(region: str) -> None:
    """In E.164, internationally, nationally and as a URI: fixed lines and mobiles."""
    for kind in (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE):
        number = phonenumbers.example_number_for_type(region, kind)
        if number is None:
            continue
        wanted = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        uri = phonenumbers.format_number(number, PhoneNumberFormat.RFC3966)
        written = {
            "E.164": wanted,
            "without +": wanted.removeprefix("+"),
            "international": phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL),
            "RFC 3966": uri,
            "SIP": f"sip:{wanted}@carrier.example;user=phone",
        }
        if written_at_home(region, number):
            written["national"] = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
        for name, text in written.items():
            assert e164(text, region) == wanted, (name, text)


def written_at_home(region: str, number: phonenumbers.PhoneNumber) -> bool:
    """Whether its national form has more digits than an extension."""
    plan = PhoneMetadata.metadata_for_region(region)
    digits = phonenumbers.national_significant_number(number)
    return len(digits) >= 7 or (plan is not None and plan.national_prefix is None)


@pytest.mark.parametrize(
    ("region", "raw", "number"),
    [
        ("LU", "27 27 27", "+352272727"),
        ("AD", "821234", "+376821234"),
        ("FO", "20 12 34", "+298201234"),
        ("NC", "25.40.00", "+687254000"),
        ("GL", "32 10 00", "+299321000"),
        ("FK", "31234", "+50031234"),
        ("NU", "4002", "+6834002"),
        ("LU", "4012", None),
        ("DE", "301234", None),
        ("PL", "221234", None),
        ("UA", "101234", None),
        ("UA", "272727", None),
        (None, "272727", None),
    ],
)
def test_few_digits_are_a_number_only_where_numbers_are_short(
    region: str | None, raw: str, number: str | None
) -> None:
    """Elsewhere, and with fewer digits, they are an extension: 301234 is one in Germany."""
    assert e164(raw, region) == number
    assert read_number(raw, region).short is not None or " " in raw or "." in raw


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("+5215512345678", "+525512345678"),
        ("+52 1 55 1234 5678", "+525512345678"),
        ("+525512345678", "+525512345678"),
        ("5215512345678", "+525512345678"),
        ("00 52 1 55 1234 5678", "+525512345678"),
        ("sip:+5215512345678@carrier.example", "+525512345678"),
        ("+54 11 15 2345-6789", "+5491123456789"),
        ("+54 9 11 2345-6789", "+5491123456789"),
    ],
)
def test_a_number_with_a_former_prefix_is_the_number(raw: str, number: str) -> None:
    """A Mexican mobile was +52 1 from abroad until 2019; Argentina's has 15 at home."""
    assert e164(raw, "UA") == number


@pytest.mark.parametrize("prefix", ["", "01", "044", "045", "+52 1", "52 1"])
def test_a_mexican_number_is_one_number_with_every_former_prefix(prefix: str) -> None:
    """Ten digits are dialled since 2019, and contacts keep what was dialled before."""
    assert e164(f"{prefix} 55 1234 5678", "MX") == "+525512345678"


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("+380671234567", "+380671234567"),
        ("8 (044) 123-45-67", "+380441234567"),
        ("80441234567", "+380441234567"),
        ("48221234567", "+48221234567"),
        ("anonymous", None),
        ("", None),
        (None, None),
        ("101", None),
        ("sip-user.name", None),
        ("1" * 100, None),
        ("999 0671234567", None),
        ("call me ☎", None),
    ],
)
def test_numbers_as_people_and_trunks_write_them(raw: str | None, number: str | None) -> None:
    """To E.164 with the region's habits; what is no number is None."""
    assert e164(raw, "UA") == number


def test_without_a_region_only_international_numbers_are_read() -> None:
    """Guessing a country would match a stranger."""
    assert e164(NUMBER) == NUMBER
    assert e164("0671234567") is None


@pytest.mark.parametrize("word", sorted(WITHHELD))
def test_a_withheld_number_is_anonymous_however_it_is_written(word: str) -> None:
    """Words of Asterisk, FreeSWITCH and carriers, in any case, in brackets and in URIs."""
    texts = (word, word.upper(), word.title(), f"<{word}>", word.replace(" ", "_"),
             f'"{word}" <sip:{word.replace(" ", ".")}@carrier.example>',
             f"\u202a{word}\u202c")  # fmt: skip

    for text in texts:
        assert read_number(text, "UA").withheld, text
        assert party_number(text, "UA") == {"number_raw": "anonymous", "number_e164": None}


@pytest.mark.parametrize(
    "raw",
    [
        "+266696687",  # ANONYMOUS
        "+1 266696687",
        "+86282452253",  # UNAVAILABLE
        "+7378742833",  # RESTRICTED
        "+2562533",  # BLOCKED
        "+8656696",  # UNKNOWN
        "+656667773",
        "sip:+266696687@twilio.example",
        "0000000000",
        "sip:anonymous@anonymous.invalid",
        '"Ivan" <sip:c8oqz84zk7z@privacy.invalid>',
    ],
)
def test_a_withheld_number_in_digits_is_anonymous(raw: str) -> None:
    """Twilio spells a word on the keys of a telephone; FreeSWITCH sends zeros."""
    for region in ("UA", "PL", "US", None):
        assert read_number(raw, region).withheld, region
        assert e164(raw, region) is None


def test_a_number_that_spells_a_word_is_a_number_where_it_is_one() -> None:
    """Without a +: 656 667 773 is dialled in Ukraine, 266 696 687 in Poland and not in Ukraine."""
    assert read_number("266696687", "PL").e164 == "+48266696687"
    assert read_number("266696687", "UA").withheld
    assert read_number("656667773", "UA").e164 == "+380656667773"
    assert read_number("774 8483", "IS").e164 == "+3547748483"


def test_an_extension_is_read_without_marks() -> None:
    """As a PBX, a URI or somebody's clipboard has it."""
    for raw in (
        "101",
        "\u202a101\u202c",
        in_script("101", "\u0660"),
        "sip:101@10.0.0.1",
        " 1-0-1 ",
        '"A" <101>',
    ):
        assert read_number(raw, "UA").short == "101", ascii(raw)
    assert read_number("*98", "UA").short == "*98"


def test_the_last_digits_of_a_wrong_number_are_read_in_every_script() -> None:
    """For candidates, where the text is no number as a whole."""
    assert by_last_digits("999 0671234567", "UA") == NUMBER
    assert by_last_digits(in_script("999 0671234567", "\u0660"), "UA") == NUMBER
    assert by_last_digits("1234567", "UA") is None


@given(st.text(max_size=MAX_CHARS + 20), st.sampled_from(["UA", "LU", "MX", "US", None]))
def test_any_text_is_read_and_what_is_read_is_a_number(raw: str, region: str | None) -> None:
    """It never fails; a number that was found is itself in every country."""
    number = read_number(raw, region).e164

    if number is not None:
        assert phonenumbers.is_valid_number(phonenumbers.parse(number))
        assert {e164(number, other) for other in ("UA", "LU", None)} == {number}


@pytest.mark.parametrize("pattern", ["1", "+", "<", "(-", "%2B", ";phone-context=", "sip:", "a@"])
def test_a_hostile_text_is_not_read_at_all(pattern: str) -> None:
    """Nothing of a text of a million characters is parsed, and what is parsed has few digits."""
    long = "".join(piece for piece, _ in zip(cycle(pattern), range(1_000_000), strict=False))

    assert read_number(long, "UA") == NumberReading()
    assert e164(long[:MAX_CHARS], "UA") is None
