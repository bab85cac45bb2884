"""Which views of the CRM are off, and what statements read instead of them.

crm/watch.py ─▶ switch ─▶ DatabaseConnection, which passes every statement through `text`. A
statement that names a view that is off reads a relation without rows, or is refused where that
would be a wrong answer: with no employees, everybody would be told that they were dismissed.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping

from gateway.errors import ContractUnavailable

RETURNS_WITHIN_S = 600.0
"""A view that was there and is off is expected back within this time: a deployment of the CRM."""

NAMED = re.compile(r"\bcrm\.(\w+)(\s+AS\b)?")


class CrmViews:
    """The views that are off; one for all connections of a pool."""

    def __init__(
        self,
        nothing: Mapping[str, str] | None = None,
        *,
        never_empty: frozenset[str] = frozenset(),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._off_since: dict[str, float] = {}
        self._nothing = nothing or {}
        """View → a relation without rows that has its columns."""
        self._never_empty = never_empty
        self._texts: dict[str, str] = {}
        self.off: Mapping[str, str] = {}
        """View → what is wrong with it, of those that are off."""
        self.doubted = asyncio.Event()
        """Set when a statement failed as it would if a view had changed: check them now."""

    def switch(self, off: Mapping[str, str], *, at_start: bool = False) -> None:
        """Let these views be off from now on, and no others.

        At the start nobody knows since when: the CRM may have no such view at all.
        """
        since = float("-inf") if at_start else self._now()
        self._off_since = {name: self._off_since.get(name, since) for name in off}
        self.off = off
        self._texts = {}

    def may_return(self, *names: str) -> bool:
        """Whether one of these views is off, and may be on again in a moment.

        What stores a decision for good waits for it, instead of deciding as if it had no rows.
        """
        oldest = self._now() - RETURNS_WITHIN_S
        return any(self._off_since.get(name, oldest) > oldest for name in names)

    def require(self, *names: str) -> None:
        """Raise ContractUnavailable if one of these views is off."""
        for name in names:
            if name in self.off:
                raise ContractUnavailable(name, self.off[name])

    def text(self, query: str) -> str:
        """Return a statement without the views that are off.

        ContractUnavailable when it names one that must not seem empty.
        """
        if not self.off:
            return query
        if (known := self._texts.get(query)) is None:
            known = self._texts[query] = NAMED.sub(self._instead, query)
        return known

    def _instead(self, found: re.Match[str]) -> str:
        name, alias = found[1], found[2] or f" AS {found[1]}"
        if name not in self.off:
            return found[0]
        if name in self._never_empty:
            raise ContractUnavailable(name, self.off[name])
        return self._nothing[name] + alias
