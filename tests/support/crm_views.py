"""The CRM's views in another shape than the contract wants."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.crm import CrmView

VALUES = {
    "bigint": "1::bigint",
    "text": "'one'::text",
    "boolean": "true",
    "timestamptz": "now()",
}
"""Type of a column → a value."""


def row_of(view: CrmView, changes: Mapping[str, str | None] | None = None) -> list[str]:
    """Return the columns of one row, as a SELECT has them; None leaves a column out."""
    values: dict[str, str | None] = {one.name: VALUES[one.type] for one in view.columns}
    values |= changes or {}
    return [f"{value} AS {name}" for name, value in values.items() if value is not None]


def reshaped(view: CrmView, changes: Mapping[str, str | None]) -> str:
    """Return the statements that make this view one row, with these columns in place of its own."""
    return (
        f"DROP VIEW IF EXISTS {view.full_name}; "
        f"CREATE VIEW {view.full_name} AS SELECT {', '.join(row_of(view, changes))}"
    )
