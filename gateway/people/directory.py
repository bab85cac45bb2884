"""The directory: who works here."""

from __future__ import annotations

from gateway import cursors
from gateway.context import Context
from gateway.people.queries import directory as queries
from gateway.protocol import Employee
from gateway.protocol.frame import frame


@frame
class EmployeePage:
    """Employees by name."""

    employees: list[Employee]
    next: str | None = None


async def search(ctx: Context, text: str, *, limit: int, cursor: str | None = None) -> EmployeePage:
    """Return a page of active employees in whose name, position or department text occurs."""
    after = cursors.unpack_name(cursor) if cursor else None
    async with ctx.reading() as conn:
        found = await queries.page(conn, text=text.strip(), after=after, limit=limit + 1)
    if len(found) <= limit:
        return EmployeePage(employees=found)
    last = found[limit - 1]
    return EmployeePage(employees=found[:limit], next=cursors.pack_name(last.name, last.id))
