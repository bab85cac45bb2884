"""What shows nothing, what turns a line round, and which emoji are one."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
import random
import unicodedata
from collections.abc import Mapping
from typing import Any, get_type_hints

import pytest
from pydantic import TypeAdapter, ValidationError

import gateway.rest
from gateway.characters import (
    BIDI_CONTROLS,
    DEFAULT_IGNORABLE,
    TEXT_BY_DEFAULT,
    is_shown,
    one_form_of_emoji,
    shows_something,
)
from gateway.protocol import (
    ConversationUpdate,
    MessageEdit,
    MessageSend,
    PresenceSet,
    ReactionAdd,
)
from gateway.protocol.attachments import FileName
from tests.support.unicode_blocks import code_points, is_letter, one_of_each_block

WRITTEN = ("text", "title", "note", "emoji")
"""Fields of bodies that people fill in."""
KEY = "6f1c6f1c-6f1c-4f1c-8f1c-6f1c6f1c6f1c"
PLACE = {"conversation_id": 1, "seq": 1}
TURNING = [*BIDI_CONTROLS, *(chr(code) for code in (*range(1, 32), *range(127, 160))), "\u2028"]
EMOJI_STYLE = [
    "👍",
    "✅",
    "😀",
    "⌚",
    "🟰",
    "🏴\U000e0067\U000e0062\U000e007f",
    "🇺🇦",
    "👨‍👩‍👧‍👦",
    "👍🏽",
]

LINES: dict[str, tuple[type, Mapping[str, object], str]] = {
    "title": (ConversationUpdate, {"conversation_id": 1}, "title"),
    "status": (PresenceSet, {}, "text"),
}
TEXTS: dict[str, tuple[type, Mapping[str, object], str]] = {
    "message": (MessageSend, {"conversation_id": 1, "client_key": KEY}, "text"),
    "edit": (MessageEdit, PLACE, "text"),
    **LINES,
}


@functools.cache
def blanks() -> list[str]:
    return one_of_each_block(lambda char: not is_shown(char), most=20)


def taken(command: type, fields: Mapping[str, object], field: str, value: str) -> str | None:
    """Return a field's value as the command takes it; None when it is refused for this field."""
    try:
        made: Any = TypeAdapter(command).validate_python({**fields, field: value})
    except ValidationError as error:
        return None if error.errors()[0]["loc"][0] == field else pytest.fail(str(error))
    value_taken: str = getattr(made, field)
    return value_taken


def test_what_shows_nothing_is_known() -> None:
    """Spaces of all kinds, controls, what is ignorable by default, and blanks with a width."""
    for code in (0x20, 0x0A, 0xA0, 0x115F, 0x200B, 0x2060, 0x2800, 0x3000, 0x3164, 0xFEFF, 0xFFA0):
        assert not is_shown(chr(code)), hex(code)
    for char in one_of_each_block(is_letter):
        assert is_shown(char) == (DEFAULT_IGNORABLE.match(char) is None), ascii(char)
    assert all(map(is_shown, "ы中\u0301👍\u0600.©"))


@pytest.mark.parametrize("kind", TEXTS)
def test_texts_that_show_nothing_are_refused(kind: str) -> None:
    """Any invisible character alone, some of them together; beside one that is shown it may be."""
    command, fields, field = TEXTS[kind]
    for blank in [*blanks(), "".join(blanks())[:100]]:
        if blank != "\x00":
            assert taken(command, fields, field, blank) is None, ascii(blank)
            assert taken(command, fields, field, f" {blank} ") is None, ascii(blank)
    assert taken(command, fields, field, "\u3164я\u200b") == "\u3164я\u200b"


@pytest.mark.parametrize("kind", LINES)
def test_a_line_stays_a_line_in_its_direction(kind: str) -> None:
    """Titles and statuses: no control character, no end of a line, no change of direction."""
    command, fields, field = LINES[kind]
    for char in TURNING:
        assert taken(command, fields, field, f"pay {char}gpj.exe") is None, ascii(char)
        with pytest.raises(ValidationError):
            TypeAdapter(FileName).validate_python(f"pay{char}gpj.exe")
    for title in ("Зміна", "שָׁלוֹם", "مرحبا", "👨‍👩‍👧‍👦 family", "a\u200cb"):
        assert taken(command, fields, field, title) == title


def react(emoji: str) -> str | None:
    return taken(ReactionAdd, PLACE, "emoji", emoji)


def test_an_emoji_has_one_form() -> None:
    """With and without the selectors, and what keyboards add; each emoji, and each keycap."""
    text_style = [char for char in code_points() if TEXT_BY_DEFAULT.fullmatch(char)]
    assert len(text_style) > 200
    for emoji in [*text_style, *EMOJI_STYLE, "1\u20e3", "#\u20e3"]:
        forms = {
            emoji,
            f"{emoji}\ufe0f",
            f"{emoji}\ufe0e",
            f"{emoji}\u200b",
            f"\u2060{emoji}\u200d",
        }
        if emoji.endswith("\u20e3"):
            forms.add(f"{emoji[0]}\ufe0f\u20e3")
        taken_as = {react(form) for form in forms}
        assert len(taken_as) == 1, ascii(taken_as)
        (one,) = taken_as
        assert one is not None
        assert react(one) == one
        assert "\ufe0f" in one if emoji in text_style else True
        assert unicodedata.is_normalized("NFC", one)


@pytest.mark.parametrize(
    "form",
    ["❤️‍🔥", "👁️‍🗨️", "🏳️‍🌈", "🏃‍♂️", "🏋🏽‍♂️", "👩‍⚕️", "✌🏽", "1️⃣", "☎️", "👍", "🏴\U000e0067\U000e007f"],
    ids=ascii,
)  # fmt: skip
def test_a_qualified_emoji_is_its_own_form(form: str) -> None:
    """As Unicode's list of emoji has it; without its selectors it becomes the same."""
    assert one_form_of_emoji(form) == form
    assert one_form_of_emoji(form.replace("\ufe0f", "")) == form


def test_a_form_is_its_own_form() -> None:
    """Of any sequence of letters, marks, emoji and what is not seen between them."""
    chance = random.Random(5)
    letters = "eai\u043e\u0415\u0438\u1100\u1161\u0928\u212b❤☎\U0001f3cb\U0001f469#1"
    marks = "\u0301\u0308\u0323\u0306\u093c\u0338\u20e3\U0001f3fd"
    unseen = "\u200b\u200d\ufe0f\ufe0e\u034f\u00ad\u2060\u180b\U000e0067\U000e007f\u1160\u3164"
    texts = ["e\u200b\u0301", "\u200de\ufe0f\u0301\u200d", "\u2194\u200b\u0338"]
    for length in range(1, 9):
        texts += [
            "".join(chance.choices(letters + marks + unseen * 2, k=length)) for _ in "x" * 500
        ]
    for text in texts:
        form = one_form_of_emoji(text)
        assert one_form_of_emoji(form) == form, ascii(text)
        assert unicodedata.is_normalized("NFC", form), ascii(text)
    assert one_form_of_emoji("e\u200b\u0301") == "\u00e9"


def test_reactions_that_show_nothing_are_refused() -> None:
    """Each invisible character, and selectors or joiners alone."""
    for blank in [*blanks(), "\ufe0f", "\u200d\u200d", "\U000e0067\U000e007f"]:
        if blank != "\x00":
            assert react(blank) is None, ascii(blank)
    assert react("❤" * 32) is None  # longer in its one form than a reaction may be


def test_other_reactions_stay_as_they_are() -> None:
    """A word, a letter, a digit: what is no emoji is not changed."""
    for text in ("o0", "ok", "+1", "\u0435\u0301", "中"):
        assert react(text) == text
    assert not shows_something("")


def bodies_of_rest() -> dict[str, Any]:
    """Return the types of what people write in the bodies of REST, by class and field."""
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(gateway.rest.__path__, "gateway.rest."):
        for name, cls in vars(importlib.import_module(module.name)).items():
            if dataclasses.is_dataclass(cls) and getattr(cls, "__module__", "") == module.name:
                hints = get_type_hints(cls, include_extras=True)
                found |= {f"{name}.{field}": hints[field] for field in WRITTEN if field in hints}
    return found


def test_rest_takes_no_text_that_the_socket_refuses() -> None:
    """Messages, titles, statuses, notes and reactions, in every body; drafts may be spaces."""
    bodies = bodies_of_rest()
    assert len(bodies) >= 10, bodies.keys()
    for name, kind in bodies.items():
        for blank in (" ", "\u3164", "\u2800\u200b", "\n"):
            if name == "DraftNew.text":
                assert TypeAdapter(kind).validate_python(blank) == blank
                continue
            with pytest.raises(ValidationError):
                TypeAdapter(kind).validate_python(blank)
