"""Lists of calls as clients request them: whose, with whom, and how they ended."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from gateway.protocol import CallDispositionSet, CallList
from tests.support.calls import ANSWERED, IVAN, made_call, miss, play, recorded
from tests.support.desk import DIRECTOR, IRYNA, OKSANA, PETRO, Desk, customer, employee, refused
from tests.support.raw import raw

CALLS = "/v1/telephony/calls"
ENGINEER = employee(14)
"""Has no telephone."""
IVANS_ID = customer(1)


async def test_an_employee_without_a_telephone_has_no_calls(desk: Desk) -> None:
    """The list is empty and has no next page, on the socket and over HTTP."""
    await play(desk, await recorded(ANSWERED))

    page = await (await desk.client(ENGINEER)).request(CallList())
    answer = await desk.http(ENGINEER).get(CALLS, params={"queue": "sales"})

    assert (page.calls, page.next) == ([], None)
    assert answer.json() == {"calls": [], "dispositions": {}, "next": None}


async def stored_call(
    desk: Desk, who: int, *, direction: str = "inbound", number: str = IVAN
) -> UUID:
    """Store a call of this employee with this number."""
    call_id = await made_call(desk, who, direction=direction)
    await desk.sql(
        "UPDATE realtime.call_sessions SET number_raw = $2, number_e164 = $2 WHERE id = $1",
        call_id,
        number,
    )
    return call_id


async def listed(desk: Desk, who: int, **criteria: Any) -> list[UUID]:
    """List calls over the socket and over HTTP, compare, and return them by their beginning."""
    client = await desk.client(who)
    page = await client.request(CallList(**criteria))
    await client.close()
    answer = (await desk.http(who).get(CALLS, params=criteria)).json()
    assert [str(call.id) for call in page.calls] == [call["id"] for call in answer["calls"]]
    return [call.id for call in page.calls][::-1]


async def test_a_supervisor_lists_the_calls_of_one_agent(small_desk: Desk) -> None:
    """The calls in which the agent's telephone took part, also when other agents took part."""
    hers, his = await stored_call(small_desk, OKSANA), await stored_call(small_desk, PETRO)
    both = await made_call(small_desk, OKSANA, PETRO)

    assert await listed(small_desk, DIRECTOR) == [hers, his, both]
    assert await listed(small_desk, DIRECTOR, agent_id=OKSANA) == [hers, both]
    assert await listed(small_desk, DIRECTOR, agent_id=PETRO) == [his, both]
    assert await listed(small_desk, DIRECTOR, agent_id=PETRO, number=IVAN) == [his]
    for nobody in (DIRECTOR, ENGINEER, 2**63 - 1):
        assert await listed(small_desk, DIRECTOR, agent_id=nobody) == []


async def test_an_agent_may_name_only_themselves(small_desk: Desk) -> None:
    """Any other id is refused with the name of the permission, whether or not it exists."""
    hers = await stored_call(small_desk, OKSANA)
    await stored_call(small_desk, PETRO)
    oksana = await small_desk.client(OKSANA)

    assert await listed(small_desk, OKSANA, agent_id=OKSANA) == [hers]
    for other in (PETRO, ENGINEER, 999_999):
        answer = await small_desk.http(OKSANA).get(CALLS, params={"agent_id": other})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission.denied")
        assert "calls.view_all" in answer.text
        assert await refused(oksana.request(CallList(agent_id=other))) == "permission.denied"


async def test_calls_with_one_customer_are_those_by_any_of_their_numbers(small_desk: Desk) -> None:
    """In both directions; an agent finds their own with the customer, a supervisor all."""
    await small_desk.sql(
        "INSERT INTO demo_crm.client_contacts (client_id, kind, value)"
        " VALUES (1, 'phone', '050 777-66-55'), (1, 'phone', 'ask the secretary')"
    )
    came = await stored_call(small_desk, OKSANA)
    went = await stored_call(small_desk, PETRO, direction="outbound", number="+380507776655")
    await stored_call(small_desk, OKSANA, number="+380441234567")

    assert await listed(small_desk, DIRECTOR, customer_id=IVANS_ID) == [came, went]
    assert await listed(small_desk, DIRECTOR, customer_id=IVANS_ID, direction="outbound") == [went]
    assert await listed(small_desk, DIRECTOR, customer_id=IVANS_ID, number=IVAN) == [came]
    assert await listed(small_desk, DIRECTOR, customer_id=IVANS_ID, number="+380441234567") == []
    assert await listed(small_desk, DIRECTOR, customer_id=IVANS_ID, agent_id=PETRO) == [went]
    assert await listed(small_desk, OKSANA, customer_id=IVANS_ID) == [came]
    assert await listed(small_desk, IRYNA, customer_id=IVANS_ID) == []
    assert await listed(small_desk, DIRECTOR, customer_id=2**63 - 1) == []


async def test_calls_are_listed_by_their_last_disposition(small_desk: Desk) -> None:
    """A cleared disposition removes the call; that of a merged call counts for its target."""
    first, second = await stored_call(small_desk, OKSANA), await stored_call(small_desk, OKSANA)
    client = await small_desk.client(OKSANA)

    async def dispose(call_id: UUID, code: str | None) -> None:
        await client.request(CallDispositionSet(call_id=call_id, disposition=code))

    await dispose(first, "sale")
    await dispose(second, "sale")
    assert await listed(small_desk, OKSANA, disposition="sale") == [first, second]
    assert await listed(small_desk, OKSANA, disposition="sale", customer_id=IVANS_ID) == [
        first,
        second,
    ]
    await dispose(second, None)
    assert await listed(small_desk, OKSANA, disposition="sale") == [first]
    await small_desk.sql("UPDATE realtime.call_sessions SET merged_into = $2 WHERE id = $1",
                   first, second)  # fmt: skip
    assert await listed(small_desk, OKSANA, disposition="sale") == []  # taking it away was later
    await dispose(second, "sale")
    assert await listed(small_desk, OKSANA, disposition="sale") == [second]
    await dispose(second, "resolved")
    assert await listed(small_desk, OKSANA, disposition="sale") == []
    assert await listed(small_desk, OKSANA, disposition="resolved") == [second]
    assert await listed(small_desk, OKSANA, disposition="no-such-word") == []


async def test_a_number_is_found_in_any_notation(desk: Desk) -> None:
    """As in the lookup, in the lists of calls and of missed calls; other texts match exactly."""
    number = "+380671234567"
    named = await stored_call(desk, OKSANA, number=number)
    short, hidden = await made_call(desk, OKSANA), await made_call(desk, OKSANA)
    for call_id, shown in ((short, "102"), (hidden, "anonymous")):
        await desk.sql(
            "UPDATE realtime.call_sessions SET number_raw = $2 WHERE id = $1", call_id, shown
        )
    await miss(desk, number="0671234567")
    (missed,) = await desk.sql("SELECT number_e164 FROM realtime.missed_calls")
    assert missed["number_e164"] == number

    ways = (number, "067 123-45-67", " 380671234567", "8 (067) 123-45-67 доб. 12",
            "sip:+380671234567@pbx", "38 067 1234567", "\u202a+38\u2011067 1234567\u202c",
            '"Ivan" <sip:+380671234567@ims.carrier.example;user=phone>')  # fmt: skip
    for way in ways:
        assert await listed(desk, OKSANA, number=way) == [named], way
        answer = await desk.http(DIRECTOR).get("/v1/telephony/missed-calls", params={"number": way})
        assert [call["number"] for call in answer.json()["calls"]] == [number], way
    assert await listed(desk, OKSANA, number="067 123-45-67", customer_id=IVANS_ID) == [named]
    assert await listed(desk, OKSANA, number="102") == [short]
    assert await listed(desk, OKSANA, number="\u202a102\u202c") == [short]
    for withheld in (" anonymous ", "Anonymous", "private", "+266696687"):
        assert await listed(desk, OKSANA, number=withheld) == [hidden], withheld
    for other in ("067 123-45-68", "1234567", "10", "call me ☎"):
        assert await listed(desk, OKSANA, number=other) == [], other


async def test_calls_are_listed_by_the_number_dialled(small_desk: Desk) -> None:
    """A number of ours is found in any notation, and as the PBX says it."""
    sales, menu, none = [await stored_call(small_desk, OKSANA) for _ in range(3)]
    for call_id, did in ((sales, "+380442223344"), (menu, "7001")):
        await small_desk.sql(
            "UPDATE realtime.call_sessions SET did = $2 WHERE id = $1", call_id, did
        )

    for way in ("+380442223344", "044 222-33-44", "38 (044) 2223344"):
        assert await listed(small_desk, OKSANA, did=way) == [sales], way
    assert await listed(small_desk, OKSANA, did="7001", direction="inbound") == [menu]
    assert await listed(small_desk, OKSANA, did="0442223345") == []
    page = (await small_desk.http(OKSANA).get(CALLS)).json()["calls"]
    told = {call["id"]: call["did"] for call in page}
    assert told == {str(sales): "+380442223344", str(menu): "7001", str(none): None}


async def test_calls_are_listed_by_their_ring_group(small_desk: Desk) -> None:
    """By the number or name that the PBX has for it, alone or with other filters."""
    shop, office, none = [await stored_call(small_desk, OKSANA) for _ in range(3)]
    for call_id, group in ((shop, "600"), (office, "office")):
        await small_desk.sql(
            "UPDATE realtime.call_sessions SET ring_group = $2 WHERE id = $1", call_id, group
        )

    assert await listed(small_desk, OKSANA, ring_group="600") == [shop]
    assert await listed(small_desk, DIRECTOR, ring_group="office", direction="inbound") == [office]
    assert await listed(small_desk, OKSANA, ring_group="60") == []
    page = (await small_desk.http(OKSANA).get(CALLS)).json()["calls"]
    told = {call["id"]: call["ring_group"] for call in page}
    assert told == {str(shop): "600", str(office): "office", str(none): None}


async def test_calls_are_listed_by_who_hung_up(small_desk: Desk) -> None:
    """With other filters or alone; calls of which it is not known are of no side."""
    calls = [await stored_call(small_desk, OKSANA) for _ in range(4)]
    sides = ((None, None), ("customer", None), ("agent", "101"), ("pbx", None))
    for call_id, side in zip(calls, sides, strict=True):
        await small_desk.sql(
            "UPDATE realtime.call_sessions SET ended_by = $2, ended_by_extension = $3"
            " WHERE id = $1", call_id, *side,
        )  # fmt: skip

    assert await listed(small_desk, OKSANA, ended_by="customer") == [calls[1]]
    assert await listed(small_desk, DIRECTOR, ended_by="pbx", direction="inbound") == [calls[3]]
    assert await listed(small_desk, OKSANA, ended_by="agent", status="live") == []
    page = (await small_desk.http(OKSANA).get(CALLS)).json()["calls"]
    told = {call["id"]: (call["ended_by"], call["ended_by_extension"]) for call in page}
    assert told == {str(call_id): side for call_id, side in zip(calls, sides, strict=True)}


async def test_calls_are_listed_by_how_long_they_waited_and_talked(small_desk: Desk) -> None:
    """Both ends are included, live calls too; a call without the duration is in no range."""
    calls = [await stored_call(small_desk, OKSANA) for _ in range(4)]
    told = ((19_999, None), (20_000, 60_000), (75_500, 60_001), (None, 600_000))
    for call_id, (wait_ms, talk_ms) in zip(calls, told, strict=True):
        await small_desk.sql(
            "UPDATE realtime.call_sessions SET wait_ms = $2, talk_ms = $3 WHERE id = $1",
            *(call_id, wait_ms, talk_ms),
        )
    await small_desk.sql(
        "UPDATE realtime.call_sessions SET ended_at = NULL WHERE id = $1", calls[2]
    )

    assert await listed(small_desk, OKSANA, wait_ms_min=0) == calls[:3]
    assert await listed(small_desk, OKSANA, wait_ms_min=20_000) == calls[1:3]
    assert await listed(small_desk, OKSANA, wait_ms_max=20_000) == calls[:2]
    assert await listed(small_desk, DIRECTOR, talk_ms_min=60_000, talk_ms_max=60_000) == [calls[1]]
    assert await listed(small_desk, DIRECTOR, wait_ms_min=20_000, talk_ms_min=60_001) == [calls[2]]
    assert await listed(small_desk, DIRECTOR, talk_ms_min=60_001, status="ended") == [calls[3]]
    assert await listed(small_desk, DIRECTOR, wait_ms_min=2, wait_ms_max=1) == []


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("agent_id", [0, -1, 2**63, 10**30, "1", 1.5, True, [], {}]),
        ("customer_id", [0, -1, 2**63, 10**30, "1", 1.5, True, [], {}]),
        ("disposition", ["", "Sale", "a b", "a\0", "x" * 65, "sale\n", "ї", 1, True, []]),
        ("wait_ms_min", [-1, 10**10 + 1, "1", 1.5, True, [], {}]),
        ("talk_ms_max", [-1, 10**10 + 1, "1", 1.5, True, [], {}]),
        ("did", ["", "a\0b", "1" * 201, 380671234567, True, []]),
        ("ended_by", ["", "Customer", "caller", 1, True, []]),
        ("number", ["", "a\0b", "1" * 201, 380671234567, True, []]),
    ],
)
async def test_an_invalid_filter_is_refused_by_its_name(
    desk: Desk, field: str, values: list[Any]
) -> None:
    """On the socket and over HTTP, as command.invalid; the next command is answered."""
    http = desk.http(OKSANA)
    async with raw(desk.nodes[0].socket_url) as client:
        await client.hello(desk.token(OKSANA))
        for value in values:
            answer = await client.ask({"type": "call.list", "id": 2, field: value})
            assert answer["error"]["code"] == "command.invalid", (value, answer)
            assert answer["error"]["path"].startswith(field), (value, answer)
            if isinstance(value, str) and not value.isdigit():
                response = await http.get(CALLS, params={field: value})
                code = response.json()["error"]["code"]
                assert (response.status_code, code) == (422, "command.invalid"), value
        assert "ok" in await client.ask({"type": "call.list", "id": 3})
    for text in ("%00", "%ED%A0%80%00", "%F0%9F%98%80" * 70):
        assert (await http.get(f"{CALLS}?{field}={text}")).status_code == 422, text
    for text in ("9223372036854775808", "-1", "1e3"):
        response = await http.get(f"{CALLS}?{field}={text}")
        assert response.status_code == (
            200 if field in {"number", "did", "disposition"} else 422
        ), text


async def test_a_lone_surrogate_is_no_filter(desk: Desk) -> None:
    """It makes a frame malformed, and in a URL it is a different character."""
    async with raw(desk.nodes[0].socket_url) as client:
        await client.hello(desk.token(OKSANA))
        for field in ("number", "disposition"):
            frame = json.dumps({"type": "call.list", "id": 2, field: "\ud800"})
            assert await client.code_of(frame) == "frame.malformed"
    for field, status in (("number", 200), ("disposition", 422), ("agent_id", 422)):
        answer = await desk.http(OKSANA).get(f"{CALLS}?{field}=%ED%A0%80")
        assert answer.status_code == status, answer.text
