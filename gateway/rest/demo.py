"""Sign-in of the demo: anyone may sign in as any employee. Only `gateway dev` serves it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from gateway.auth.queries import employees
from gateway.errors import EmployeeNotFound, NotFound
from gateway.people.queries import directory
from gateway.protocol.frame import Id, frame
from gateway.rest.depends import StrictRoute, answer
from gateway.rest.worker import GatewayParts, parts_of

router = APIRouter(prefix="/v1/demo", route_class=StrictRoute, include_in_schema=False)


@frame
class DemoSignIn:
    """The employee to sign in as."""

    employee_id: Id


@router.get("/employees")
async def list_employees(request: Request) -> Response:
    """Employees to sign in as."""
    parts = _demo(request)
    async with parts.services.connection() as conn:
        found = await directory.first(conn, 100)
    return answer({"employees": found})


@router.post("/token")
async def issue_token(request: Request, body: DemoSignIn) -> Response:
    """Issue a token for this employee."""
    parts = _demo(request)
    async with parts.services.connection() as conn:
        found = await employees.find(conn, body.employee_id)
    if found is None or not found.active:
        raise EmployeeNotFound
    return answer({"token": parts.tokens.issue(body.employee_id)})


def _demo(request: Request) -> GatewayParts:
    """Return the worker's parts in a demo; NotFound anywhere else.

    A page elsewhere whose name is made to resolve to this machine (DNS rebinding) shows itself by
    its Host header: that is a name, where ours is an address or localhost.
    """
    parts = parts_of(request)
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    try:
        local = host == "localhost" or bool(ipaddress.ip_address(host))
    except ValueError:
        local = False
    if not (parts.settings.demo and local):
        raise NotFound
    return parts
