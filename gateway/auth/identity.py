"""The caller of a command: an employee and their permissions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.errors import Forbidden
from gateway.protocol import Employee


@dataclass(frozen=True, slots=True)
class Identity:
    """An employee whose token was checked."""

    employee: Employee
    permissions: frozenset[str]
    expires_at: datetime
    token_id: str = ""
    """The jti of that token."""

    @property
    def user_id(self) -> int:
        return self.employee.id

    def require(self, permission: str) -> None:
        """Raise Forbidden unless this employee has the permission."""
        if permission not in self.permissions:
            raise Forbidden(f"This needs the permission {permission}.")
