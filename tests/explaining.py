"""A connection that explains what it is asked, to see how PostgreSQL goes about a statement."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gateway.db import Conn


class Explaining:
    """Stands in for a connection: explains and runs the statement that it is given."""

    def __init__(self, conn: Conn, plan_cache_mode: str) -> None:
        self._conn = conn
        self._mode = plan_cache_mode
        self.plan: dict[str, Any] = {}

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        """Explain a statement of integers and lists of them."""
        given = ", ".join(
            "'{" + ",".join(map(str, value)) + "}'" if isinstance(value, list) else str(value)
            for value in arguments
        )
        types = ", ".join(
            "bigint[]" if isinstance(value, list) else "bigint" for value in arguments
        )
        await self._conn.execute(f"SET plan_cache_mode = {self._mode}")
        await self._conn.execute(f"PREPARE asked ({types}) AS {sql}")
        found = await self._conn.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked ({given})"
        )
        await self._conn.execute("DEALLOCATE asked")
        said = json.loads(found) if isinstance(found, str) else found
        self.plan = said[0]["Plan"]
        return []

    def nodes(self) -> Iterator[dict[str, Any]]:
        """Return every node of the plan."""
        return _nodes(self.plan)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
