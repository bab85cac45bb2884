"""Authentication: tokens, and the employee that a token names.

identity = await auth.identify(tokens, conn, token)
"""

from __future__ import annotations

from gateway.auth.identity import Identity
from gateway.auth.queries import employees
from gateway.auth.queries.employees import EmployeeRecord
from gateway.auth.tokens import Claims, Tokens
from gateway.db import Conn
from gateway.errors import EmployeeDisabled


async def identify(conn: Conn, claims: Claims) -> Identity:
    """Return the identity for these claims; EmployeeDisabled when the employee is not active."""
    return admit(await employees.find(conn, claims.employee_id), claims)


def admit(found: EmployeeRecord | None, claims: Claims) -> Identity:
    """Make the identity of a record; EmployeeDisabled when it is None or not active."""
    if found is None or not found.active:
        raise EmployeeDisabled
    return Identity(found.employee, found.permissions, claims.expires_at)


__all__ = ["Claims", "EmployeeRecord", "Identity", "Tokens", "admit", "identify"]
