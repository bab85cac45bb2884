"""Lists of calls as clients ask for them: whose, with whom, how they went."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from gateway.protocol import CallDispositionSet, CallList
from tests.support.calls import ANSWERED, IVAN, made_call, miss, play, recorded
from tests.support.desk import DIRECTOR, IRYNA, OKSANA, PETRO, Desk, refused
from tests.support.raw import raw

CALLS = "/v1/telephony/calls"
ENGINEER = 14
"""Has no telephone."""


async def test_who_has_no_telephone_has_no_calls(desk: Desk) -> None:
    """The list is empty and at its end, on the socket and over HTTP."""
    await play(desk, await recorded(ANSWERED))

    page = await (await desk.client(ENGINEER)).request(CallList())
    answer = await desk.http(ENGINEER).get(CALLS, params={"queue": "sales"})

    assert (page.calls, page.next) == ([], None)
    assert answer.json() == {"calls": [], "dispositions": {}, "next": None}


async def spoken(desk: Desk, who: int, *, direction: str = "inbound", number: str = IVAN) -> UUID:
    """Put a call of this person with this number into the database."""
    call_id = await made_call(desk, who, direction=direction)
    await desk.sql(
        "UPDATE realtime.call_sessions SET number_raw = $2, number_e164 = $2 WHERE id = $1",
        call_id,
        number,
    )
    return call_id


async def found(desk: Desk, who: int, **asked: Any) -> list[UUID]:
    """List calls over the socket and over HTTP: the same, by the time of their beginning."""
    client = await desk.client(who)
    page = await client.request(CallList(**asked))
    await client.close()
    answer = (await desk.http(who).get(CALLS, params=asked)).json()
    assert [str(call.id) for call in page.calls] == [call["id"] for call in answer["calls"]]
    return [call.id for call in page.calls][::-1]


async def test_a_supervisor_lists_the_calls_of_one_agent(desk: Desk) -> None:
    """Those in which their telephone took part, and of several agents each one's own."""
    hers, his = await spoken(desk, OKSANA), await spoken(desk, PETRO)
    both = await made_call(desk, OKSANA, PETRO)

    assert await found(desk, DIRECTOR) == [hers, his, both]
    assert await found(desk, DIRECTOR, agent_id=OKSANA) == [hers, both]
    assert await found(desk, DIRECTOR, agent_id=PETRO) == [his, both]
    assert await found(desk, DIRECTOR, agent_id=PETRO, number=IVAN) == [his]
    for nobody in (DIRECTOR, ENGINEER, 2**63 - 1):
        assert await found(desk, DIRECTOR, agent_id=nobody) == []


async def test_an_agent_may_name_only_themselves(desk: Desk) -> None:
    """Anybody else is refused by name of the permission, whether or not they exist."""
    hers = await spoken(desk, OKSANA)
    await spoken(desk, PETRO)
    oksana = await desk.client(OKSANA)

    assert await found(desk, OKSANA, agent_id=OKSANA) == [hers]
    for other in (PETRO, ENGINEER, 999_999):
        answer = await desk.http(OKSANA).get(CALLS, params={"agent_id": other})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission.denied")
        assert "calls.view_all" in answer.text
        assert await refused(oksana.request(CallList(agent_id=other))) == "permission.denied"


async def test_calls_with_one_customer_are_those_by_any_of_their_numbers(desk: Desk) -> None:
    """In both directions; an agent finds their own with them, a supervisor all."""
    await desk.sql(
        "INSERT INTO demo_crm.client_contacts (client_id, kind, value)"
        " VALUES (1, 'phone', '050 777-66-55'), (1, 'phone', 'ask the secretary')"
    )
    came = await spoken(desk, OKSANA)
    went = await spoken(desk, PETRO, direction="outbound", number="+380507776655")
    await spoken(desk, OKSANA, number="+380441234567")

    assert await found(desk, DIRECTOR, customer_id=1) == [came, went]
    assert await found(desk, DIRECTOR, customer_id=1, direction="outbound") == [went]
    assert await found(desk, DIRECTOR, customer_id=1, number=IVAN) == [came]
    assert await found(desk, DIRECTOR, customer_id=1, number="+380441234567") == []
    assert await found(desk, DIRECTOR, customer_id=1, agent_id=PETRO) == [went]
    assert await found(desk, OKSANA, customer_id=1) == [came]
    assert await found(desk, IRYNA, customer_id=1) == []
    assert await found(desk, DIRECTOR, customer_id=2**63 - 1) == []


async def test_calls_are_listed_by_what_was_said_of_them_last(desk: Desk) -> None:
    """Taking a disposition away takes the call out; a merged call's stays with what it became."""
    first, second = await spoken(desk, OKSANA), await spoken(desk, OKSANA)
    client = await desk.client(OKSANA)

    async def say(call_id: UUID, code: str | None) -> None:
        await client.request(CallDispositionSet(call_id=call_id, disposition=code))

    await say(first, "sale")
    await say(second, "sale")
    assert await found(desk, OKSANA, disposition="sale") == [first, second]
    assert await found(desk, OKSANA, disposition="sale", customer_id=1) == [first, second]
    await say(second, None)
    assert await found(desk, OKSANA, disposition="sale") == [first]
    await desk.sql("UPDATE realtime.call_sessions SET merged_into = $2 WHERE id = $1",
                   first, second)  # fmt: skip
    assert await found(desk, OKSANA, disposition="sale") == []  # taking it away was later
    await say(second, "sale")
    assert await found(desk, OKSANA, disposition="sale") == [second]
    await say(second, "resolved")
    assert await found(desk, OKSANA, disposition="sale") == []
    assert await found(desk, OKSANA, disposition="resolved") == [second]
    assert await found(desk, OKSANA, disposition="no-such-word") == []


async def test_a_number_is_found_however_it_is_written(desk: Desk) -> None:
    """As the look-up reads it, in the lists of calls and of missed ones; the rest to the letter."""
    number = "+380671234567"
    named = await spoken(desk, OKSANA, number=number)
    short, hidden = await made_call(desk, OKSANA), await made_call(desk, OKSANA)
    for call_id, shown in ((short, "102"), (hidden, "anonymous")):
        await desk.sql(
            "UPDATE realtime.call_sessions SET number_raw = $2 WHERE id = $1", call_id, shown
        )
    await miss(desk, number="0671234567")
    (missed,) = await desk.sql("SELECT number_e164 FROM realtime.missed_calls")
    assert missed["number_e164"] == number

    ways = (number, "067 123-45-67", " 380671234567", "8 (067) 123-45-67 доб. 12",
            "sip:+380671234567@pbx", "38 067 1234567")  # fmt: skip
    for way in ways:
        assert await found(desk, OKSANA, number=way) == [named], way
        answer = await desk.http(DIRECTOR).get("/v1/telephony/missed-calls", params={"number": way})
        assert [call["number"] for call in answer.json()["calls"]] == [number], way
    assert await found(desk, OKSANA, number="067 123-45-67", customer_id=1) == [named]
    assert await found(desk, OKSANA, number="102") == [short]
    assert await found(desk, OKSANA, number=" anonymous ") == [hidden]
    for other in ("067 123-45-68", "1234567", "Anonymous", "10", "call me ☎"):
        assert await found(desk, OKSANA, number=other) == [], other


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("agent_id", [0, -1, 2**63, 10**30, "1", 1.5, True, [], {}]),
        ("customer_id", [0, -1, 2**63, 10**30, "1", 1.5, True, [], {}]),
        ("disposition", ["", "Sale", "a b", "a\0", "x" * 65, "sale\n", "ї", 1, True, []]),
        ("number", ["", "a\0b", "1" * 65, 380671234567, True, []]),
    ],
)
async def test_what_no_filter_can_be_is_refused_by_its_name(
    desk: Desk, field: str, values: list[Any]
) -> None:
    """On the socket and over HTTP, as command.invalid, and the next question is answered."""
    http = desk.http(OKSANA)
    async with raw(desk.nodes[0].socket_url) as client:
        await client.hello(desk.token(OKSANA))
        for value in values:
            answer = await client.ask({"type": "call.list", "id": 2, field: value})
            assert answer["error"]["code"] == "command.invalid", (value, answer)
            assert answer["error"]["path"].startswith(field), (value, answer)
            if isinstance(value, str) and not value.isdigit():
                said = await http.get(CALLS, params={field: value})
                assert (said.status_code, said.json()["error"]["code"]) == (
                    422,
                    "command.invalid",
                ), value
        assert "ok" in await client.ask({"type": "call.list", "id": 3})
    for text in ("%00", "%ED%A0%80%00", "%F0%9F%98%80" * 70):
        assert (await http.get(f"{CALLS}?{field}={text}")).status_code == 422, text
    for text in ("9223372036854775808", "-1", "1e3"):
        said = await http.get(f"{CALLS}?{field}={text}")
        assert said.status_code == (422 if field.endswith("_id") else 200), text


async def test_half_a_character_is_no_filter(desk: Desk) -> None:
    """A lone surrogate makes a frame malformed, and in an address it is another character."""
    async with raw(desk.nodes[0].socket_url) as client:
        await client.hello(desk.token(OKSANA))
        for field in ("number", "disposition"):
            said = json.dumps({"type": "call.list", "id": 2, field: "\ud800"})
            assert await client.code_of(said) == "frame.malformed"
    for field, status in (("number", 200), ("disposition", 422), ("agent_id", 422)):
        answer = await desk.http(OKSANA).get(f"{CALLS}?{field}=%ED%A0%80")
        assert answer.status_code == status, answer.text
