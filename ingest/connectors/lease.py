"""One lease for each PBX, so that two nodes do not receive the same events.

live ─▶ ConnectorLease ─▶ a row in realtime.pbx_leases. The database's clock decides who holds it.
The holder counts by its own clock from before its request, so for the holder the lease ends before
another node can acquire it.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from ingest.conn import Pool
from ingest.queries import connectors as queries
from ingest.queries.connectors import AcquiredLease

log = logging.getLogger(__name__)

DATABASE_S = 5.0


class LeaseLost(Exception):
    """Another node may be connected now: this node must not store events of the PBX."""


class ConnectorLease:
    """This node's lease of one PBX."""

    def __init__(self, pool: Pool, source: str, holder: str, lease_s: float) -> None:
        self._pool = pool
        self._source = source
        self._holder = holder
        self._lease_s = lease_s
        self._until = 0.0
        self.stored_until: datetime | None = None
        """Up to when all events of the PBX are stored; saved as heard_at with every renewal."""

    async def acquire(self) -> AcquiredLease | None:
        """Acquire it; None while another node holds it. Raises the database's errors."""
        requested_at = _now()
        async with asyncio.timeout(DATABASE_S), self._pool.acquire() as conn:
            lease = timedelta(seconds=self._lease_s)
            acquired = await queries.acquire(conn, self._source, self._holder, lease)
        if acquired is not None:
            self._until, self.stored_until = requested_at + self._lease_s, acquired.heard_at
        return acquired

    def check(self) -> None:
        """Raise LeaseLost once another node may hold it."""
        if _now() >= self._until:
            raise LeaseLost(f"not renewed for {self._lease_s:g} s")

    async def keep_renewing(self) -> None:
        """Renew it for ever; raises LeaseLost. A database that is away briefly does not end it."""
        while True:
            await asyncio.sleep(self._lease_s / 3)
            requested_at = _now()
            try:
                renewed = await self._renew()
            except Exception as error:  # noqa: BLE001 (any error: tried again until it is too late)
                log.warning("pbx lease not renewed: pbx=%s error=%r", self._source, error)
                self.check()
                continue
            if not renewed:
                raise LeaseLost("another node has acquired it")
            self._until = requested_at + self._lease_s

    async def _renew(self) -> bool:
        left_s = max(0.0, self._until - _now())
        async with asyncio.timeout(min(DATABASE_S, left_s)), self._pool.acquire() as conn:
            return await queries.renew(
                conn,
                self._source,
                self._holder,
                lease=timedelta(seconds=self._lease_s),
                heard_at=self.stored_until,
            )

    async def release(self) -> None:
        """Release it; if that fails, it expires."""
        self._until = 0.0
        try:
            async with asyncio.timeout(DATABASE_S), self._pool.acquire() as conn:
                await queries.release(conn, self._source, self._holder, self.stored_until)
        except Exception as error:  # noqa: BLE001
            log.warning("pbx lease not released: pbx=%s error=%r", self._source, error)


def _now() -> float:
    return asyncio.get_running_loop().time()
