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
        """Explain the statement, with a plan of the kind that is asked for."""
        types = (await self._conn.prepare(sql)).get_parameters()
        given = [
            await self._conn.fetchval(f"SELECT quote_nullable($1::{kind.name}::text)", value)
            for kind, value in zip(types, arguments, strict=True)
        ]
        await self._conn.execute(f"SET plan_cache_mode = {self._mode}")
        await self._conn.execute(f"PREPARE asked AS {sql}")
        found = await self._conn.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked ({', '.join(given)})"
        )
        await self._conn.execute("DEALLOCATE asked")
        said = json.loads(found) if isinstance(found, str) else found
        self.plan = said[0]["Plan"]
        return []

    def reads(self) -> Iterator[tuple[str, str, float]]:
        """Return (table, how, rows that were looked at) of everything that was read."""
        for node in self.nodes():
            if "Relation Name" in node:
                seen = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
                yield node["Relation Name"], node["Node Type"], seen * node["Actual Loops"]

    def nodes(self) -> Iterator[dict[str, Any]]:
        """Return every node of the plan."""
        return _nodes(self.plan)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
