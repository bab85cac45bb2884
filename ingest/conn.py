"""What SQL functions take as `conn`: one's own connection, or one lent by a pool.

Its codec of jsonb takes Python values and makes the binary format, the only one that asyncpg's COPY
knows, as gateway.db.configure() has it. What is read comes as text, and depends on no codec.
"""

from __future__ import annotations

from typing import TypeAlias

import asyncpg

# In quotes: asyncpg's classes take a parameter only in its stubs.
Conn: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
