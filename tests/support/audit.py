"""The audit as versions before its months wrote and read it."""

from __future__ import annotations

import shutil
from pathlib import Path

from gateway.db import MIGRATIONS

INSERT = """
    INSERT INTO realtime.audit (act, actor_id, conversation_id, seq, details)
    VALUES ($1, $2, $3, $4, $5)
"""
PAGE = """
    SELECT id, at, actor_id, act, conversation_id, seq, details
      FROM realtime.audit
     WHERE ($1::bigint IS NULL OR id < $1)
     ORDER BY id DESC
     LIMIT $2
"""
FILL = """
    INSERT INTO realtime.audit (at, act, actor_id, conversation_id, details)
    SELECT now() - (($1 - n) * interval '40 days' / $1), 'message.delete', n % 50 + 1, n % 900 + 1,
           jsonb_build_object('sender_id', n)
      FROM generate_series(1, $1::bigint) AS n
"""
"""So many acts of the last 40 days."""

FIRST = next(path.name for path in MIGRATIONS.glob("*_audit_columns.sql"))


def migrations_before(directory: Path) -> Path:
    """Copy the migrations of before into a directory, and return it."""
    for path in MIGRATIONS.glob("*.sql"):
        if path.name < FIRST:
            shutil.copy(path, directory)
    return directory
