"""Keeps looking at the CRM's views: at start, every minute, and when a statement failed on one.

app ─▶ ContractWatch ─▶ db/crm_views.py, which views are off; /readyz, what is wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from gateway.crm.comparison import ContractFault, absent, check, off
from gateway.crm.contract import EMPLOYEES, VIEWS
from gateway.db import AWAY_ERRORS, CrmViews, Pool

log = structlog.get_logger(__name__)

FASTEST_S = 1.0
"""Checks are not closer together than this, however many statements fail."""


def watched_views() -> CrmViews:
    """Return the views of the contract, all on."""
    nothing = {view.name: view.nothing for view in VIEWS}
    return CrmViews(nothing, never_empty=frozenset({EMPLOYEES}))


class ContractWatch:
    """What is wrong with the CRM's views, as of the last look."""

    def __init__(self, pool: Pool, views: CrmViews) -> None:
        self._pool = pool
        self._views = views
        self._looked = False
        self._slow: set[str] = set()
        self.faults: Mapping[str, ContractFault] = {}

    @property
    def usable(self) -> bool:
        """False when nobody can sign in."""
        return EMPLOYEES not in self._views.off

    def report(self) -> dict[str, str]:
        """Return the name of each view that is not as it should be → what is wrong and off."""
        return {fault.view.full_name: fault.text for fault in self.faults.values()}

    async def run(self, *, every_s: float) -> None:
        """Look every so often, and soon after a statement failed, until cancelled."""
        while True:
            await asyncio.sleep(min(FASTEST_S, every_s))
            try:
                async with asyncio.timeout(every_s):
                    await self._views.doubted.wait()
            except TimeoutError:
                pass
            try:
                await self.look()
            except Exception:
                log.exception("contract.failed")

    async def look(self) -> None:
        """Compare the views with the contract now; what cannot be known stays as it was."""
        self._views.doubted.clear()
        try:
            async with self._pool.acquire() as conn:
                found, unknown = await check(conn)
                left_out = await absent(conn)
        except AWAY_ERRORS as error:
            log.debug("contract.delayed", error=type(error).__name__)
            return
        kept = {name: self.faults[name] for name in unknown if name in self.faults}
        faults = {**kept, **self._certain(found)}
        self._log(faults)
        self.faults = faults
        missing = dict.fromkeys(left_out, "is missing")
        self._views.switch(missing | off(faults.values()), at_start=not self._looked)
        self._looked = True

    def _certain(self, found: Mapping[str, ContractFault]) -> dict[str, ContractFault]:
        """Leave out a view that is slow for the first time, unless this is the first look.

        crm.employees is never off for being slow: then nobody could work at all.
        """
        slow = {name for name, fault in found.items() if fault.slow}
        excused = (slow - self._slow if self._looked else set()) | (slow & {EMPLOYEES})
        self._slow = slow
        return {name: fault for name, fault in found.items() if name not in excused}

    def _log(self, faults: Mapping[str, ContractFault]) -> None:
        """Say what has changed: one line for each view."""
        for name, fault in faults.items():
            if self.faults.get(name) != fault:
                write = log.error if fault.off else log.warning
                write("contract.broken", view=fault.view.full_name, fault=fault.text)
        for name in sorted(self.faults.keys() - faults.keys()):
            log.warning("contract.kept", view=self.faults[name].view.full_name)
