"""SQL that compares the CRM's views with the contract: the catalogue, and a part of their rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gateway.crm.contract import MAX_ID, CrmView
from gateway.db import Conn


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column as the database has it."""

    type: str
    category: str
    """S for any type of text (pg_type.typcategory)."""


@dataclass(frozen=True, slots=True)
class ViewShape:
    """A view as the database has it."""

    readable: bool
    columns: dict[str, ViewColumn]


@dataclass(frozen=True, slots=True)
class ViewSample:
    """What is wrong with the rows of a view that were read."""

    too_great: int | None
    """An id above MAX_ID."""
    nulls: int
    """Rows without an id."""
    repeated: int
    """Rows whose key another row has."""


async def shapes(conn: Conn, names: Collection[str]) -> dict[str, ViewShape]:
    """Return the views of these names that there are, from the catalogue alone."""
    rows = await conn.fetch(
        """
        -- views.shapes
        SELECT c.relname AS view, a.attname AS name, t.typcategory::text AS category,
               format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL) AS type,
               has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
                   AS readable
          FROM pg_catalog.pg_namespace AS n
          JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid
          LEFT JOIN pg_catalog.pg_attribute AS a
            ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
         WHERE n.nspname = 'crm' AND c.relname = ANY ($1::text[])
           AND c.relkind IN ('v', 'm', 'r', 'p', 'f')
        """,
        list(names),
    )
    found: dict[str, ViewShape] = {}
    for row in rows:
        shape = found.setdefault(row["view"], ViewShape(row["readable"], {}))
        if row["name"] is not None:
            shape.columns[row["name"]] = ViewColumn(row["type"], row["category"])
    return found


async def sample(conn: Conn, view: CrmView, *, rows: int) -> ViewSample:
    """Return what is wrong with the first rows of this view."""
    ids = [one for one in view.columns if one.is_id]
    nulls = " OR ".join(f"{one.name} IS NULL" for one in ids if not one.null)
    key = view.unique[0] if len(view.unique) == 1 else f"ROW({', '.join(view.unique)})"
    repeated = f"count({key}) - count(DISTINCT {key})" if view.unique else "0"
    greatest = f"max(greatest({', '.join(one.name for one in ids)}))::bigint"
    columns = ", ".join(dict.fromkeys([*(one.name for one in ids), *view.unique]))
    row = await conn.fetchrow(
        f"""
        -- views.sample
        SELECT nullif({greatest}, least({greatest}, $2::bigint)) AS too_great,
               count(*) FILTER (WHERE {nulls}) AS nulls, {repeated} AS repeated
          FROM (SELECT {columns} FROM {view.checked_name} LIMIT $1::bigint) AS part
        """,  # noqa: S608 - ours
        rows,
        MAX_ID,
    )
    assert row is not None
    return ViewSample(**row)


@dataclass(frozen=True, slots=True)
class RepeatedKey:
    """A key that several rows have."""

    key: str
    external_ids: list[str]
    """The CRM's own ids in these rows, each once: several ids that have one number."""


async def repeated_keys(conn: Conn, view: CrmView, *, rows: int) -> list[RepeatedKey]:
    """Return some keys that several of the first rows have."""
    keys = ", ".join(view.unique)
    read = ", ".join(f"v.{name}" for name in view.unique)
    found = await conn.fetch(
        f"""
        -- views.repeated_keys
        SELECT concat_ws(' ', {keys}) AS key,
               (array_agg(DISTINCT part.external_id)
                   FILTER (WHERE part.external_id IS NOT NULL))[:3] AS external_ids
          FROM (VALUES (NULL::text)) AS absent (external_id)
         CROSS JOIN LATERAL (
               SELECT {read}, external_id::text AS external_id
                 FROM {view.checked_name} AS v
                LIMIT $1::bigint) AS part ({keys}, external_id)
         GROUP BY {keys} HAVING count(*) > 1
         ORDER BY count(DISTINCT part.external_id) DESC, {keys} LIMIT 3
        """,  # noqa: S608 - ours
        rows,
    )
    return [RepeatedKey(row["key"], row["external_ids"] or []) for row in found]


async def probe(conn: Conn, view: CrmView) -> None:
    """Read a view as the gateway does all the time: by one value."""
    kind = next(one.type for one in view.columns if one.name == view.read_by)
    await conn.fetch(
        f"""
        -- views.probe
        SELECT FROM {view.checked_name} WHERE {view.read_by} = '1'::{kind} LIMIT 1
        """
    )


async def limit(conn: Conn, *, statement_s: float, lock_s: float) -> None:
    """Limit the statements of this transaction."""
    await conn.execute(
        """
        -- views.limit
        SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true)
        """,
        str(round(statement_s * 1000)),
        str(round(lock_s * 1000)),
    )
