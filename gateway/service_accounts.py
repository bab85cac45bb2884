"""Service accounts are made, get other keys, and end; each act is noted in the audit.

cli ─▶ here. What a key allows is checked by auth/service_accounts.py.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from gateway import audit
from gateway.audit import Act, Origin
from gateway.auth.queries import service_accounts as queries
from gateway.auth.service_keys import NewKey, make_key
from gateway.db import Conn


async def add(
    conn: Conn,
    name: str,
    *,
    scopes: Collection[str],
    rate_per_s: float,
    expires_at: datetime | None,
) -> NewKey | None:
    """Make an account and its first key; None when there is or was an account of this name."""
    made = make_key()
    async with conn.transaction():
        account_id = await queries.add(conn, name, scopes=scopes, rate_per_s=rate_per_s)
        if account_id is None:
            return None
        await queries.add_key(conn, account_id, made.key_id, made.key_hash, expires_at=expires_at)
        await _note(
            conn, "service.add", name, key_id=made.key_id, scopes=sorted(set(scopes)),
            rate_per_s=rate_per_s, expires_at=_shown(expires_at),
        )  # fmt: skip
    return made


async def rotate(conn: Conn, name: str, *, expires_at: datetime | None) -> NewKey | None:
    """Make another key of an account; those before stay valid. None: no such account."""
    made = make_key()
    async with conn.transaction():
        account_id = await queries.lock_active(conn, name)
        if account_id is None:
            return None
        await queries.add_key(conn, account_id, made.key_id, made.key_hash, expires_at=expires_at)
        await _note(conn, "service.rotate", name, key_id=made.key_id, expires_at=_shown(expires_at))
    return made


async def revoke(conn: Conn, name: str, *, key_id: str | None) -> bool:
    """Revoke one key of an account, or the account with all of them; False: there is none."""
    async with conn.transaction():
        account_id = await queries.lock_active(conn, name)
        if account_id is None:
            return False
        if key_id is None:
            await queries.revoke_account(conn, account_id)
        elif not await queries.revoke_key(conn, account_id, key_id):
            return False
        await _note(conn, "service.revoke", name, key_id=key_id)
    return True


async def _note(conn: Conn, act: str, name: str, **details: Any) -> None:
    noted = {"service": name, **details}
    await audit.record(conn, Act(act, Origin("cli"), subject=f"service:{name}", details=noted))


def _shown(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment is not None else None
