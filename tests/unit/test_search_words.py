# ruff: noqa: RUF001 - letters that look alike are the subject
"""Words are compared by Unicode's data: case, marks, widths, what is not shown, languages."""

from __future__ import annotations

import functools
import random

import pytest

from gateway.characters import DEFAULT_IGNORABLE
from gateway.search_letters import IOTA_SUBSCRIPT, letters_of
from gateway.search_words import SearchTerms, first_match, search_words, words_from
from tests.support.steps import result_of
from tests.support.unicode_blocks import code_points, is_letter, is_mark, one_of_each_block


@functools.cache
def letters() -> list[str]:
    return one_of_each_block(is_letter, most=3)


@functools.cache
def marks() -> list[str]:
    return one_of_each_block(lambda char: is_mark(char) and char != IOTA_SUBSCRIPT, most=3)


def cases(char: str) -> set[str]:
    return {char, char.upper(), char.lower(), char.casefold(), char.title()}


@pytest.mark.parametrize(
    "spellings",
    [
        ("Işıklar", "ışıklar", "ISIKLAR", "IŞIKLAR", "İşİklar"),
        ("Großstraße", "GROSSSTRASSE", "grossstrasse", "GROẞSTRAẞE"),
        ("مُحَمَّد", "محمد", "محمـــد"),
        ("هندى", "هندي", "هندی"),
        ("كتاب", "کتاب"),
        ("مدرسة", "مدرسه"),
        ("أحمد", "احمد", "ٱحمد"),
        ("שָׁלוֹם", "שלום", "שלומ"),
        ("so\u00adft", "soft", "so\u200bft", "s\u2060oft", "\ufeffsoft"),
        ("می\u200cشود", "میشود"),
        ("п'ять", "п’ять", "пʼять", "п`ять", "п´ять", "п′ять", "ПЯТЬ"),
        ("Ґанок", "ганок", "ГАНОК"),
        ("Łódź", "LODZ"),
        ("Søren", "soren"),
        ("Việt", "VIET", "Vie\u0323\u0302t"),
        ("Қазақ", "казак"),
        ("Æther", "AETHER", "æther"),
        ("Þór", "thor"),
        ("Ὀδυσσεύς", "ΟΔΥΣΣΕΥΣ", "οδυσσευσ"),
        ("ᾳδης", "ΑΙΔΗΣ"),
        ("ﬁnal", "FINAL", "ﬁNAL"),
        ("ＡＢＣ", "abc", "𝐀𝐁𝐂", "🄰🄱🄲"),
        ("カタカナ", "かたかな", "ｶﾀｶﾅ"),
        ("한국", "한국"),
        ("ყველა", "ᲧᲕᲔᲚᲐ"),
        ("١٢٣", "123", "۱۲۳", "१२३", "１２３", "①②③"),
        ("हिन्दी", "हिन्दी\u200d"),
    ],
    ids=lambda spellings: spellings[0],
)
def test_spellings_of_one_word(spellings: tuple[str, ...]) -> None:
    """However it is typed, it is the same word."""
    assert {tuple(search_words(one)) for one in spellings} == {tuple(search_words(spellings[-1]))}
    assert len(search_words(spellings[0])) == 1


def test_case_does_not_count() -> None:
    """Of letters of each block: capital, small, title and folded forms are one word."""
    for char in letters():
        assert len({tuple(search_words(f"a{one}b")) for one in cases(char)}) == 1, ascii(char)


def test_marks_and_what_is_not_shown_do_not_count() -> None:
    """Of each block, between letters of each: found with and without it."""
    not_shown = one_of_each_block(lambda char: bool(DEFAULT_IGNORABLE.match(char)), most=3)
    for extra in marks() + not_shown:
        assert search_words(f"до{extra}м") == ["дом"], ascii(extra)
    for char in letters():
        assert search_words(f"{char}\u0301\u200b{marks()[-1]}") == search_words(char), ascii(char)


def test_spaces_part_words() -> None:
    """Whatever Python takes as space, so a text may be cut there."""
    for space in one_of_each_block(str.isspace, most=8):
        assert search_words(f"a{space}b") == ["a", "b"], ascii(space)


@pytest.mark.slow
def test_every_character_keeps_its_word() -> None:
    """All of Unicode: case does not count, and a word as it is compared is compared as itself."""
    for char in code_points():
        letters = letters_of(char)
        assert "".join(map(letters_of, letters)) == letters, ascii(char)
        for other in cases(char):
            assert "".join(map(letters_of, other)) == letters, ascii((char, other))


TEXTS = [
    "Straße", "ﷺ слово", "a\u0301\u0301 b", "\u0301a", "по\u00adдія подія", "ǆabc ǆ", "㌖㌖ x",
    "👩\u200d👩 a",
]  # fmt: skip


def test_words_have_their_places() -> None:
    """Each word read by itself, at its place, is the same; and the first match is where it is."""
    some = letters()
    sevens = ["".join(some[start : start + 7]) + " кінець" for start in range(0, len(some), 7)]
    for text in TEXTS + sevens:
        words = list(words_from(text, 0))

        assert [word.letters for word in words] == search_words(text)
        for word in words:
            assert word.letters in search_words(text[word.start : word.end])
            first = next(one for one in words if one.letters == word.letters)
            match = first_match(text, SearchTerms.of([word.letters], beginning=False))
            assert result_of(match) == first.start


SPARSE = "щ\u3316\ufdfa«e\u0301ﬁ\u200dя👩ї"
"""Letters, what becomes several words, what becomes a space, and what becomes nothing."""


@pytest.mark.parametrize("seed", range(6))
def test_a_match_is_found_wherever_a_text_is_divided(seed: int) -> None:
    """Texts of a few thousand characters, most without a space for hundreds of them."""
    dice = random.Random(seed)
    text = "".join(
        " " if dice.random() < 0.004 else dice.choice(SPARSE)
        for _ in range(dice.randint(600, 2600))
    )
    words = list(words_from(text, 0))
    for word in dice.sample(words, min(40, len(words))):
        first = next(one for one in words if one.letters == word.letters)
        match = first_match(text, SearchTerms.of([word.letters], beginning=False))
        assert result_of(match) == first.start

    assert result_of(first_match(text, SearchTerms.of(["немає"], beginning=False))) is None
