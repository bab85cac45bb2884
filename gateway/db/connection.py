"""A connection that knows which views of the CRM are off, and the types of arrays."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asyncpg

from gateway.db.crm_views import CrmViews

if TYPE_CHECKING:
    Base = asyncpg.Connection[asyncpg.Record]
else:  # a class with a parameter only in its stubs
    Base = asyncpg.Connection

SYSTEM_TYPES = 10_000
"""Below this, numbers of types are assigned by hand and the same in every PostgreSQL
(access/transam.h, FirstGenbkiObjectId)."""

NOTHING_ASKED = SimpleNamespace(name="known")
"""Stands for the statement of the query; with a name, because it replaced no unnamed statement."""

_known: dict[frozenset[int], list[Any]] = {}


class DatabaseConnection(Base):
    """asyncpg's connection, with views of the CRM that may be off, and a cache of types.

    The cache is one for the whole process: asyncpg queries types without a codec, such as arrays,
    on each connection for each combination: 10 to 45 ms, which the first messages of a worker paid
    on every connection of its pool. System types never change.
    """

    crm_views: CrmViews | None = None

    def _execute(self, query: str, *how: Any, **more: Any) -> Coroutine[Any, Any, Any]:
        """Run a statement, as all of asyncpg's methods do that take arguments or return rows."""
        if self.crm_views is not None and self.crm_views.off:
            query = self.crm_views.text(query)
        found: Coroutine[Any, Any, Any] = super()._execute(query, *how, **more)  # type: ignore[misc]
        return found

    async def _introspect_types(  # as asyncpg calls it
        self,
        typeoids: Iterable[int],
        timeout: float | None,  # noqa: ASYNC109
    ) -> tuple[list[Any], Any]:
        oids = frozenset(typeoids)
        if (known := _known.get(oids)) is not None:
            return known, NOTHING_ASKED
        found, statement = await super()._introspect_types(oids, timeout)  # type: ignore[misc]
        if all(oid < SYSTEM_TYPES for oid in oids):
            _known[oids] = found
        return found, statement
