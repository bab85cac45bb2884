"""Programs as tests have them: service accounts, and HTTP clients that show their keys."""

from __future__ import annotations

import httpx2

from gateway import service_accounts
from gateway.auth import scopes
from gateway.auth.service_keys import NewKey
from gateway.db import connect
from tests.support.desk import Desk


async def account(
    desk: Desk, name: str = "crm", *, rate: float = 1_000.0,
    of: tuple[str, ...] = tuple(scopes.ALLOWS),
) -> NewKey:  # fmt: skip
    """Make a service account."""
    conn = await connect(desk.database, application_name="test")
    try:
        made = await service_accounts.add(conn, name, scopes=of, rate_per_s=rate, expires_at=None)
    finally:
        await conn.close()
    assert made is not None
    return made


def shows(desk: Desk, key: str, *, node: int = 0) -> httpx2.AsyncClient:
    """Return a client that shows this key."""
    client = desk.http(node=node)
    client.headers["Authorization"] = f"Bearer {key}"
    return client


def code_of(answer: httpx2.Response) -> tuple[int, str | None]:
    """Return the status and the code of a refusal."""
    return answer.status_code, answer.json().get("error", {}).get("code")


async def program(
    desk: Desk, *, node: int = 0, of: tuple[str, ...] = tuple(scopes.ALLOWS)
) -> httpx2.AsyncClient:
    """Return a client of a program that may do this."""
    return shows(desk, (await account(desk, f"crm{node}", of=of)).key, node=node)
