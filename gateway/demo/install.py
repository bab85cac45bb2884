"""Installs the demo CRM in a database without a CRM.

`gateway dev` and the tests ─▶ install ─▶ crm.sql, in one transaction of about 0.1 s.
"""

from __future__ import annotations

import logging
from pathlib import Path

from gateway.db.conn import Conn
from gateway.demo.queries import schemas

log = logging.getLogger(__name__)

CRM_SQL = Path(__file__).with_name("crm.sql")


async def install(conn: Conn) -> bool:
    """Return True when the demo CRM is installed, now or before; False if another CRM is.

    Any number of processes may call it at once.
    """
    async with conn.transaction():
        await schemas.lock(conn)
        found = await schemas.find(conn)
        if found == {"crm": True, "demo_crm": True}:
            return True
        if found:
            log.info("demo CRM left out: schemas exist names=%s", ",".join(sorted(found)))
            return False
        await conn.execute(CRM_SQL.read_text(encoding="utf-8"))
        await schemas.mark(conn)
    await schemas.analyze(conn)
    return True
