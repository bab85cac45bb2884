"""Who sent an HTTP request where programs may, too: a service account or an employee.

    Publishing = Annotated[Caller, Depends(service_or_employee(EVENTS_PUBLISH))]
    Managing = Annotated[Caller, Depends(service_with(CONVERSATIONS_MANAGE))]

A key is checked by auth/service_accounts.py, a token as everywhere (depends.py). What an employee
may do is for the route to decide: scopes are of service accounts alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from gateway.auth import ServiceAccount
from gateway.auth.service_keys import is_service_key
from gateway.context import Context, Services
from gateway.errors import ServiceKeyRequired, TokenMissing
from gateway.rest import anonymous, depends
from gateway.rest.worker import parts_of

TOKEN_OR_KEY = HTTPBearer(
    auto_error=False,
    scheme_name="Token or service key",
    description="The key of a service account, or the token of an employee.",
)
KEY = HTTPBearer(
    auto_error=False, scheme_name="Service key", description="The key of a service account."
)
Credentials = HTTPAuthorizationCredentials | None


@dataclass(frozen=True, slots=True)
class Caller:
    """A service account or an employee: one of the two is there."""

    services: Services
    account: ServiceAccount | None = None
    employee: Context | None = None

    @property
    def name(self) -> str:
        """What logs and the audit call this caller."""
        if self.account is not None:
            return f"service:{self.account.name}"
        assert self.employee is not None
        return f"employee:{self.employee.user_id}"


def service_or_employee(scope: str) -> Callable[..., Awaitable[Caller]]:
    """Return a dependency: an account that has this scope, or any active employee."""

    async def either(
        request: Request, credentials: Annotated[Credentials, Depends(TOKEN_OR_KEY)]
    ) -> Caller:
        if credentials is not None and is_service_key(credentials.credentials):
            return await _service(request, credentials.credentials, scope)
        asking = await depends.context(request, credentials)
        return Caller(asking.services, employee=asking)

    return either


def service_with(scope: str) -> Callable[..., Awaitable[Caller]]:
    """Return a dependency: an account that has this scope, and nobody else."""

    async def service(
        request: Request, credentials: Annotated[Credentials, Depends(KEY)]
    ) -> Caller:
        if credentials is None:
            raise TokenMissing
        if not is_service_key(credentials.credentials):
            raise ServiceKeyRequired
        return await _service(request, credentials.credentials, scope)

    return service


def charge(request: Request, caller: Caller, work: int) -> None:
    """Count a request that was admitted as often as what it asks for is worth."""
    if caller.account is not None and work > 1:
        parts_of(request).service_accounts.charge(caller.account, work - 1)
    elif caller.employee is not None:
        depends.charge(request, caller.employee, work)


async def _service(request: Request, key: str, scope: str) -> Caller:
    parts = parts_of(request)
    account = await parts.service_accounts.authenticate(key)
    anonymous.identified(request.scope)
    parts.service_accounts.spend(account)
    account.require(scope)
    parts.services.admit("read" if request.method in depends.SAFE else "write")
    return Caller(parts.services, account=account)
