"""SQL that keeps PostgreSQL from working behind a measurement's back."""

from __future__ import annotations

from gateway.db import Conn


async def no_autovacuum(conn: Conn) -> None:
    """Vacuum only when asked: its snapshot would keep our own VACUUM from marking pages visible."""
    await conn.execute(
        """
        -- quiet.no_autovacuum
        ALTER SYSTEM SET autovacuum = off
        """
    )
    await conn.execute(
        """
        -- quiet.reload
        SELECT pg_reload_conf()
        """
    )
