"""The CRM says that permissions have changed: sockets and HTTP know it at once, on every node."""

from __future__ import annotations

import asyncpg
import pytest

from gateway.client import Connection, RequestRefused
from gateway.protocol import QueueWatch
from tests.support.desk import DIRECTOR, PETRO, Desk, eventually

LONG_S = 3_600.0
"""Nothing else compares permissions while a test runs."""
CHECK_S = 0.05


async def promote(desk: Desk, employee_id: int, *, like: int, told: bool = True) -> None:
    """Give an employee another's role, as the CRM does in one transaction."""
    said = "SELECT realtime.permissions_changed($1)" if told else "SELECT $1::bigint"
    await desk.sql(
        f"""
        WITH promoted AS (
             UPDATE demo_crm.staff AS s SET role_id = o.role_id
               FROM demo_crm.staff AS o WHERE s.id = $1 AND o.id = $2
             )
        {said}
        """,
        employee_id,
        like,
    )


async def watches(socket: Connection) -> bool:
    """Return whether somebody may watch queues."""
    try:
        await socket.request(QueueWatch(queues=["support"]))
    except RequestRefused:
        return False
    return True


async def test_a_change_that_is_told_is_known_on_every_node(empty_desk: Desk) -> None:
    """Given and taken away, over HTTP and on a socket that is open."""
    for _ in range(2):
        await empty_desk.start_node(upkeep_s=LONG_S, standing_s=CHECK_S)
    [before] = await empty_desk.sql("SELECT role_id FROM demo_crm.staff WHERE id = $1", PETRO)
    clients = [empty_desk.http(PETRO, node=node) for node in range(2)]
    sockets = [await empty_desk.client(PETRO, node=node) for node in range(2)]

    async def granted() -> set[bool]:
        answers = [await client.get("/v1/telephony/queues") for client in clients]
        may_watch = [await watches(socket) for socket in sockets]
        return {*may_watch, *(answer.status_code == 200 for answer in answers)}

    assert await granted() == {False}
    await promote(empty_desk, PETRO, like=DIRECTOR)

    async def is_granted() -> bool:
        return await granted() == {True}

    async def is_denied() -> bool:
        return await granted() == {False}

    await eventually(is_granted)
    await empty_desk.sql(
        "UPDATE demo_crm.staff SET role_id = $2 WHERE id = $1", PETRO, before["role_id"]
    )
    await empty_desk.sql("SELECT realtime.permissions_changed()")
    await eventually(is_denied)


async def test_a_change_that_is_not_told_is_not_known_at_once(empty_desk: Desk) -> None:
    """What is kept saves a statement for each request, and ends by itself."""
    node = await empty_desk.start_node(upkeep_s=LONG_S, standing_s=CHECK_S)
    identities = node.node.identities
    client = empty_desk.http(PETRO)
    denied = (await client.get("/v1/telephony/queues")).status_code
    await promote(empty_desk, PETRO, like=DIRECTOR, told=False)

    assert denied == (await client.get("/v1/telephony/queues")).status_code == 403
    assert identities.reads == 1
    identities.forget({PETRO})
    assert (await client.get("/v1/telephony/queues")).status_code == 200


async def test_a_rollback_tells_nobody(empty_desk: Desk) -> None:
    """The call is a row of the CRM's own transaction."""
    conn = await asyncpg.connect(empty_desk.database)
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute("SELECT realtime.permissions_changed(1, 2)")
    await transaction.rollback()
    await conn.close()

    assert await empty_desk.sql("SELECT * FROM realtime.permission_changes") == []


@pytest.mark.parametrize(
    "arguments",
    ["0", "-1", "NULL", "1, NULL", "VARIADIC NULL", "VARIADIC ARRAY[NULL]::bigint[]",
     "VARIADIC (SELECT array_agg(i) FROM generate_series(1, 1001) AS i)"],
)  # fmt: skip
async def test_ids_that_are_none_are_refused(empty_desk: Desk, arguments: str) -> None:
    """With the code that the CRM's developers know from the other functions."""
    with pytest.raises(asyncpg.PostgresError) as refusal:
        await empty_desk.sql(f"SELECT realtime.permissions_changed({arguments})")

    assert refusal.value.sqlstate == "RT004"
    assert await empty_desk.sql("SELECT * FROM realtime.permission_changes") == []


async def test_nobody_may_call_it_unasked(empty_desk: Desk) -> None:
    """The CRM's role needs the right, and no right on any table."""
    [found] = await empty_desk.sql(
        "SELECT count(*) FROM information_schema.routine_privileges"
        " WHERE routine_name = 'permissions_changed' AND grantee = 'PUBLIC'"
    )

    assert found["count"] == 0
