"""Service accounts on running nodes: their keys, by REST and by the command line."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

import httpx2
import pytest
import typer
from fastapi import APIRouter, Depends

from gateway import service_accounts
from gateway.auth import ServiceAccounts, scopes
from gateway.auth.service_keys import make_key
from gateway.cli import service as command
from gateway.client import ConnectionEnded, connect
from gateway.db import connect as connect_database
from gateway.rest.callers import Caller, charge, service_or_employee, service_with
from tests.support.desk import OKSANA, Desk, RunningNode, eventually
from tests.support.programs import account, code_of, shows

EITHER, SERVICE = "/v1/tests/either", "/v1/tests/service"

router = APIRouter()


@router.post(EITHER)
async def either(
    caller: Annotated[Caller, Depends(service_or_employee(scopes.EVENTS_PUBLISH))],
) -> dict[str, str]:
    """Say who asks."""
    return {"caller": caller.name}


@router.get(SERVICE)
async def only_services(
    caller: Annotated[Caller, Depends(service_with(scopes.CONNECTIONS_MANAGE))],
) -> dict[str, str]:
    """Say which account asks."""
    return {"caller": caller.name}


async def start(desk: Desk, **settings: Any) -> RunningNode:
    """Start a node that serves the two routes above, too."""
    node = await desk.start_node(**settings)
    node.app.router.routes[:0] = router.routes
    return node


async def test_a_key_and_a_token_are_told_apart(empty_desk: Desk) -> None:
    """Each where it belongs; elsewhere with a code that says which of the two is wanted."""
    await start(empty_desk)
    program = shows(empty_desk, (await account(empty_desk)).key)
    oksana = empty_desk.http(OKSANA)

    assert (await program.post(EITHER)).json() == {"caller": "service:crm"}
    assert (await oksana.post(EITHER)).json() == {"caller": f"employee:{OKSANA}"}
    assert (await program.get(SERVICE)).json() == {"caller": "service:crm"}
    assert code_of(await oksana.get(SERVICE)) == (403, "service_key.required")
    for path in ("/v1/messenger/conversations", "/v1/audit", "/v1/presence?employee_ids=1"):
        assert code_of(await program.get(path)) == (403, "service_key.refused")
    assert code_of(await empty_desk.http().get(SERVICE)) == (401, "token.missing")
    assert code_of(await empty_desk.http().post(EITHER)) == (401, "token.missing")


async def test_no_socket_takes_a_key(empty_desk: Desk) -> None:
    """In hello, and in the header of the upgrade; the connection ends as with a forged token."""
    node = await start(empty_desk)
    made = await account(empty_desk)

    with pytest.raises(ConnectionEnded, match=r"4001 service_key\.refused"):
        async with connect(node.socket_url, made.key):
            pass


async def test_every_employee_route_refuses_a_key(empty_desk: Desk) -> None:
    """Of all that the gateway serves, only what is meant for programs takes one."""
    await start(empty_desk)
    program = shows(empty_desk, (await account(empty_desk, of=tuple(scopes.ALLOWS))).key)
    described = (await program.get("/openapi.json")).json()["paths"]
    tried = 0

    for path, methods in described.items():
        for method, operation in methods.items():
            for_employees = {"HTTPBearer": []} in operation.get("security", [])
            if not for_employees:
                continue
            filled = path.replace("{", "").replace("}", "")
            answer = await program.request(method.upper(), filled)
            assert code_of(answer) in {(403, "service_key.refused"), (422, "command.invalid")}, path
            tried += answer.status_code == 403
    assert tried > 20


async def test_a_scope_that_is_missing_is_named(empty_desk: Desk) -> None:
    """403, and not 401: another key would be no better."""
    await start(empty_desk)
    made = await account(empty_desk, of=(scopes.MESSAGES_SEND,))

    answer = await shows(empty_desk, made.key).post(EITHER)

    assert code_of(answer) == (403, "service_key.scope_missing")
    assert scopes.EVENTS_PUBLISH in answer.json()["error"]["message"]


@pytest.mark.parametrize("wrong", [
    "gw_", "gw_x", "gw_" + "a" * 60, "gw_" + "é" * 10, "gw_" + "a" * 9_000, "GW_x", "unknown",
])  # fmt: skip
async def test_a_wrong_key_is_refused(empty_desk: Desk, wrong: str) -> None:
    """Cut, too long, of other characters, in capitals (a forged token), and one of elsewhere."""
    node = await start(empty_desk)
    key = make_key().key if wrong == "unknown" else wrong
    shown = [(b"Authorization", f"Bearer {key}".encode())]

    answer = await empty_desk.http().post(EITHER, headers=shown)

    expected = "token.invalid" if wrong == "GW_x" else "service_key.invalid"
    assert code_of(answer) == (401, expected)
    assert node.node.service_accounts.reads == (wrong == "unknown")


async def test_guesses_are_limited_by_address(empty_desk: Desk) -> None:
    """As those of tokens: they count as anonymous, and keys that are valid do not."""
    await start(empty_desk, anonymous_per_s=0.001, anonymous_burst=3)
    program = shows(empty_desk, (await account(empty_desk)).key)
    for _ in range(5):
        assert (await program.post(EITHER)).status_code == 200
        assert (await program.get("/v1/audit")).status_code in {403, 429}

    assert code_of(await program.get("/v1/audit")) == (429, "limit.anonymous")
    assert (await program.post(EITHER)).status_code == 200


async def test_a_revoked_key_ends_on_every_node(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though each node would keep what it has read for an hour."""
    defaults = ServiceAccounts.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "kept_s", 3_600.0)
    for _ in range(2):
        await start(empty_desk, standing_s=0.05)
    made, other = await account(empty_desk), await account(empty_desk, "erp")
    clients = [shows(empty_desk, made.key, node=node) for node in range(2)]
    others = [shows(empty_desk, other.key, node=node) for node in range(2)]
    assert {(await one.post(EITHER)).status_code for one in clients} == {200}

    conn = await connect_database(empty_desk.database, application_name="test")
    assert await service_accounts.revoke(conn, "crm", key_id=made.key_id)
    await conn.close()

    for one in clients:
        await eventually(lambda one=one: _is_refused(one))
    assert {(await one.post(EITHER)).status_code for one in others} == {200}


async def _is_refused(client: httpx2.AsyncClient) -> bool:
    answer = await client.post(EITHER)
    return code_of(answer) == (401, "service_key.revoked")


async def test_who_is_too_fast_is_told_when_to_come_back(empty_desk: Desk) -> None:
    """429 with Retry-After; another account, and an employee, are not concerned."""
    await start(empty_desk)
    slow = shows(empty_desk, (await account(empty_desk, "slow", rate=0.01)).key)
    other = shows(empty_desk, (await account(empty_desk)).key)

    assert (await slow.post(EITHER)).status_code == 200
    answer = await slow.post(EITHER)

    assert code_of(answer) == (429, "limit.too_fast")
    assert 90 <= int(answer.headers["Retry-After"]) <= 100
    assert (await other.post(EITHER)).status_code == 200
    assert (await empty_desk.http(OKSANA).post(EITHER)).status_code == 200


async def test_a_request_reads_and_writes_nothing_of_its_own(empty_desk: Desk) -> None:
    """A thousand requests of several accounts: the accounts are read once in five seconds."""
    node = await start(empty_desk)
    clients = [
        shows(empty_desk, (await account(empty_desk, name)).key) for name in ("crm", "erp", "pim")
    ]
    for _ in range(20):
        answers = await asyncio.gather(*(client.post(EITHER) for client in clients))
        assert {answer.status_code for answer in answers} == {200}

    assert node.node.service_accounts.reads <= 3
    used = "SELECT FROM realtime.service_keys WHERE last_used_at IS NOT NULL"

    async def noted() -> bool:
        return len(await empty_desk.sql(used)) == 3

    await eventually(noted)


async def test_a_batch_counts_as_what_it_asks_for(empty_desk: Desk) -> None:
    """A route may charge more than one for a request that was admitted."""
    node = await start(empty_desk)
    made = await account(empty_desk, rate=1.0)
    accounts = node.node.service_accounts
    caller = Caller(node.node.services, account=await accounts.authenticate(made.key))

    class Request:
        app = node.app

    charge(Request(), caller, 100)  # type: ignore[arg-type]

    answer = await shows(empty_desk, made.key).post(EITHER)
    assert answer.status_code == 429


# --- the command line ------------------------------------------------------------------------


@pytest.fixture
def run(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Give what runs a command and returns its output; its status, if it exits with one."""
    monkeypatch.setenv("GATEWAY_DATABASE_URL", empty_desk.database)

    async def run(how: Any, *arguments: Any, **options: Any) -> Any:
        capsys.readouterr()
        try:
            await asyncio.to_thread(how, *arguments, **options)
        except typer.Exit as ended:
            capsys.readouterr()
            return ended.exit_code
        return capsys.readouterr().out

    return run


GIVEN: dict[str, Any] = {
    "scope": [scopes.EVENTS_PUBLISH], "rate": 5.0, "expires": None, "json": False,
}  # fmt: skip


async def test_the_command_line_makes_and_ends_keys(empty_desk: Desk, run: Any) -> None:
    """`gateway service add|rotate|list|revoke`: what it prints is what is accepted."""
    await start(empty_desk, standing_s=0.05)
    first = (await run(command.add, "crm", **GIVEN)).strip()
    second = json.loads(await run(command.rotate, "crm", expires="90d", json=True))
    programs = [shows(empty_desk, key) for key in (first, second["key"])]
    for program in programs:
        assert (await program.post(EITHER)).json() == {"caller": "service:crm"}

    listed = (await run(command.list_keys, json=False)).splitlines()
    assert [line.split()[:4] for line in listed[1:]] == [
        ["crm", second["key_id"], "valid", "5/s"], ["crm", first.split("_")[1], "valid", "5/s"],
    ]  # fmt: skip
    assert first not in str(listed)
    assert (await run(command.revoke, "crm", key=second["key_id"])).startswith("crm: key ")
    await eventually(lambda: _is_refused(programs[1]))
    assert (await programs[0].post(EITHER)).status_code == 200
    assert "is revoked" in await run(command.revoke, "crm", key=None)
    await eventually(lambda: _is_refused(programs[0]))

    shown = json.loads(await run(command.list_keys, json=True))
    assert {one["key_id"]: one["revoked_at"] is None for one in shown} == {
        second["key_id"]: False, first.split("_")[1]: True,
    }  # fmt: skip
    assert all(one["account_revoked_at"] for one in shown)
    assert all("hash" not in name for one in shown for name in one)


@pytest.mark.parametrize(("name", "changes", "status"), [
    ("Crm", {}, 2), ("", {}, 2), ("c" * 64, {}, 2), ("crm\n", {}, 2), ("crm", {"scope": []}, 2),
    ("crm", {"scope": ["messages.read"]}, 2), ("crm", {"rate": float("nan")}, 1),
])  # fmt: skip
async def test_a_wrong_account_is_refused(
    empty_desk: Desk, run: Any, name: str, changes: dict[str, Any], status: int
) -> None:
    """With a status, and nothing is stored."""
    assert await run(command.add, name, **GIVEN | changes) == status
    assert await empty_desk.sql("SELECT * FROM realtime.service_accounts") == []


async def test_what_is_not_there_is_said(empty_desk: Desk, run: Any) -> None:
    """A second account of a name, another key of none, the end of none."""
    await run(command.add, "crm", **GIVEN)

    assert await run(command.add, "crm", **GIVEN) == 1
    assert await run(command.rotate, "erp", expires=None, json=False) == 1
    assert await run(command.revoke, "erp", key=None) == 1
    assert await run(command.revoke, "crm", key="0000000000") == 1
