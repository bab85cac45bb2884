"""A connection that does not ask PostgreSQL again what an array of integers is."""

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
"""Stands for the statement that would have asked; with a name, it has replaced no unnamed one."""

_known: dict[frozenset[int], list[Any]] = {}


class DatabaseConnection(Base):
    """asyncpg's, which looks up types that it has no codec for, arrays among them, by a query.

    It does so on each connection for each combination of types: 10 to 45 ms, of which the first
    messages of a worker paid some on every connection of its pool. What system types are made of
    is remembered here for all connections of the process.
    """

    async def _introspect_types(  # as asyncpg calls it
        self,
        typeoids: Iterable[int],
        timeout: float | None,  # noqa: ASYNC109
    ) -> tuple[list[Any], Any]:
        asked = frozenset(typeoids)
        if (known := _known.get(asked)) is not None:
            return known, NOTHING_ASKED
        found, statement = await super()._introspect_types(asked, timeout)  # type: ignore[misc]
        if all(oid < SYSTEM_TYPES for oid in asked):
            _known[asked] = found
        return found, statement
