"""Authentication: tokens, and the employee that a token names.

claims = await tokens.authenticate(token)
identity = await auth.identify(conn, claims)
"""

from __future__ import annotations

from gateway.auth import token_check
from gateway.auth.identity import Identity
from gateway.auth.keys import KeysUnusable
from gateway.auth.opened import accepted_secrets, make_tokens, open_tokens
from gateway.auth.queries import employees
from gateway.auth.queries.employees import EmployeeRecord
from gateway.auth.tokens import Claims, Tokens
from gateway.db import Conn
from gateway.errors import ContractUnavailable, EmployeeDisabled, TokenRevoked


async def identify(conn: Conn, claims: Claims) -> Identity:
    """Return the identity for these claims; EmployeeDisabled when the employee is not active.

    TokenRevoked when this very token was revoked.
    """
    return admit(await employees.find(conn, claims.employee_id, token_id=claims.token_id), claims)


def admit(found: EmployeeRecord | None, claims: Claims) -> Identity:
    """Make the identity of a record; EmployeeDisabled when it is None or not active.

    TokenRevoked when the record says that of the token, ContractUnavailable when the CRM has
    several records of this employee.
    """
    if found is None or not found.active:
        raise EmployeeDisabled
    if found.revoked:
        raise TokenRevoked
    if found.repeated:
        raise ContractUnavailable("employees", f"has employee {claims.employee_id} twice")
    return Identity(found.employee, found.permissions, claims.expires_at, claims.token_id)


__all__ = [
    "Claims",
    "EmployeeRecord",
    "Identity",
    "KeysUnusable",
    "Tokens",
    "accepted_secrets",
    "admit",
    "identify",
    "make_tokens",
    "open_tokens",
    "token_check",
]
