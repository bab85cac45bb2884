"""The gateway's metrics (metric_catalogue.py), rendered for Prometheus.

prometheus_client formats them, and adds what it knows of the process: CPU, memory, open files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as MetricFamily
from prometheus_client.registry import Collector

from gateway.ops.histogram import Histogram
from gateway.ops.metric_catalogue import METRICS, Kind, Metric, Values

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

FAMILIES: Mapping[Kind, Any] = {
    "gauge": GaugeMetricFamily,
    "counter": CounterMetricFamily,
    "histogram": HistogramMetricFamily,
}


class GatewayCollector(Collector):
    """Reads the metrics of one worker when it is scraped."""

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway

    def collect(self) -> Iterable[MetricFamily]:
        for metric in METRICS:
            yield family(metric, metric.read(self._gateway))


def family(metric: Metric, values: Values) -> MetricFamily:
    """Return a metric with its values, in prometheus_client's terms."""
    made: MetricFamily = FAMILIES[metric.kind](metric.name, metric.text, labels=metric.labels)
    for labels, value in values.items() if isinstance(values, Mapping) else [((), values)]:
        if isinstance(value, Histogram):
            made.add_metric(labels, value.buckets(), value.total_s)  # type: ignore[attr-defined]
        else:
            made.add_metric(labels, value)  # type: ignore[attr-defined]
    return made


def render(gateway: Any) -> bytes:
    """Return the metrics of this worker in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(GatewayCollector(gateway))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
