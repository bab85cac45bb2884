"""Open connections: an employee sees and closes their own, a service account anybody's.

rest ─▶ here ─▶ sockets.admission.connections, which asks all nodes. What a program closes is noted
in the audit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from gateway import audit
from gateway.audit import Act, Origin
from gateway.auth import ServiceAccount
from gateway.auth.queries import employees_batch
from gateway.context import Services
from gateway.errors import ConnectionNotFound, ConnectionsUnavailable, EmployeeNotFound
from gateway.protocol.connections import ConnectionList, ConnectionsClosed, OpenConnection

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConnectionClosing:
    """Which connections of an employee to close, and how."""

    session: str | None = None
    """None: all."""
    keep: str | None = None
    """Not this one."""
    reconnect: bool = False
    """Whether the clients are to come back at once."""

    def includes(self, session_id: str) -> bool:
        """Return whether this connection is to be closed."""
        return session_id != self.keep and self.session in {None, session_id}


@dataclass(frozen=True, slots=True)
class Answers(Generic[T]):
    """What the nodes answered."""

    found: list[T]
    unanswered: list[str]
    """Nodes that did not answer in time."""


class AllConnections(Protocol):
    """The connections of all nodes."""

    async def list_all(self, user_id: int) -> Answers[OpenConnection]:
        """Return the connections of an employee; ConnectionsUnavailable."""

    async def close(self, user_id: int, closing: ConnectionClosing) -> Answers[str]:
        """Close connections of an employee; return their ids; ConnectionsUnavailable."""


async def list_all(connections: AllConnections, employee_id: int) -> ConnectionList:
    """Return the connections of an employee."""
    answers = await connections.list_all(employee_id)
    return ConnectionList(connections=answers.found, unanswered=answers.unanswered)


async def close(
    connections: AllConnections, employee_id: int, closing: ConnectionClosing
) -> ConnectionsClosed:
    """Close connections; ConnectionNotFound when the one that is named is not this employee's."""
    answers = await connections.close(employee_id, closing)
    if closing.session is not None and not answers.found:
        raise ConnectionsUnavailable if answers.unanswered else ConnectionNotFound
    return ConnectionsClosed(sessions=answers.found, unanswered=answers.unanswered)


async def require_employee(services: Services, employee_id: int) -> None:
    """Raise EmployeeNotFound when the CRM has no such employee, active or not."""
    async with services.connection() as conn:
        if not await employees_batch.find_profiles(conn, [employee_id]):
            raise EmployeeNotFound("There is no such employee.")


async def note_close(
    services: Services,
    account: ServiceAccount,
    employee_id: int,
    closing: ConnectionClosing,
    *,
    origin: Origin,
) -> None:
    """Note what a program is about to close: what cannot be noted is not done."""
    details = {
        "service": account.name,
        "employee_id": employee_id,
        "session": closing.session,
        "keep": closing.keep,
        "reconnect": closing.reconnect,
    }
    async with services.connection() as conn:
        subject = f"employee:{employee_id}"
        await audit.record(conn, Act("connection.close", origin, subject=subject, details=details))
