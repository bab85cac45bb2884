"""`python -m gateway.ops.reference` writes the table of metrics of docs/operations.md.

metric_catalogue.py ─▶ here ─▶ docs/operations.md, between its markers; the rest is prose.
"""

from __future__ import annotations

import re
from pathlib import Path

from gateway.ops.metric_catalogue import METRICS, Metric

PATH = Path(__file__).parents[2] / "docs" / "operations.md"

MARKERS = re.compile(r"(<!-- metrics -->\n).*?(<!-- end -->)", re.DOTALL)


def render(page: str) -> str:
    """Return page with a new table between its markers."""
    return MARKERS.sub(lambda found: f"{found[1]}\n{table()}\n{found[2]}", page)


def table() -> str:
    """One row per metric, in the order in which they are served."""
    rows = ["| metric | kind | meaning |", "|---|---|---|"]
    rows += [f"| `{_shown(metric)}` | {metric.kind} | {metric.text} |" for metric in METRICS]
    return "\n".join(rows)


def _shown(metric: Metric) -> str:
    return metric.name + (f"{{{','.join(metric.labels)}}}" if metric.labels else "")


def main() -> None:
    """Write the page."""
    PATH.write_text(render(PATH.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
