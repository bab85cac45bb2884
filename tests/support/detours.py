"""A node's way to Redis or PostgreSQL through a proxy that can be slow, silent or cut."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.faults.proxy import Proxy


@asynccontextmanager
async def to_redis(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Give a proxy, and the URL of Redis behind it."""
    asked = urlsplit(url)
    target = Path(asked.path) if asked.scheme == "unix" else (asked.port or 6379)
    async with Proxy(target) as proxy:
        yield proxy, f"redis://127.0.0.1:{proxy.port}"


@asynccontextmanager
async def to_database(dsn: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Give a proxy, and the DSN of the database behind it."""
    asked = urlsplit(dsn)
    query = parse_qs(asked.query)
    target: Path | int = asked.port or 5432
    if "host" in query:
        target = Path(query["host"][0]) / f".s.PGSQL.{query['port'][0]}"
    who = asked.netloc.rpartition("@")[0]
    async with Proxy(target) as proxy:
        yield proxy, f"postgresql://{who}@127.0.0.1:{proxy.port}{asked.path}"
