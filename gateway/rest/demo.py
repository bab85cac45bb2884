"""The demo's sign-in: anyone becomes anyone. Only `gateway dev` serves it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gateway.auth.queries import employees
from gateway.errors import EmployeeNotFound, NotFound
from gateway.people.queries import directory
from gateway.protocol.frame import Id, frame
from gateway.rest.depends import StrictRoute, answer
from gateway.rest.parts import parts_of

router = APIRouter(prefix="/v1/demo", route_class=StrictRoute, include_in_schema=False)


@frame
class SignIn:
    """Whom to sign in as."""

    employee_id: Id


@router.get("/employees")
async def list_employees(request: Request) -> Response:
    """Everyone one may sign in as."""
    parts = parts_of(request)
    if not parts.settings.demo:
        raise NotFound
    async with parts.services.connection() as conn:
        found = await directory.page(conn, text="", after=None, limit=100)
    return answer({"employees": found})


@router.post("/token")
async def issue_token(request: Request, body: SignIn) -> Response:
    """Give a token for this employee."""
    parts = parts_of(request)
    if not parts.settings.demo:
        raise NotFound
    async with parts.services.connection() as conn:
        found = await employees.find(conn, body.employee_id)
    if found is None or not found.active:
        raise EmployeeNotFound
    return answer({"token": parts.tokens.issue(body.employee_id)})
