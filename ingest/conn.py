"""What SQL functions take as `conn`: one's own connection, or one lent by a pool.

Nothing here depends on how JSON is decoded on it: `attrs` travels as text both ways.
"""

from __future__ import annotations

from typing import TypeAlias

import asyncpg

# In quotes: asyncpg's classes take a parameter only in its stubs.
Conn: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
