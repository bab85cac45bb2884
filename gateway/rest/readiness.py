"""Whether this worker can serve: database, contract, bus, presence, no drain.

ops ─▶ Readiness. Whoever asks, and however many do, PostgreSQL is asked twice a second at most.
"""

from __future__ import annotations

import asyncio

from gateway.rest.worker import GatewayParts

READY_S = 2.0
KEPT_S = 0.5


class Readiness:
    """The checks of /readyz; what the database said is kept for KEPT_S."""

    def __init__(self) -> None:
        self._database = ""
        self._kept_until = float("-inf")
        self._asking = asyncio.Lock()

    async def checks(self, parts: GatewayParts) -> dict[str, str]:
        """Return the name of each check → `ok`, or what is wrong."""
        checks = {
            "database": await self._check_database(parts),
            "bus": "ok" if parts.bus_healthy else "deaf",
            "contract": "ok" if parts.contract.usable else "unusable",
            "draining": "yes" if parts.draining else "ok",
        }
        if parts.settings.takes("sockets", "ingest"):
            checks["presence"] = "degraded" if parts.services.presence.degraded else "ok"
        return checks

    async def _check_database(self, parts: GatewayParts) -> str:
        async with self._asking:
            if asyncio.get_running_loop().time() >= self._kept_until:
                self._database = await _ask_database(parts)
                self._kept_until = asyncio.get_running_loop().time() + KEPT_S
            return self._database


async def _ask_database(parts: GatewayParts) -> str:
    try:
        async with asyncio.timeout(READY_S):
            pending = await parts.pending_migrations()
    except Exception as error:  # noqa: BLE001 - after any error this worker is not ready
        return f"unavailable: {type(error).__name__}"
    return f"{len(pending)} migrations are missing: run `gateway migrate`" if pending else "ok"
