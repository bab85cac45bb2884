"""Search for colleagues by name, position or department."""

from __future__ import annotations

from gateway import cursors
from gateway.context import Context
from gateway.people.presences import presences_of
from gateway.people.queries import search as queries
from gateway.people.queries.search import EmployeePosition
from gateway.protocol import EmployeeSearch, EmployeesFound
from gateway.serving import serves


@serves(EmployeeSearch)
async def employees(ctx: Context, command: EmployeeSearch) -> EmployeesFound:
    """Return a page of active employees with their presence."""
    after = EmployeePosition(*cursors.unpack_ranked(command.cursor)) if command.cursor else None
    async with ctx.reading() as conn:
        asked = await queries.employees(
            conn, command.text.strip(), after=after, limit=command.limit + 1
        )
    if asked.unkept:
        ctx.services.unkept_words.set()
    found = asked.employees
    page = [employee for _, employee in found[: command.limit]]
    last = found[command.limit - 1][0] if len(found) > command.limit else None
    return EmployeesFound(
        employees=page,
        presences=await presences_of(ctx, [employee.id for employee in page]),
        next=cursors.pack_ranked(last.rank, last.named, last.id) if last else None,
    )
