"""The CRM of text_crm.sql: the demo's people with uuids, in tables with quoted names."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

from gateway.db import Conn, migrate
from gateway.demo import install

TEXT_CRM = os.environ.get("GATEWAY_TEST_CRM") == "text"
"""Whether the tests run on this CRM instead of the demo."""

SQL = Path(__file__).parents[2] / "loadtests" / "text_crm.sql"


async def install_text_crm(conn: Conn) -> None:
    """Migrate an empty database, and give it this CRM."""
    await migrate(conn)
    await install(conn)
    await conn.execute(SQL.read_text(encoding="utf-8"))


def uuid_of(kind: str, number: int) -> str:
    """Return the id that a row of the demo has here: kind is user, client, contact or lead."""
    digest = hashlib.md5(f"{kind} {number}".encode(), usedforsecurity=False)
    return str(uuid.UUID(digest.hexdigest()))
