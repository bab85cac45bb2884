"""A gateway whose CRM breaks the contract: what needs the broken view is off, and nothing else."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from gateway.client import ConnectionEnded
from gateway.crm import VIEWS
from gateway.crm.contract import BY_NAME
from gateway.protocol import CallEnded, CallList, CallOffered, MessageCreated
from tests.support.calls import ANSWERED, IVAN, play, recorded
from tests.support.crm_views import reshaped
from tests.support.desk import DIRECTOR, OKSANA, PETRO, Desk, eventually

LOOKUP = "/v1/telephony/lookup"


async def ready(desk: Desk) -> tuple[str, dict[str, Any]]:
    """Return the check and the part `contract` of /readyz."""
    answer = (await desk.http().get("/readyz")).json()
    return answer["checks"]["contract"], answer["contract"]


def code_of(answer: httpx2.Response) -> str:
    code: str = answer.json()["error"]["code"]
    return code


async def test_calls_are_announced_without_customers(empty_desk: Desk) -> None:
    """Three views are missing: the telephone rings on the screen, only nobody knows who calls."""
    for name in ("customers", "customer_phones", "open_work"):
        await empty_desk.sql(f"ALTER VIEW crm.{name} RENAME TO no_{name}")
    await empty_desk.start_node()
    oksana = await empty_desk.client(OKSANA)

    await play(empty_desk, await recorded(ANSWERED))

    offered = (await oksana.next(CallOffered)).call
    assert (offered.number, offered.customer) == (IVAN, None)
    await oksana.next(CallEnded)
    (listed,) = (await oksana.request(CallList())).calls
    assert (listed.id, listed.customer) == (offered.id, None)
    http = empty_desk.http(OKSANA)
    looked = await http.get(LOOKUP, params={"number": IVAN})
    assert (looked.status_code, code_of(looked)) == (503, "contract.unavailable")
    assert "crm.customers is missing" in looked.text
    status, report = await ready(empty_desk)
    assert status == "ok"
    assert report.keys() == {"crm.customers", "crm.customer_phones", "crm.open_work"}

    for name in ("customers", "customer_phones", "open_work"):
        await empty_desk.sql(f"ALTER VIEW crm.no_{name} RENAME TO {name}")
    found = await eventually(lambda: _found(http), timeout_s=20)

    assert found["candidates"][0]["customer"]["name"] == "Ivan Petrenko"
    assert await ready(empty_desk) == ("ok", {})


async def _found(http: httpx2.AsyncClient) -> Any:
    answer = await http.get(LOOKUP, params={"number": IVAN})
    return answer.json() if answer.status_code == 200 else None


async def test_without_a_view_everything_else_works(small_desk: Desk) -> None:
    """People sign in and chat, calls are stored; no request is an error of the gateway."""
    gateway = small_desk.nodes[0].app.state.gateway
    http = small_desk.http(DIRECTOR)
    paths = (await http.get("/openapi.json")).json()["paths"]
    lists = [path for path, methods in paths.items() if "get" in methods and "{" not in path]
    assert len(lists) > 15
    await play(small_desk, await recorded(ANSWERED))
    for view in VIEWS:
        if view.name == "employees":
            continue
        await small_desk.sql(f"ALTER VIEW {view.full_name} RENAME TO elsewhere")
        await gateway.contract.look()

        oksana, petro = await small_desk.client(OKSANA), await small_desk.client(PETRO)
        conversation = (await oksana.open(PETRO)).conversation
        await oksana.send(conversation.id, f"Without {view.name}")
        assert (await petro.next(MessageCreated)).message.text == f"Without {view.name}"
        await oksana.close()
        await petro.close()
        for path in lists:
            answer = await http.get(path, params={"number": IVAN, "q": "a", "agent_id": OKSANA})
            if answer.status_code >= 500:
                assert code_of(answer) == "contract.unavailable", path
                assert view.full_name in answer.text, path
        assert (await ready(small_desk))[0] == "ok"
        await small_desk.sql(f"ALTER VIEW crm.elsewhere RENAME TO {view.name}")
    await gateway.contract.look()

    assert await ready(small_desk) == ("ok", {})


async def test_text_ids_are_told_at_the_start_and_not_at_every_hello(empty_desk: Desk) -> None:
    """The node is not ready, says which column, and asks clients to come back later."""
    await empty_desk.sql("DROP VIEW crm.employees")
    await empty_desk.sql(
        """
        CREATE VIEW crm.employees AS
        SELECT id::text AS id, full_name AS name, NULL AS department, NULL AS position,
               NULL AS avatar_url, true AS active FROM demo_crm.staff
        """
    )
    await empty_desk.start_node()

    status, report = await ready(empty_desk)

    assert status == "unusable"
    assert (await empty_desk.http().get("/readyz")).status_code == 503
    assert report["crm.employees"].startswith("has id as text, not bigint")
    answer = await empty_desk.http(OKSANA).get("/v1/messenger/conversations")
    assert (answer.status_code, code_of(answer)) == (503, "contract.unavailable")
    assert answer.headers["Retry-After"]
    assert "crm.employees has id as text, not bigint" in answer.text


async def test_a_person_who_is_there_twice_is_refused_and_nobody_else(empty_desk: Desk) -> None:
    """Nobody knows which of the two they are; their colleagues write to them as before."""
    await empty_desk.start_node()
    petro = await empty_desk.client(PETRO)
    conversation = (await petro.open(OKSANA)).conversation
    await empty_desk.sql(
        """
        CREATE OR REPLACE VIEW crm.employees AS
        SELECT s.id, s.full_name AS name, d.name AS department, s.job_title AS position,
               s.photo_url AS avatar_url, s.dismissed_on IS NULL AS active
          FROM demo_crm.staff AS s JOIN demo_crm.departments AS d
            ON d.id = s.department_id OR (s.id = 1 AND d.id = 2)
        """
    )

    with pytest.raises(ConnectionEnded, match=r"contract\.unavailable"):
        await empty_desk.client(OKSANA, reconnect=False)
    answer = await empty_desk.http(OKSANA).get("/v1/messenger/conversations")
    assert (answer.status_code, code_of(answer)) == (503, "contract.unavailable")
    assert "employee 1 twice" in answer.text
    sent = await petro.send(conversation.id, "Are you there?")
    assert sent.text == "Are you there?"
    http = empty_desk.http(PETRO)
    for path in ("/v1/messenger/conversations", "/v1/messenger/search/employees?q=oksana"):
        assert (await http.get(path)).status_code == 200
    listed = (await http.get(f"/v1/messenger/conversations/{conversation.id}")).json()[
        "conversation"
    ]
    assert sorted(one["employee"]["id"] for one in listed["participants"]) == [OKSANA, PETRO]
    _, report = await eventually(lambda: _reported(empty_desk), timeout_s=20)
    assert report == {"crm.employees": "has rows twice: id 1"}


async def _reported(desk: Desk) -> Any:
    status, report = await ready(desk)
    return (status, report) if report else None


async def test_a_view_that_breaks_while_it_runs_is_off_a_moment_later(small_desk: Desk) -> None:
    """The statement that failed brings the check forward."""
    await small_desk.sql("DROP VIEW crm.open_work")
    http = small_desk.http(OKSANA)

    async def asked() -> bool:
        answer = await http.get(LOOKUP, params={"number": IVAN})
        return answer.status_code == 200

    await eventually(asked, timeout_s=20)

    assert (await ready(small_desk))[1].keys() == {"crm.open_work"}
    await small_desk.sql(
        "CREATE VIEW crm.open_work AS "
        + reshaped(BY_NAME["open_work"], {"id": "5::bigint"}).partition(" AS ")[2]
    )
    found = await eventually(lambda: _work_of(http), timeout_s=20)
    assert [one["id"] for one in found] == [5]


async def _work_of(http: httpx2.AsyncClient) -> Any:
    answer = await http.get(LOOKUP, params={"number": IVAN})
    return answer.json()["candidates"][0]["customer"]["open_work"]
