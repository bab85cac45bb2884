"""The gateway's figures (figures.py), rendered for Prometheus.

prometheus_client formats them, and adds what it knows of the process: CPU, memory, open files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway.ops.figures import FIGURES, Figure, Kind, Values
from gateway.ops.histogram import Histogram

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

FAMILIES: Mapping[Kind, Any] = {
    "gauge": GaugeMetricFamily,
    "counter": CounterMetricFamily,
    "histogram": HistogramMetricFamily,
}


class GatewayCollector(Collector):
    """Reads the figures of one worker when it is scraped."""

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway

    def collect(self) -> Iterable[Metric]:
        for figure in FIGURES:
            yield family(figure, figure.read(self._gateway))


def family(figure: Figure, values: Values) -> Metric:
    """Return a figure with its values, in prometheus_client's terms."""
    made: Metric = FAMILIES[figure.kind](figure.name, figure.text, labels=figure.labels)
    for labels, value in values.items() if isinstance(values, Mapping) else [((), values)]:
        if isinstance(value, Histogram):
            made.add_metric(labels, value.buckets(), value.total_s)  # type: ignore[attr-defined]
        else:
            made.add_metric(labels, value)  # type: ignore[attr-defined]
    return made


def render(gateway: Any) -> bytes:
    """Print the figures of this worker."""
    registry = CollectorRegistry()
    registry.register(GatewayCollector(gateway))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
