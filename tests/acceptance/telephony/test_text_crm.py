"""A CRM with uuids and quoted names: two people chat, and a call pops up with a name and a link."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.auth.subjects import id_of
from gateway.client import ConnectionEnded, connect
from gateway.db import connect as connect_to_database
from gateway.protocol import CallOffered, MessageCreated
from tests.support.calls import ANSWERED, IVAN, play, recorded
from tests.support.desk import Desk
from tests.support.text_crm import install_text_crm, uuid_of

OKSANA, PETRO, IVANS_ID = uuid_of("user", 1), uuid_of("user", 2), uuid_of("client", 1)


@pytest.fixture
async def text_desk(empty_database: str, redis_url: str) -> AsyncIterator[Desk]:
    """Give a desk with one node on that CRM."""
    conn = await connect_to_database(empty_database, application_name="test")
    await install_text_crm(conn)
    await conn.close()
    desk = Desk(empty_database, redis_url)
    await desk.start_node()
    yield desk
    await desk.close()


async def test_two_people_chat_and_a_call_pops_up(text_desk: Desk) -> None:
    """Tokens, REST and SQL take the CRM's own ids; whatever is shown carries them."""
    url = text_desk.nodes[0].socket_url
    async with (
        connect(url, text_desk.tokens.issue(OKSANA)) as oksana,
        connect(url, text_desk.tokens.issue(PETRO)) as petro,
    ):
        me = oksana.welcome.user
        assert (me.name, me.external_id) == ("Oksana Kovalenko", OKSANA)
        assert me.url == f"https://crm.example.com/users/{OKSANA}"
        assert me.id == id_of("employee", OKSANA) < 2**53
        http = text_desk.http()
        http.headers["Authorization"] = f"Bearer {text_desk.tokens.issue(OKSANA)}"
        answer = await http.post("/v1/messenger/conversations", json={"employee_id": PETRO})
        opened: Any = answer.json()["conversation"]
        people = {one["employee"]["external_id"] for one in opened["participants"]}
        assert people == {OKSANA, PETRO}
        await oksana.send(opened["id"], "Good morning")
        assert (await petro.next(MessageCreated)).message.text == "Good morning"
        await text_desk.sql(
            "SELECT realtime.send_message($1, realtime.id_of('employee', $2), 'From the CRM')",
            opened["id"],
            PETRO,
        )
        said = await oksana.next(MessageCreated)
        while said.message.text != "From the CRM":
            said = await oksana.next(MessageCreated)
        assert said.message.sender_id == id_of("employee", PETRO)

        await play(text_desk, await recorded(ANSWERED))

        customer = (await oksana.next(CallOffered)).call.customer
        assert customer is not None
        assert (customer.name, customer.external_id) == ("Ivan Petrenko", IVANS_ID)
        assert customer.url == f"https://crm.example.com/clients/{IVANS_ID}"
        work = customer.open_work[0]
        assert (work.kind, work.label) == ("NEW_BUSINESS", "Deal")
        assert work.url == f"https://crm.example.com/deals/{work.external_id}"
        assert work.id == id_of(work.kind, work.external_id or "")
        for asked in ({"customer_id": IVANS_ID}, {"agent_id": OKSANA}, {"number": IVAN}):
            listed = (await http.get("/v1/telephony/calls", params=asked)).json()["calls"]
            assert [one["customer"]["external_id"] for one in listed] == [IVANS_ID], asked
        nobody = (await http.get("/v1/telephony/calls", params={"customer_id": OKSANA})).json()
        assert nobody["calls"] == []
        presence = (await http.get("/v1/presence", params={"employee_ids": PETRO})).json()
        assert [one["status"] for one in presence["presences"]] == ["online"]
        found = (await http.get("/v1/telephony/lookup", params={"number": IVAN})).json()
        assert found["candidates"][0]["customer"]["external_id"] == IVANS_ID


async def test_a_token_for_nobody_is_refused(text_desk: Desk) -> None:
    """An id is compared as the CRM writes it."""
    for subject in ("6f1c6f1c-6f1c-4f1c-8f1c-6f1c6f1c6f1c", "clx0a1b2c3", OKSANA.upper()):
        with pytest.raises(ConnectionEnded, match=r"employee\.disabled|employee disabled"):
            async with connect(text_desk.nodes[0].socket_url, text_desk.tokens.issue(subject)):
                pass
