"""The type of `conn` in SQL functions: a connection, opened directly or lent by the pool."""

from __future__ import annotations

from typing import TypeAlias

import asyncpg

# In quotes: asyncpg's classes take a parameter only in its stubs.
Conn: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)
