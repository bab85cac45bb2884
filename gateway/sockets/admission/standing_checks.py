"""Ends the sessions of dismissed employees and of revoked tokens, within a second or two.

database ─▶ StandingChecks ─▶ sessions, identities, service accounts. The reconciler compares
everything about everybody, and less often; this asks who may no longer be connected, and whom the
CRM has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime

import structlog

from gateway.auth import IdentityCache, ServiceAccounts
from gateway.auth.queries import standing
from gateway.auth.queries.standing import MembershipChange
from gateway.context import Services
from gateway.db import bigints
from gateway.protocol import close_codes
from gateway.sockets.session.session import Session

log = structlog.get_logger(__name__)

PEOPLE_AT_ONCE = 5_000
FORGET_EVERY_S = 3_600.0
RING_GAP_S = 0.05


class StandingChecks:
    """The checks of one node."""

    def __init__(
        self,
        services: Services,
        sessions: Collection[Session],
        *,
        identities: IdentityCache,
        service_accounts: ServiceAccounts,
        compare: Callable[[Collection[int] | None], Awaitable[None]],
        add_memberships: Callable[[Sequence[MembershipChange]], None],
        every_s: float,
    ) -> None:
        self._services = services
        self._sessions = sessions
        self._identities = identities
        self._service_accounts = service_accounts
        self._services_version = 0
        self._add_memberships = add_memberships
        self._news = asyncio.Event()
        self._compare = compare
        self._every_s = every_s
        self._since: datetime | None = None
        self._next_at = 0.0
        self._forget_at = 0.0
        self._applied: set[int] = set()
        """Numbers of changes that are read again, as they may have been committed late."""

    def check_all_revocations(self) -> None:
        """Read them all the next time: a token was accepted that could not be looked up."""
        self._since = None

    def ring(self) -> None:
        """Read soon what is new: somebody says that there is something."""
        self._news.set()

    async def run(self) -> None:
        """Check until cancelled; an outage delays."""
        while True:
            everybody = await self._wait()
            try:
                await self._check(everybody=everybody)
            except Exception as error:  # noqa: BLE001 - checked again in a moment
                log.warning("standing.failed", error=type(error).__name__)
                await asyncio.sleep(1.0)

    async def _wait(self) -> bool:
        """Wait for the next check; return whether it is one of all employees."""
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(max(self._next_at, now)):
                await self._news.wait()
                await asyncio.sleep(RING_GAP_S)  # of many who ring at once, one is enough
        except TimeoutError:
            self._next_at = asyncio.get_running_loop().time() + self._every_s
            return True
        finally:
            self._news.clear()
        return False

    async def _check(self, *, everybody: bool) -> None:
        here: dict[int, list[Session]] = {}
        for session in self._sessions if everybody else ():
            if session.context is not None:
                here.setdefault(session.user_id, []).append(session)
        people = sorted({*here, *self._identities.employee_ids}) if everybody else []
        now = asyncio.get_running_loop().time()
        async with self._services.connection() as conn:
            before = self._since
            news = await standing.news_since(conn, before)
            gone: set[int] = set()
            for first in range(0, len(people), PEOPLE_AT_ONCE):
                asked = people[first : first + PEOPLE_AT_ONCE]
                gone |= await standing.inactive(conn, bigints(asked))
            if now >= self._forget_at:
                await standing.forget(conn)
                self._forget_at = now + FORGET_EVERY_S
        if self._since == before:  # else all are asked for meanwhile
            self._since = news.next
        self._identities.forget(gone)
        for employee_id in gone:
            for session in here.get(employee_id, ()):
                session.close(close_codes.EMPLOYEE_DISABLED)
        if news.revoked:
            self._identities.forget_tokens(news.revoked)
            self._close_revoked(news.revoked)
        if news.services_version != self._services_version:
            self._services_version = news.services_version
            self._service_accounts.forget()
        self._add_memberships(news.memberships)
        await self._apply_changes(news.changed)
        await self._service_accounts.mark_used()

    async def _apply_changes(self, changed: dict[int, list[int] | None]) -> None:
        """Read again whom the CRM has changed; who is not compared now is at the next check."""
        new = [employees for number, employees in changed.items() if number not in self._applied]
        if not new:
            self._applied &= changed.keys()
            return
        listed = [employees for employees in new if employees is not None]
        concerned = {one for each in listed for one in each} if len(listed) == len(new) else None
        self._identities.forget(concerned)
        await self._compare(concerned)
        self._applied = set(changed)

    def _close_revoked(self, revoked: set[str]) -> None:
        for session in list(self._sessions):
            if session.context is not None and session.context.identity.token_id in revoked:
                session.close(close_codes.TOKEN_REFUSED)
