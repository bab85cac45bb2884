"""Open connections over HTTP: an employee's own, and for programs anybody's."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from gateway import connections
from gateway.audit import Origin
from gateway.auth.scopes import CONNECTIONS_MANAGE
from gateway.connections import ConnectionClosing
from gateway.errors import Forbidden, Invalid
from gateway.protocol.connections import ConnectionList, ConnectionsClosed
from gateway.rest.callers import Caller, service_or_employee
from gateway.rest.depends import EmployeeQuery, StrictRoute, answer
from gateway.rest.request_id import request_id_of
from gateway.rest.worker import parts_of

router = APIRouter(prefix="/v1/connections", tags=["connections"], route_class=StrictRoute)

Managing = Annotated[Caller, Depends(service_or_employee(CONNECTIONS_MANAGE))]
SessionId = Annotated[
    str | None,
    Query(pattern=r"^[0-9a-f]{16}$", description="`session` of the welcome, and of the list."),
]


@router.get("", response_model=ConnectionList)
async def list_connections(
    caller: Managing, request: Request, employee_id: EmployeeQuery = None
) -> Response:
    """My open connections on all nodes; a service account names an employee."""
    whose = await _whose(caller, employee_id)
    return answer(await connections.list_all(parts_of(request).connections, whose))


@router.delete("", response_model=ConnectionsClosed)
async def close_connections(
    caller: Managing,
    request: Request,
    *,
    employee_id: EmployeeQuery = None,
    session: SessionId = None,
    keep: SessionId = None,
    reconnect: bool = False,
) -> Response:
    """Close one connection of mine, or all but one; a service account names an employee.

    The close is 4012: clients do not come back by themselves. With `reconnect` it is 4602: they
    come back at once. Neither keeps somebody out whose token is valid: revoke that, too.
    """
    if session is not None and keep is not None:
        raise Invalid("Give session or keep, not both.")
    whose = await _whose(caller, employee_id)
    closing = ConnectionClosing(session, keep, reconnect)
    if caller.account is not None:
        origin = Origin("rest", request_id_of(request.scope))
        await connections.note_close(caller.services, caller.account, whose, closing, origin=origin)
    return answer(await connections.close(parts_of(request).connections, whose, closing))


async def _whose(caller: Caller, employee_id: int | None) -> int:
    """Return whose connections are meant; refuse those of others, and of nobody."""
    if caller.employee is not None:
        own = caller.employee.user_id
        if employee_id not in {None, own}:
            raise Forbidden("Only your own connections: others' are for service accounts.")
        return own
    if employee_id is None:
        raise Invalid("A service account names an employee.", path="employee_id")
    await connections.require_employee(caller.services, employee_id)
    return employee_id
