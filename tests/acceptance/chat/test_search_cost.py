"""However hard the texts are to fold, a search holds nobody up."""

from __future__ import annotations

import time

import pytest

from gateway.chat.snippets import MAX_LENGTH, snippet
from gateway.protocol import MessageSearch, MessagesFound
from gateway.protocol.messages import MAX_TEXT
from gateway.search_words import SearchTerms, search_words
from tests.support.callback_time import HELD_MS, callback_times
from tests.support.desk import OKSANA, PETRO, Desk
from tests.support.steps import result_of

PAGE = 50


def filled(*, before: str = "", unit: str = "", after: str = "") -> str:
    """Return the longest text that a message may have."""
    room = MAX_TEXT - len(before) - len(after)
    return before + (unit * (room // len(unit) + 1))[:room] + after


TEXTS = {
    "hit at the beginning": filled(before="знайди ", unit="слово "),
    "hit at the end": filled(unit="слово ", after=" знайди"),
    "hits everywhere": filled(unit="знайди "),
    "no spaces": filled(before="знайди ", unit="щ"),
    "no spaces, hit at the end": filled(unit="щ", after=" знайди"),
    "combining marks": filled(before="знайди e", unit="\u0301\u0316"),
    "combining marks first": filled(before="e", unit="\u0301\u0316", after=" знайди"),
    "marks out of order": filled(
        before="e", unit="\u0301" * 3_990 + "\u0316" * 3_990, after=" знайди"
    ),
    "a letter becomes four words": filled(unit="\ufdfa", after=" знайди"),
    "a letter becomes six": filled(unit="\u3316", after=" знайди"),
    "punctuation": filled(unit="«—»", after=" знайди"),
    "emoji": filled(unit="👩\u200d👩\u200d👧", after=" знайди"),
    "short words": filled(unit="ї ", after=" знайди"),
    "beginnings": filled(unit="знайд ", after=" знайди"),
    "all letters": filled(
        unit="".join(chr(code) for code in range(0x100, 0x2000) if chr(code).isalpha()),
        after=" знайди",
    ),
    "what no table has": filled(unit="".join(map(chr, range(0x40000, 0x42000))), after=" знайди"),
}  # fmt: skip


async def test_a_page_of_long_messages_holds_the_loop_briefly(small_desk: Desk) -> None:
    """Fifty hits of 8,000 characters of every kind: each step of the work is below 20 ms of CPU."""
    oksana = await small_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    sent = await oksana.send(room, "знайди")
    await oksana.request(MessageSearch(text="знайди"))  # what is made once, is made
    kinds = list(TEXTS.values())
    await small_desk.sql(
        """
        INSERT INTO realtime.messages
               (conversation_id, seq, sender_id, body, change, created_at)
        SELECT $1, $2::bigint + n, $3, body, $2::bigint + n, now()
          FROM unnest($4::text[]) WITH ORDINALITY AS given (body, n)
        """,
        room, sent.seq, OKSANA, [kinds[number % len(kinds)] for number in range(PAGE)],
    )  # fmt: skip

    with callback_times() as times:
        found: MessagesFound = await oksana.request(MessageSearch(text="знайди", limit=PAGE))

    assert len(found.messages) == PAGE
    for item in found.messages:
        (first, *_) = [item.snippet[span.start : span.end] for span in item.matches]
        assert first == "знайди", item.snippet
    assert times.longest().cpu_ms < HELD_MS, times.report()


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_costs_little_wherever_the_match_is(kind: str) -> None:
    """One snippet of any text, with a hundred words to find, takes less than 20 ms of CPU."""
    letters = [chr(code) for code in range(ord("f"), ord("z"))]
    words = [
        *search_words("знайди"),
        *letters,
        *(first + second for first in "abcd" for second in letters),
    ]
    wanted = SearchTerms.of(words[:100], beginning=True)
    result_of(snippet(TEXTS[kind], wanted))

    began = time.thread_time()
    text, matches = result_of(snippet(TEXTS[kind], wanted))
    took_ms = (time.thread_time() - began) * 1_000

    assert len(text) <= MAX_LENGTH + 2
    assert matches
    assert took_ms < HELD_MS


def test_nothing_is_marked_without_a_match() -> None:
    """Of a text that does not have the word the beginning is shown, after a look at all of it."""
    wanted = SearchTerms.of(["немає"], beginning=False)

    for kind, text in TEXTS.items():
        began = time.thread_time()
        shown, matches = result_of(snippet(text, wanted))
        took_ms = (time.thread_time() - began) * 1_000

        assert (shown[:40], matches) == (text[:40], []), kind
        assert took_ms < HELD_MS, kind
