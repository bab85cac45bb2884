"""What SQL functions take as `conn`: a connection, one's own or one lent by the pool."""

from __future__ import annotations

from typing import TypeAlias

import asyncpg

# In quotes: asyncpg's classes take a parameter only in its stubs.
Conn: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)
