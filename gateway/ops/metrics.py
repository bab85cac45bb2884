"""The gateway's metrics (metric_catalogue.py), rendered for Prometheus.

rest/ops ─▶ render, in slices: a scrape of a busy worker is thousands of lines, and no client waits
for all of them. What prometheus_client knows of the process (CPU, memory, open files) comes from a
thread, since it reads /proc.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from gateway.ops.histogram import Histogram
from gateway.ops.metric_catalogue import METRICS, Metric, Values

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SLICE = 500
"""Lines between two turns of the event loop: less than a millisecond."""

ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


async def render(gateway: Any) -> bytes:
    """Return the metrics of this worker in Prometheus' text format."""
    process = await asyncio.to_thread(_process)
    lines: list[str] = []
    turn_at = SLICE
    for metric in METRICS:
        for some in family(metric, metric.read(gateway)):
            lines += some
            if len(lines) >= turn_at:
                turn_at = len(lines) + SLICE
                await asyncio.sleep(0)
    return "\n".join([*lines, ""]).encode() + process


def family(metric: Metric, values: Values) -> Iterator[list[str]]:
    """Yield the lines of a metric: what it is, then those of each value."""
    yield [f"# HELP {metric.name} {_escaped_text(metric.text)}", _type_line(metric)]
    # A copy: other tasks may add a value between two slices.
    for labels, value in [*values.items()] if isinstance(values, Mapping) else [((), values)]:
        named = sorted(zip(metric.labels, labels, strict=True))
        shown = [f'{name}="{given.translate(ESCAPES)}"' for name, given in named]
        if isinstance(value, Histogram):
            yield _histogram_lines(metric.name, shown, value)
        else:
            yield [f"{metric.name}{_braced(shown)} {_number(value)}"]


def _type_line(metric: Metric) -> str:
    return f"# TYPE {metric.name} {metric.kind}"


def _histogram_lines(name: str, labels: list[str], value: Histogram) -> list[str]:
    buckets = value.buckets()
    start = "".join(f"{label}," for label in labels)
    lines = [f'{name}_bucket{{{start}le="{bound}"}} {float(count)}' for bound, count in buckets]
    braced = _braced(labels)
    return [
        *lines,
        f"{name}_count{braced} {float(buckets[-1][1])}",
        f"{name}_sum{braced} {_number(value.total_s)}",
    ]


def _braced(labels: list[str]) -> str:
    return f"{{{','.join(labels)}}}" if labels else ""


def _number(value: float) -> str:
    return repr(float(value))


def _escaped_text(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _process() -> bytes:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return generate_latest(registry)
