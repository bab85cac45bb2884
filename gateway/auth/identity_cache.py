"""Keeps who the callers of HTTP requests are for some seconds: a page asks many things at once.

rest ─▶ identify() ─▶ database. Sockets read an identity once, and check it again by themselves.
What is kept is forgotten at once when sockets/admission/standing_checks.py finds that it changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from gateway.auth.identity import Identity
from gateway.auth.queries import employees
from gateway.auth.queries.employees import EmployeeRecord
from gateway.auth.shared_reads import SharedReads
from gateway.auth.tokens import Claims
from gateway.db import Conn
from gateway.errors import ContractUnavailable, EmployeeDisabled, TokenRevoked

KEPT_S = 5.0
"""A permission that is taken away ends after so long, unless the CRM says so: then at once."""
MAX_KEPT = 10_000

Connect = Callable[[], AbstractAsyncContextManager[Conn]]
Key = tuple[int, str]
"""An employee and a token: whether it is revoked was read with the employee."""


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
    own = found.employee.external_id
    if claims.subject not in {"", str(claims.employee_id)} and own not in {None, claims.subject}:
        raise EmployeeDisabled  # two ids of the CRM have one number: this token is for the other
    if found.repeated:
        raise ContractUnavailable("employees", f"has employee {claims.employee_id} twice")
    return Identity(found.employee, found.permissions, claims.expires_at, claims.token_id)


class IdentityCache:
    """The identities of one worker's callers."""

    def __init__(
        self,
        connect: Connect,
        *,
        kept_s: float = KEPT_S,
        max_kept: int = MAX_KEPT,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._kept_s = kept_s
        self._max_kept = max_kept
        self._now = now
        self._kept: dict[Key, tuple[float, Identity]] = {}
        """In the order in which they were read."""
        self._reading = SharedReads[Key, Identity]("identity")
        self.reads = 0
        """Number of times that the database was asked."""

    @property
    def employee_ids(self) -> set[int]:
        """The employees of whom something is kept."""
        self._drop_old()
        return {employee_id for employee_id, _ in self._kept}

    async def identify(self, claims: Claims) -> Identity:
        """Return the identity for these claims, or refuse them as the function of this name does.

        Requests that arrive together wait for one answer of the database.
        """
        key = claims.employee_id, claims.token_id
        if (kept := self._kept.get(key)) is not None and kept[0] + self._kept_s > self._now():
            return replace(kept[1], expires_at=claims.expires_at)
        return await self._reading.read(key, lambda: self._read(key, claims))

    def forget(self, employee_ids: Collection[int] | None) -> None:
        """Read these employees again the next time; None: all."""
        self._drop(lambda key: employee_ids is None or key[0] in employee_ids)

    def forget_tokens(self, token_ids: Collection[str]) -> None:
        """Read the employees who have these tokens again the next time."""
        self._drop(lambda key: key[1] in token_ids)

    def _drop(self, meant: Callable[[Key], bool]) -> None:
        for key in [key for key in self._kept if meant(key)]:
            del self._kept[key]
        self._reading.forget(meant)

    async def _read(self, key: Key, claims: Claims) -> Identity:
        began = self._now()
        self.reads += 1
        async with self._connect() as conn:
            found = await identify(conn, claims)
        if self._reading.may_keep(key):
            self._drop_old()
            self._kept.pop(key, None)
            self._kept[key] = (began, found)
            if len(self._kept) > self._max_kept:
                del self._kept[next(iter(self._kept))]
        return found

    def _drop_old(self) -> None:
        """Forget what is too old."""
        oldest = self._now() - self._kept_s
        while self._kept:
            key, (read_at, _) = next(iter(self._kept.items()))
            if read_at > oldest:
                return
            del self._kept[key]
