"""SQL that distinguishes the demo CRM from a real one by the comment on its schemas."""

from __future__ import annotations

from gateway.db.conn import Conn

LOCK = 4_105_233_870_914_662_013
"""A number that nothing else uses; advisory locks are per database."""

MARK = "Demo CRM of the gateway"


async def lock(conn: Conn) -> None:
    """Let installations take turns until the transaction ends."""
    await conn.execute(
        """
        -- schemas.lock
        SELECT pg_advisory_xact_lock($1)
        """,
        LOCK,
    )


async def find(conn: Conn) -> dict[str, bool]:
    """Return which of the CRM's schemas exist, and whether each is the demo's."""
    rows = await conn.fetch(
        """
        -- schemas.find
        SELECT nspname AS name,
               obj_description(oid, 'pg_namespace') IS NOT DISTINCT FROM $1 AS ours
          FROM pg_namespace
         WHERE nspname IN ('crm', 'demo_crm')
        """,
        MARK,
    )
    return {row["name"]: row["ours"] for row in rows}


async def mark(conn: Conn) -> None:
    await conn.execute(
        f"""
        -- schemas.mark
        COMMENT ON SCHEMA crm IS '{MARK}';
        COMMENT ON SCHEMA demo_crm IS '{MARK}';
        """
    )


async def analyze(conn: Conn) -> None:
    """Analyze the tables at once; autovacuum would need a minute."""
    await conn.execute(
        """
        -- schemas.analyze
        ANALYZE demo_crm.staff, demo_crm.clients, demo_crm.client_contacts,
                demo_crm.leads, demo_crm.work_orders
        """
    )
