# ruff: noqa: RUF001 - people write Ukrainian here
"""Messages and colleagues are found by their words, and nobody finds what is not theirs."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest

from gateway.chat.search import MAX_NAMED_CONVERSATIONS, day_ranges
from gateway.chat.snippets import MAX_LENGTH, snippet
from gateway.client import Connection, RequestRefused
from gateway.protocol import (
    ConversationCreate,
    EmployeeSearch,
    EmployeesFound,
    FoundMessage,
    MessageDelete,
    MessageEdit,
    MessageSearch,
    MessagesFound,
)
from gateway.search_words import SearchTerms
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, employee
from tests.support.steps import result_of

SPELLINGS = (
    ("Işıklar", "ISIKLAR"), ("Großstraße", "GROSSSTRASSE"), ("مُحَمَّد", "محمد"), ("هندى", "هندی"),
    ("שָׁלוֹם", "שלום"), ("сло\u00adво", "СЛОВО"), ("Ὀδυσσεύς", "ΟΔΥΣΣΕΥΣ"),
    ("ᲒᲐᲛᲐᲠᲯᲝᲑᲐ", "გამარჯობა"),
    ("Қазақ", "казак"), ("ＡＢＣ", "abc"), ("カタカナ", "かたかな"), ("١٢٣", "123"),
    ("Viết", "VIET"),
)  # fmt: skip

MESSAGES = "/v1/messenger/search/messages"
EMPLOYEES = "/v1/messenger/search/employees"


async def find(asker: Connection, text: str, **options: object) -> MessagesFound:
    found: MessagesFound = await asker.request(MessageSearch(text=text, **options))  # type: ignore[arg-type]
    return found


async def texts(asker: Connection, text: str, **options: object) -> list[str]:
    return [item.message.text for item in (await find(asker, text, **options)).messages]


def marked(item: FoundMessage) -> list[str]:
    """Return what a client would highlight."""
    return [item.snippet[span.start : span.end] for span in item.matches]


async def test_all_words_in_any_order_and_the_beginning_of_the_last(small_desk: Desk) -> None:
    """Case, accents and apostrophes do not count; the newest stands first."""
    oksana = await small_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    for text in ("Рахунок для ТОВ «Світанок» готовий", "Café: п'ять хвилин", "рахунок-фактура 17"):
        await oksana.send(room, text)

    assert await texts(oksana, "РАХУНОК") == [
        "рахунок-фактура 17", "Рахунок для ТОВ «Світанок» готовий",
    ]  # fmt: skip
    assert await texts(oksana, "світанок рахунок") == ["Рахунок для ТОВ «Світанок» готовий"]
    assert await texts(oksana, "рахунок свіtl") == []
    assert await texts(oksana, "рахунок світ") == ["Рахунок для ТОВ «Світанок» готовий"]
    assert await texts(oksana, "рахунок світ ") == []
    for asked in ("cafe", "CAFÉ", "cafe\u0301", "п’ять", "пять хви"):
        assert await texts(oksana, asked) == ["Café: п'ять хвилин"]
    assert await texts(oksana, "пять хв") == []  # two letters are a word, not a beginning
    assert await texts(oksana, "17") == ["рахунок-фактура 17"]
    assert await texts(oksana, "вітанок") == []


async def test_matches_are_marked_by_offsets(small_desk: Desk) -> None:
    """The snippet is plain text round the first match; its offsets fit it, emoji and all."""
    oksana = await small_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    await oksana.send(
        room, "👋 " + "слово " * 60 + "<b>Сьогодні</b>\nдзвонив клієнт. " + "і " * 200
    )

    (item,) = (await find(oksana, "клієнт сьог")).messages

    assert marked(item) == ["Сьогодні", "клієнт"]
    assert "<b>Сьогодні</b> дзвонив" in item.snippet
    assert item.snippet[0] == item.snippet[-1] == "…"
    assert len(item.snippet) <= MAX_LENGTH + 2


async def test_only_what_one_may_read_is_found(small_desk: Desk) -> None:
    """Not other people's, not what came before one joined, not deleted, not the old wording."""
    oksana, petro, iryna = [await small_desk.client(one) for one in (OKSANA, PETRO, IRYNA)]
    theirs = (await oksana.open(PETRO)).conversation.id
    group = (
        await oksana.request(ConversationCreate(title="Обід", employee_ids=[PETRO, IRYNA]))
    ).conversation.id
    secret = await oksana.send(theirs, "таємниця перша")
    early = await oksana.send(group, "таємниця рання")
    late = await oksana.send(group, "таємниця пізня")

    assert await texts(iryna, "таємниця") == ["таємниця пізня", "таємниця рання"]
    await small_desk.sql(
        "UPDATE realtime.conversations SET history = 'joined' WHERE id = $1", group
    )
    await small_desk.sql(
        "UPDATE realtime.conversation_participants SET joined_seq = $2"
        " WHERE conversation_id = $1 AND employee_id = $3",
        group, early.seq, IRYNA,
    )  # fmt: skip
    assert await texts(iryna, "таємниця") == ["таємниця пізня"]
    assert await texts(petro, "таємниця", conversation_id=theirs) == ["таємниця перша"]

    await oksana.request(MessageEdit(conversation_id=group, seq=late.seq, text="без секретів"))
    await oksana.request(MessageDelete(conversation_id=theirs, seq=secret.seq))
    assert await texts(iryna, "таємниця") == []
    assert await texts(iryna, "секретів") == ["без секретів"]
    assert await texts(petro, "таємниця") == ["таємниця рання"]

    await small_desk.sql(
        "UPDATE realtime.conversation_participants SET left_seq = 9"
        " WHERE conversation_id = $1 AND employee_id = $2",
        group, IRYNA,
    )  # fmt: skip
    assert await texts(iryna, "секретів") == []
    for conversation_id in (theirs, group, 999_999):
        with pytest.raises(RequestRefused) as refused:
            await find(iryna, "секретів", conversation_id=conversation_id)
        assert refused.value.code == "conversation.not_found"


async def seed(desk: Desk, room: int, days_ago: list[int]) -> None:
    """Put messages of these days into a conversation, the oldest first."""
    now = datetime.now(UTC)
    await desk.sql(
        """
        INSERT INTO realtime.messages (conversation_id, seq, sender_id, body, change, created_at)
        SELECT $1, n, CASE WHEN n % 2 = 0 THEN $3::bigint ELSE $4::bigint END, 'звіт ' || n, n + 1,
               at
          FROM unnest($2::timestamptz[]) WITH ORDINALITY AS given (at, n)
        """,
        room, [now - timedelta(days=days) for days in days_ago], OKSANA, PETRO,
    )  # fmt: skip
    await desk.sql(
        "UPDATE realtime.conversations SET last_seq = $2::bigint, last_change = $2::bigint + 1,"
        " created_at = now() - interval '1000 days' WHERE id = $1",
        room, len(days_ago),
    )  # fmt: skip


async def test_pages_go_through_years_once(small_desk: Desk) -> None:
    """However the days are looked through, a cursor neither repeats nor skips a message."""
    oksana = await small_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    days = [4_000, 1_500, 1_499, 700, 513, 512, 511, 200, 66, 65, 64, 63, 9, 8, 7, 2, 1, 1, 1, 0]
    await seed(small_desk, room, days)

    seen: list[int] = []
    cursor = None
    while True:
        page = await find(oksana, "звіт", limit=3, cursor=cursor)
        seen += [item.message.seq for item in page.messages]
        assert len(page.messages) == 3 or page.next is None
        if (cursor := page.next) is None:
            break

    assert seen == list(range(len(days), 0, -1))


async def test_filters_narrow_what_is_found(small_desk: Desk) -> None:
    """By sender, by time, by conversation and by attachment, alone and together."""
    oksana = await small_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    other = (await oksana.open(IRYNA)).conversation.id
    await seed(small_desk, room, [100, 90, 50, 3, 2, 1])
    await oksana.send(other, "звіт деінде")
    await small_desk.sql(
        """
        UPDATE realtime.messages
           SET attachments = '[{"attachment_id": 1, "name": "a.pdf", "size": 9,
                                "content_type": "application/pdf"}]'
         WHERE seq = 3
        """
    )
    now = datetime.now(UTC)

    async def seqs(**options: object) -> list[int]:
        options = {"conversation_id": room, **options}
        return [item.message.seq for item in (await find(oksana, "звіт", **options)).messages]

    assert await seqs() == [6, 5, 4, 3, 2, 1]
    assert await seqs(sender_id=OKSANA) == [6, 4, 2]
    assert await seqs(since=now - timedelta(days=60)) == [6, 5, 4, 3]
    assert await seqs(until=now - timedelta(days=60)) == [2, 1]
    assert await seqs(
        since=now - timedelta(days=95), until=now - timedelta(days=2), sender_id=OKSANA
    ) == [4, 2]  # fmt: skip
    assert await seqs(since=now, until=now - timedelta(days=60)) == []
    assert await seqs(has_attachment=True) == [3]
    assert (await texts(oksana, "звіт", sender_id=OKSANA))[0] == "звіт деінде"


NASTY = (
    "'", "''", "\\", "\\'", "& | ! <->", ":*", "a:*b", "звіт' | 'b", "!звіт", "звіт:A",
    "(((", "%", "$1", "👋", "#1", "@d1", "=1", "+", "\u2028", "\u0301",
)  # fmt: skip


async def test_what_is_typed_is_never_a_query(small_desk: Desk) -> None:
    """Operators of tsquery, quotes and our own keys are punctuation: ignored, or refused alone."""
    oksana = await small_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    await oksana.send(room, "звіт a b 1")

    for asked in NASTY:
        words = any(unicodedata.category(char)[0] in "LN" for char in asked)
        if words:
            await find(oksana, asked)
            continue
        with pytest.raises(RequestRefused) as refused:
            await find(oksana, asked)
        assert (refused.value.code, refused.value.path) == ("command.invalid", "text")
    with pytest.raises(RequestRefused) as refused:
        await find(oksana, "'" * 8_000)
    assert (refused.value.code, refused.value.path) == ("command.invalid", "text")
    assert await texts(oksana, "!звіт & | b:*") == ["звіт a b 1"]
    assert await texts(oksana, "звіт' | 'немає") == []
    assert await texts(oksana, "#1") == ["звіт a b 1"]
    assert await texts(oksana, "d1") == []


async def test_bad_searches_are_refused(small_desk: Desk) -> None:
    """Too long, empty, with a foreign cursor, out of time: each with its code, in REST as well."""
    http = small_desk.http(OKSANA)
    wrong: tuple[dict[str, str | int], ...] = (
        {"q": ""}, {"q": "x" * 201}, {"q": "\x00"}, {"q": "..."}, {},
        {"q": "a", "limit": 51}, {"q": "a", "limit": 0}, {"q": "a", "cursor": "bm9uZQ"},
        {"q": "a", "since": "0001-01-01T00:00:00+14:00"}, {"q": "a", "until": "soon"},
        {"q": "a", "since": "2026-01-01T00:00:00"}, {"q": "a", "conversation_id": -1},
    )  # fmt: skip
    for params in wrong:
        answer = await http.get(MESSAGES, params=params)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "command.invalid")
    assert (await http.get(MESSAGES, params={"q": "..."})).json()["error"]["path"] == "q"
    assert (await small_desk.http().get(MESSAGES, params={"q": "a"})).status_code == 401


async def test_rest_finds_the_same(small_desk: Desk) -> None:
    """The CRM's own path answers as the socket does."""
    oksana = await small_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    await oksana.send(room, "Рахунок")

    answer = await small_desk.http(PETRO).get(
        MESSAGES, params={"q": "рах", "conversation_id": room}
    )

    (found,) = answer.json()["messages"]
    assert found["message"]["text"] == found["snippet"] == "Рахунок"
    assert found["matches"] == [{"start": 0, "end": 7}]
    assert answer.json()["next"] is None


async def test_colleagues_are_found_with_their_presence(small_desk: Desk) -> None:
    """Every word must occur; whose name begins so comes first, whose work only mentions it last."""
    oksana = await small_desk.client(OKSANA)
    await small_desk.sql(
        "INSERT INTO demo_crm.staff VALUES (101, 'Їжак Олександр', 1, 'Агент', 1),"
        " (102, 'Марія Їжаченко', 1, 'Агент', 1), (103, 'Zoë Kral', 2, 'їжаківна', 1)"
    )

    async def search(text: str) -> EmployeesFound:
        found: EmployeesFound = await oksana.request(EmployeeSearch(text=text, limit=100))
        return found

    async def ids(text: str) -> list[int]:
        return [one.id for one in (await search(text)).employees]

    oleksandr, mariia, zoe = map(employee, (101, 102, 103))

    assert await ids("ЇЖАК") == [oleksandr, zoe]
    assert await ids("іжа") == [oleksandr, mariia, zoe]
    assert await ids("олександр їжак") == [oleksandr]
    assert await ids("zoe support") == [zoe]
    assert await ids("moroz") == []
    assert await ids("'; DROP TABLE x --") == []
    assert await ids("!!") == []
    found = await search("kovalenko")
    assert [(one.employee_id, one.status) for one in found.presences] == [(OKSANA, "online")]

    seen: list[int] = []
    cursor = None
    while True:
        page = await oksana.request(EmployeeSearch(text="a", limit=5, cursor=cursor))
        seen += [one.id for one in page.employees]
        if (cursor := page.next) is None:
            break
    assert len(seen) == len(set(seen)) == len(await ids("a"))
    refused = await small_desk.http(OKSANA).get(EMPLOYEES, params={"q": "\x00"})
    assert refused.json()["error"]["path"] == "q"


async def test_a_word_is_found_however_it_is_typed(small_desk: Desk) -> None:
    """In messages and in names, both ways: in any script, with or without its marks."""
    oksana = await small_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    for number, pair in enumerate(SPELLINGS):
        for one in pair:
            await oksana.send(room, f"тут {one} там")
        await small_desk.sql(
            "INSERT INTO demo_crm.staff VALUES ($1, $2, 1, 'Агент', 1)", 200 + number, pair[0]
        )

    for number, pair in enumerate(SPELLINGS):
        for one in pair:
            found = await find(oksana, f"{one} ", limit=5)
            assert [item.message.text for item in found.messages] == [
                f"тут {word} там" for word in reversed(pair)
            ]
            assert [marked(item) for item in found.messages] == [[word] for word in reversed(pair)]
            people = await oksana.request(EmployeeSearch(text=one))
            assert [person.id for person in people.employees] == [employee(200 + number)]


def test_a_text_without_matches_has_a_snippet_all_the_same() -> None:
    """A word cut off by the limit of what is compared leaves nothing to mark."""
    assert result_of(snippet("коротко", SearchTerms.of(["інше"], beginning=False))) == (
        "коротко",
        [],
    )


@pytest.mark.parametrize("last", [20_000, 20_479, 20_480, 20_481, 20_543])
@pytest.mark.parametrize("first", [20_000, 19_993, 19_000, 15_000])
def test_windows_cover_every_day_once(first: int, last: int) -> None:
    """Neither a gap nor an overlap, and few of them."""
    found = list(day_ranges(last, first, all_before=False))

    days = [day for one in found for day in range(one.first or 0, one.last + 1)]
    assert sorted(days) == list(range(first, last + 1))
    assert len(found) <= 6


async def test_who_is_in_many_conversations_finds_what_is_in_all_and_no_other(
    small_desk: Desk,
) -> None:
    """Many are not named one by one in the search; one that was left is none of them."""
    oksana, iryna = await small_desk.client(OKSANA), await small_desk.client(IRYNA)
    rooms = []
    for number in range(MAX_NAMED_CONVERSATIONS + 3):
        made = await oksana.request(ConversationCreate(title="Обід", employee_ids=[IRYNA]))
        rooms.append(made.conversation.id)
        await oksana.send(rooms[-1], f"таємниця {number}")

    await small_desk.sql(
        "UPDATE realtime.conversation_participants SET left_seq = 9"
        " WHERE conversation_id = $1 AND employee_id = $2",
        rooms[5], IRYNA,
    )  # fmt: skip

    everywhere = [f"таємниця {number}" for number in reversed(range(len(rooms)))]
    assert await texts(oksana, "таємниця") == everywhere
    assert await texts(iryna, "таємниця") == [one for one in everywhere if one != "таємниця 5"]
