"""Compares the CRM's views with the contract: the catalogue, then a bounded part of their rows.

cli/migrate.py, watch.py ─▶ check ─▶ queries. It changes nothing: what it reads, it reads in a
read-only transaction, each statement with a limit of time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import asyncpg

from gateway.crm.contract import VIEWS, Column, CrmView
from gateway.crm.queries import views as queries
from gateway.crm.queries.views import ViewColumn, ViewSample, ViewShape
from gateway.db import Conn

ROWS = 20_000
"""Rows of each view that one check reads: 20 ms."""
STATEMENT_S = 2.0
LOCK_S = 0.5

TYPES = {
    "bigint": {"bigint", "integer", "smallint"},
    "boolean": {"boolean"},
    "timestamptz": {"timestamp with time zone"},
}
"""Type of the contract → types that are read as it; of text, any of the category of text."""


@dataclass(frozen=True, slots=True)
class ContractFault:
    """What is wrong with a view."""

    view: CrmView
    what: str
    off: bool = True
    """Whether the view cannot be used; otherwise some of its rows are wrong."""
    slow: bool = False
    """Whether it only took too long, which may be different the next time."""

    @property
    def text(self) -> str:
        """The fault, and what it switches off."""
        return f"{self.what}; off: {self.view.needed_for}" if self.off else self.what


async def check(
    conn: Conn, *, rows: int = ROWS, statement_s: float = STATEMENT_S
) -> tuple[dict[str, ContractFault], set[str]]:
    """Return view → what is wrong with it, and the views of which that is not known now."""
    shapes = await queries.shapes(conn, [view.name for view in VIEWS])
    faults: dict[str, ContractFault] = {}
    unknown: set[str] = set()
    for view in VIEWS:
        fault: ContractFault | None = None
        if what := _compare(view, shapes.get(view.name)):
            fault = ContractFault(view, what)
        elif view.name in shapes:
            try:
                fault = await _examine(conn, view, rows=rows, statement_s=statement_s)
            except asyncpg.LockNotAvailableError:
                unknown.add(view.name)
        if fault is not None:
            faults[view.name] = fault
    return faults, unknown


async def absent(conn: Conn) -> list[str]:
    """Return the optional views that there are not: no fault, and nothing to read."""
    optional = [view.name for view in VIEWS if not view.required]
    found = await queries.shapes(conn, optional)
    return [name for name in optional if name not in found]


def _compare(view: CrmView, shape: ViewShape | None) -> str | None:
    """Return what is wrong with the shape of a view."""
    if shape is None:
        return "is missing" if view.required else None
    if not shape.readable:
        return "cannot be read: GRANT USAGE ON SCHEMA crm and SELECT on it to this role"
    wrong = [
        f"has no column {one.name}"
        if one.name not in shape.columns
        else f"has {one.name} as {shape.columns[one.name].type}, not {one.type}"
        for one in view.columns
        if not (one.optional and one.name not in shape.columns)
        and not _fits(one, shape.columns.get(one.name))
    ]
    return ", ".join(wrong) or None


def _fits(column: Column, found: ViewColumn | None) -> bool:
    if found is None:
        return False
    return found.category == "S" if column.type == "text" else found.type in TYPES[column.type]


async def _examine(
    conn: Conn, view: CrmView, *, rows: int, statement_s: float
) -> ContractFault | None:
    """Return what is wrong with the rows of a view; LockNotAvailableError when it is locked."""
    limited = partial(_limited, conn, statement_s=statement_s)
    try:
        try:
            async with limited():
                sample = await queries.sample(conn, view, rows=rows)
                return await _weigh(conn, view, sample, rows=rows)
        except asyncpg.QueryCanceledError:  # it may be fast by an index
            async with limited():
                await queries.probe(conn, view)
            return None
    except asyncpg.LockNotAvailableError:
        raise
    except asyncpg.QueryCanceledError:
        what = f"is slow: by {view.read_by} it takes longer than {statement_s:g} s"
        return ContractFault(view, what, slow=True)
    except asyncpg.PostgresError as error:
        return ContractFault(view, f"cannot be read: {error}")


async def _weigh(
    conn: Conn, view: CrmView, sample: ViewSample, *, rows: int
) -> ContractFault | None:
    """Return what is wrong with the rows of a view."""
    if sample.too_great is not None:
        return ContractFault(view, f"has the id {sample.too_great}, which is not below 2^53")
    if sample.repeated:
        keys = await queries.repeated_keys(conn, view, rows=rows)
        for one in keys:
            if len(one.external_ids) > 1:
                ids = " and ".join(one.external_ids)
                return ContractFault(view, f"has one number, {one.key}, for several ids: {ids}")
        named = ", ".join(one.key for one in keys)
        return ContractFault(view, f"has rows twice: {' '.join(view.unique)} {named}", off=False)
    if sample.nulls:
        return ContractFault(view, f"has {sample.nulls} rows without an id", off=False)
    return None


@asynccontextmanager
async def _limited(conn: Conn, *, statement_s: float) -> AsyncIterator[None]:
    async with conn.transaction(readonly=True):
        await queries.limit(conn, statement_s=statement_s, lock_s=LOCK_S)
        yield


def off(faults: Collection[ContractFault]) -> dict[str, str]:
    """Return view → what is wrong with it, of those that cannot be used."""
    return {fault.view.name: fault.what for fault in faults if fault.off}
