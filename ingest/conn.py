"""The types of a database connection and pool, and the errors that mean "database away".

SQL functions take a `conn`: a connection of their own, or one lent by a pool. Its jsonb codec must
encode Python values in the binary format, the only one that asyncpg's COPY supports; the embedding
program sets it (gateway.db.configure). jsonb is read as text, so reading depends on no codec.
"""

from __future__ import annotations

from typing import TypeAlias

import asyncpg

# In quotes: asyncpg's classes take a parameter only in its stubs.
Conn: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

AWAY_ERRORS = (
    OSError,  # TimeoutError is one
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What asyncpg raises when the database is at fault, not the statement: the same statement may
succeed a moment later. A lost connection shows as ConnectionDoesNotExistError, or as an
InterfaceError without a code; a standby that is not promoted yet as ReadOnlySQLTransactionError."""
