"""Service accounts as one worker keeps them: who has which key, what they may do and how fast.

rest ─▶ ServiceAccounts ─▶ database. All of them are read at once, because they are few: an unknown
key costs no statement of its own. Standing checks have them read again as soon as one has changed.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.auth import service_keys
from gateway.auth.queries import service_accounts as queries
from gateway.auth.queries.service_accounts import StoredKey
from gateway.auth.shared_reads import SharedReads
from gateway.db import Conn
from gateway.errors import (
    ScopeMissing,
    ServiceKeyExpired,
    ServiceKeyInvalid,
    ServiceKeyRevoked,
    TooFast,
)
from gateway.limits import Rate

KEPT_S = 5.0
"""A revoked key ends after so long where nobody tells of it."""
UNKNOWN_S = 1.0
"""A key that is not known may have been made a moment ago: all are read again, at most so often."""
BURST_S = 2.0
"""An account may send at once what its rate allows in this time."""
MARK_EVERY_S = 60.0
ALL = "all"
"""What is read: all accounts in one statement."""

Connect = Callable[[], AbstractAsyncContextManager[Conn]]


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A program of the CRM whose key was checked. It is no employee."""

    id: int
    name: str
    scopes: frozenset[str]
    rate_per_s: float
    key_id: str

    def require(self, scope: str) -> None:
        """Raise ScopeMissing unless this account has the scope."""
        if scope not in self.scopes:
            raise ScopeMissing(f"This needs the scope {scope}.")


class ServiceAccounts:
    """The service accounts that one worker knows."""

    def __init__(
        self,
        connect: Connect,
        *,
        kept_s: float = KEPT_S,
        now: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._connect = connect
        self._kept_s = kept_s
        self._now = now
        self._wall_clock = wall_clock
        self._kept: Mapping[str, StoredKey] = {}
        self._read_at = float("-inf")
        self._reading = SharedReads[str, Mapping[str, StoredKey]]("service accounts")
        self._spent_until: dict[int, float] = {}
        self._used: set[str] = set()
        self._mark_at = 0.0
        self.reads = 0
        """Number of times that the database was asked."""

    async def authenticate(self, key: str) -> ServiceAccount:
        """Return the account of this key; otherwise say what is wrong with the key."""
        key_id = service_keys.key_id_of(key)
        if key_id is None:
            raise ServiceKeyInvalid
        found = await self._find(key_id)
        if found is None or not hmac.compare_digest(found.key_hash, service_keys.key_hash(key)):
            raise ServiceKeyInvalid
        if found.revoked:
            raise ServiceKeyRevoked
        now = datetime.fromtimestamp(self._wall_clock(), UTC)
        if found.expires_at is not None and found.expires_at <= now:
            raise ServiceKeyExpired
        self._used.add(key_id)
        scopes = frozenset(found.scopes)
        return ServiceAccount(found.account_id, found.name, scopes, found.rate_per_s, key_id)

    def spend(self, account: ServiceAccount, units: int = 1) -> None:
        """Use some of an account's rate on this node; TooFast when it is used up."""
        rate, now = _rate_of(account), self._now()
        spent_until = self._spent_until.get(account.id, 0.0)
        if wait_s := rate.wait_s(spent_until, now):
            raise TooFast(wait_s)
        self._spent_until[account.id] = rate.spend(spent_until, now, units)

    def charge(self, account: ServiceAccount, units: int) -> None:
        """Use more after a request was admitted: what follows waits until that is made up for."""
        spent_until = self._spent_until.get(account.id, 0.0)
        self._spent_until[account.id] = _rate_of(account).spend(spent_until, self._now(), units)

    def forget(self) -> None:
        """Read all of them again the next time."""
        self._read_at = float("-inf")
        self._reading.forget(lambda _: True)

    async def mark_used(self) -> None:
        """Note now and then in the database which keys are used."""
        now = self._now()
        if not self._used or now < self._mark_at:
            return
        used, self._used = self._used, set()
        self._mark_at = now + MARK_EVERY_S
        async with self._connect() as conn:
            await queries.mark_used(conn, sorted(used))

    async def _find(self, key_id: str) -> StoredKey | None:
        age_s = self._now() - self._read_at
        if age_s >= self._kept_s or (key_id not in self._kept and age_s >= UNKNOWN_S):
            return (await self._reading.read(ALL, self._read)).get(key_id)
        return self._kept.get(key_id)

    async def _read(self) -> Mapping[str, StoredKey]:
        began = self._now()
        self.reads += 1
        async with self._connect() as conn:
            stored = await queries.read_all(conn)
        found = {one.key_id: one for one in stored}
        if self._reading.may_keep(ALL):
            self._kept, self._read_at = found, began
            known = {one.account_id for one in stored}
            self._spent_until = {one: at for one, at in self._spent_until.items() if one in known}
        return found


def _rate_of(account: ServiceAccount) -> Rate:
    return Rate(account.rate_per_s, max(1.0, account.rate_per_s * BURST_S))
