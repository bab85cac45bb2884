"""`python -m gateway.cli.reference` writes the settings table of docs/operations.md.

gateway/settings ─▶ here ─▶ docs/operations.md, between its markers; the prose around is ours.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway.settings import Settings

PATH = Path(__file__).parents[2] / "docs" / "operations.md"

MARKERS = re.compile(r"(<!-- settings -->\n).*?(<!-- end -->)", re.DOTALL)

COMPUTED = {
    "state_dir": "`$XDG_STATE_HOME/crm-gateway`, else `~/.local/state/crm-gateway`",
    "node": "host name and a random suffix",
}
"""Defaults that depend on the machine: a table must not say where it was written."""


def render(page: str) -> str:
    """Return page with the table between its markers made again."""
    return MARKERS.sub(lambda found: f"{found[1]}\n{table()}\n{found[2]}", page)


def table() -> str:
    """One row per setting, in the order in which they are declared; groups come last."""
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    fields = Settings.model_fields
    grouped = [name for name in fields if name not in Settings.__annotations__]
    for name in [*(name for name in fields if name not in grouped), *grouped]:
        field = fields[name]
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        rows.append(f"| `{variable(name)}` | {_default(name, field)} | {meaning} |")
    return "\n".join(rows)


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"GATEWAY_{name.upper()}"


def _default(name: str, field: FieldInfo) -> str:
    if name in COMPUTED:
        return COMPUTED[name]
    default = field.default
    if default is None or default is PydanticUndefined or default == ():
        return "(none)"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return f"`{','.join(default)}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def main() -> None:
    """Write the page."""
    PATH.write_text(render(PATH.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
