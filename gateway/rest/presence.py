"""Presence over HTTP: of many employees, of a department for a wallboard, and the own status."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter

from gateway import commands
from gateway.auth.subjects import DIGITS, EXTERNAL, from_external
from gateway.errors import Invalid
from gateway.people import presences
from gateway.protocol import PresenceIs, PresencePage, PresenceSet, PresenceWatch
from gateway.protocol.codec import validate
from gateway.protocol.frame import MAX_INT, Instant, frame
from gateway.protocol.people import MAX_WATCHED, ChosenStatus, StatusText, work_of_reading
from gateway.rest.depends import Asking, StrictRoute, answer, charge

router = APIRouter(prefix="/v1/presence", tags=["presence"], route_class=StrictRoute)

ID = r"[!-+\--~]{1,255}"
IDS = rf"^{ID}(,{ID})*$"
LONGEST = MAX_WATCHED * 40
"""A uuid and a comma are 37 characters."""

_watch: TypeAdapter[PresenceWatch] = TypeAdapter(PresenceWatch)


@frame
class Chosen:
    """A status and a text; a field that is left out is unset."""

    status: ChosenStatus | None = None
    text: StatusText | None = None
    until: Instant | None = None
    """When both expire."""


@router.get("", response_model=PresencePage)
async def look(
    asking: Asking,
    request: Request,
    *,
    employee_ids: Annotated[str | None, Query(max_length=LONGEST, pattern=IDS)] = None,
    department: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
    after: Annotated[int, Query(ge=0, le=MAX_INT)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_WATCHED)] = MAX_WATCHED,
) -> Response:
    """Presence of employees, by ids separated by commas, or of a department."""
    if (employee_ids is None) == (department is None):
        raise Invalid("Give either employee_ids or department.")
    if department is not None:
        if "\x00" in department:
            raise Invalid("must not contain U+0000", path="department")
        page = await presences.of_department(asking, department, after=after, limit=limit)
        charge(request, asking, work_of_reading(len(page.presences)))
        return answer(page)
    asked = _asked(employee_ids or "")
    charge(request, asking, work_of_reading(len(asked.employee_ids)))
    found = await presences.fetch_watched(asking, asked)
    people = sorted(found.presences, key=lambda one: one.employee_id)
    return answer(PresencePage(presences=people, degraded=found.degraded))


@router.put("/me", response_model=PresenceIs)
async def choose(asking: Asking, body: Chosen) -> Response:
    """Set my status and text."""
    command = PresenceSet(status=body.status, text=body.text, until=body.until)
    return answer(await commands.run(asking, command))


def _asked(employee_ids: str) -> PresenceWatch:
    asked = employee_ids.split(",")
    if not all(DIGITS.fullmatch(one) or EXTERNAL.fullmatch(one) for one in asked):
        raise Invalid("must be ids separated by commas", path="employee_ids")
    fields = {"employee_ids": [int(from_external("employee", one)) for one in asked]}
    command: PresenceWatch = validate(_watch, fields)
    return command
