"""One lease for each PBX, so that two nodes do not listen to the same stream.

live ─▶ Lease ─▶ a row in realtime.pbx_leases. The database's clock decides who has it; the holder
counts by its own from before it asked, so it stops believing before anybody else may begin.
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
    """Another node may listen now: nothing more of ours may be stored."""


class ConnectorLease:
    """This node's hold on one PBX."""

    def __init__(self, pool: Pool, source: str, holder: str, lease_s: float) -> None:
        self._pool = pool
        self._source = source
        self._holder = holder
        self._lease_s = lease_s
        self._until = 0.0
        self.stored_until: datetime | None = None
        """Up to here all is stored; written down with every renewal."""

    async def acquire(self) -> AcquiredLease | None:
        """Take it; None while another node has it. Raises what the database raises."""
        asked_at = _now()
        async with asyncio.timeout(DATABASE_S), self._pool.acquire() as conn:
            lease = timedelta(seconds=self._lease_s)
            taken = await queries.acquire(conn, self._source, self._holder, lease)
        if taken is not None:
            self._until, self.stored_until = asked_at + self._lease_s, taken.heard_at
        return taken

    def check(self) -> None:
        """Raise LeaseLost once it may be somebody else's."""
        if _now() >= self._until:
            raise LeaseLost(f"not renewed for {self._lease_s:g} s")

    async def keep_renewing(self) -> None:
        """Renew it for as long as that works; a database that is away for a moment is no end."""
        while True:
            await asyncio.sleep(self._lease_s / 3)
            asked_at = _now()
            try:
                renewed = await self._renew()
            except Exception as error:  # noqa: BLE001 (whatever it is: tried again until too late)
                log.warning("pbx=%s lease not renewed: %r", self._source, error)
                self.check()
                continue
            if not renewed:
                raise LeaseLost("another node has taken it")
            self._until = asked_at + self._lease_s

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
        """Give it back; if that fails, it runs out by itself."""
        self._until = 0.0
        try:
            async with asyncio.timeout(DATABASE_S), self._pool.acquire() as conn:
                await queries.release(conn, self._source, self._holder, self.stored_until)
        except Exception as error:  # noqa: BLE001
            log.warning("pbx=%s lease not released: %r", self._source, error)


def _now() -> float:
    return asyncio.get_running_loop().time()
