"""Connections to PostgreSQL, all with the same limits and JSON codecs.

No wait is unbounded: the server itself ends a long statement, a wait for a lock and an idle
transaction, even when this process hangs.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeAlias

import asyncpg
import orjson

from gateway.db.conn import Conn
from gateway.db.connection import DatabaseConnection
from gateway.db.crm_views import CrmViews

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

CONNECT_S = 5.0
STATEMENT_S = 15.0
"""The slowest page takes 0.1 s; statistics over a year take 2 s."""
LOCK_S = 3.0
IDLE_IN_TRANSACTION_S = 10.0
"""A transaction left open keeps rows locked and vacuum waiting."""
COMMAND_MARGIN_S = 5.0
"""The client's timeout is this much longer than the server's, whose error is clearer."""


async def open_pool(
    dsn: str,
    *,
    application_name: str,
    min_size: int = 1,
    max_size: int = 10,
    statement_timeout_s: float = STATEMENT_S,
    lock_timeout_s: float = LOCK_S,
    command_timeout: float | None = None,
    settings: dict[str, str] | None = None,
    crm_views: CrmViews | None = None,
) -> Pool:
    """Open a pool; `settings` are more server settings, `crm_views` those that may be off.

    Prepared statements are cached per connection: behind PgBouncer in transaction mode that
    needs its 1.21 or newer with max_prepared_statements, and our settings as role settings.
    """
    return await asyncpg.create_pool(
        dsn,
        connection_class=DatabaseConnection,
        min_size=min_size,
        max_size=max_size,
        init=partial(_prepare, crm_views),
        reset=_reset,
        timeout=CONNECT_S,
        command_timeout=command_timeout or statement_timeout_s + COMMAND_MARGIN_S,
        server_settings=_settings(application_name, statement_timeout_s, lock_timeout_s, settings),
    )


async def connect(
    dsn: str,
    *,
    application_name: str,
    statement_timeout_s: float = STATEMENT_S,
    lock_timeout_s: float = LOCK_S,
    settings: dict[str, str] | None = None,
) -> asyncpg.Connection[asyncpg.Record]:
    """Open one connection with the settings of the pool."""
    connection = await asyncpg.connect(
        dsn,
        connection_class=DatabaseConnection,
        timeout=CONNECT_S,
        server_settings=_settings(application_name, statement_timeout_s, lock_timeout_s, settings),
    )
    await configure(connection)
    return connection


async def _prepare(crm_views: CrmViews | None, conn: DatabaseConnection) -> None:
    conn.crm_views = crm_views
    await configure(conn)


async def configure(conn: Conn) -> None:
    """Convert json and jsonb to Python values with orjson; in binary, so that COPY takes them."""
    await conn.set_type_codec(
        "json", schema="pg_catalog", encoder=orjson.dumps, decoder=orjson.loads, format="binary"
    )
    await conn.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode, decoder=_decode, format="binary"
    )


def _encode(value: Any) -> bytes:
    """Encode a value as binary jsonb: the version of the format, then text."""
    return b"\x01" + orjson.dumps(value)


def _decode(sent: bytes) -> Any:
    return orjson.loads(memoryview(sent)[1:])


async def _reset(conn: Conn) -> None:
    """Reset only a connection in a transaction: no statement of the gateway changes a session.

    asyncpg's own reset is one more round trip after every use, for which the reply would wait.
    """
    if conn.is_in_transaction():
        await conn.reset()


def _settings(
    application_name: str,
    statement_timeout_s: float,
    lock_timeout_s: float,
    more: dict[str, str] | None,
) -> dict[str, str]:
    return {
        "application_name": application_name,
        "statement_timeout": _ms(statement_timeout_s),
        "lock_timeout": _ms(lock_timeout_s),
        "idle_in_transaction_session_timeout": _ms(IDLE_IN_TRANSACTION_S),
        "timezone": "UTC",
        "jit": "off",  # statements take milliseconds; compiling one takes tens of them
        **(more or {}),
    }


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))
