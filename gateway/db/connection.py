"""A connection that does not query PostgreSQL again for the types of arrays."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asyncpg

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
    """asyncpg's connection with a cache of types for the whole process.

    asyncpg queries types without a codec, such as arrays, on each connection for each combination:
    10 to 45 ms, which the first messages of a worker paid on every connection of its pool. System
    types never change, so they are cached here for all connections.
    """

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
