"""SQL for service accounts and their keys."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from gateway.db import Conn

MAX_KEYS = 10_000
"""More are not read: the oldest are then refused."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key with its account, as they are stored."""

    key_id: str
    key_hash: bytes
    expires_at: datetime | None
    revoked: bool
    """The key, or its account."""
    account_id: int
    name: str
    scopes: tuple[str, ...]
    rate_per_s: float


@dataclass(frozen=True, slots=True)
class ListedKey:
    """What may be shown of a key."""

    name: str
    scopes: tuple[str, ...]
    rate_per_s: float
    account_revoked_at: datetime | None
    key_id: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


async def read_all(conn: Conn) -> list[StoredKey]:
    """Return every key; those that were revoked or have expired, too, which are told so."""
    rows = await conn.fetch(
        """
        -- service_accounts.read_all
        SELECT k.key_id, k.key_hash, k.expires_at,
               k.revoked_at IS NOT NULL OR a.revoked_at IS NOT NULL AS revoked,
               a.id AS account_id, a.name, a.scopes, a.rate_per_s
          FROM realtime.service_keys AS k
          JOIN realtime.service_accounts AS a ON a.id = k.account_id
         ORDER BY k.created_at DESC
         LIMIT $1
        """,
        MAX_KEYS,
    )
    return [StoredKey(**{**row, "scopes": tuple(row["scopes"])}) for row in rows]


async def list_keys(conn: Conn) -> list[ListedKey]:
    """Return what may be shown of every key, by account, the newest first."""
    rows = await conn.fetch(
        """
        -- service_accounts.list_keys
        SELECT a.name, a.scopes, a.rate_per_s, a.revoked_at AS account_revoked_at, k.key_id,
               k.created_at, k.last_used_at, k.expires_at, k.revoked_at
          FROM realtime.service_accounts AS a
          JOIN realtime.service_keys AS k ON k.account_id = a.id
         ORDER BY a.name, k.created_at DESC, k.key_id
        """
    )
    return [ListedKey(**{**row, "scopes": tuple(row["scopes"])}) for row in rows]


async def add(conn: Conn, name: str, *, scopes: Collection[str], rate_per_s: float) -> int | None:
    """Store an account; return its id, None when there is or was one of this name."""
    found: int | None = await conn.fetchval(
        """
        -- service_accounts.add
        INSERT INTO realtime.service_accounts (name, scopes, rate_per_s)
        VALUES ($1, $2, $3)
            ON CONFLICT (name) DO NOTHING
        RETURNING id
        """,
        name,
        sorted(set(scopes)),
        rate_per_s,
    )
    return found


async def lock_active(conn: Conn, name: str) -> int | None:
    """Lock an account that is about to change, and return its id; None when there is none.

    One that was revoked is none.
    """
    found: int | None = await conn.fetchval(
        """
        -- service_accounts.lock_active
        UPDATE realtime.service_accounts SET version = version + 1
         WHERE name = $1 AND revoked_at IS NULL
        RETURNING id
        """,
        name,
    )
    return found


async def add_key(
    conn: Conn, account_id: int, key_id: str, key_hash: bytes, *, expires_at: datetime | None
) -> None:
    """Store a key of an account."""
    await conn.execute(
        """
        -- service_accounts.add_key
        INSERT INTO realtime.service_keys (key_id, account_id, key_hash, expires_at)
        VALUES ($1, $2, $3, $4)
        """,
        key_id,
        account_id,
        key_hash,
        expires_at,
    )


async def revoke_account(conn: Conn, account_id: int) -> None:
    """Revoke an account, and with it all of its keys."""
    await conn.execute(
        """
        -- service_accounts.revoke_account
        UPDATE realtime.service_accounts SET revoked_at = now() WHERE id = $1
        """,
        account_id,
    )


async def revoke_key(conn: Conn, account_id: int, key_id: str) -> bool:
    """Revoke one key of an account; False when it has no such key, or it was revoked before."""
    status: str = await conn.execute(
        """
        -- service_accounts.revoke_key
        UPDATE realtime.service_keys SET revoked_at = now()
         WHERE account_id = $1 AND key_id = $2 AND revoked_at IS NULL
        """,
        account_id,
        key_id,
    )
    return status.endswith(" 1")


async def mark_used(conn: Conn, key_ids: Collection[str]) -> None:
    """Note that these keys were used, unless that was noted within the last minute."""
    await conn.execute(
        """
        -- service_accounts.mark_used
        UPDATE realtime.service_keys SET last_used_at = now()
         WHERE key_id = ANY ($1::text[])
           AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
        """,
        list(key_ids),
    )
