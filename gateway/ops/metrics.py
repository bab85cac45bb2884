"""The gateway's numbers, rendered for Prometheus. On the hot path they are plain integers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class GatewayCollector(Collector):
    """Reads the counters of one worker when it is scraped."""

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway

    def collect(self) -> Iterable[Metric]:
        node = self._gateway.node
        yield GaugeMetricFamily("gateway_connections", "Open WebSockets.", value=len(node.sessions))
        yield GaugeMetricFamily("gateway_streams", "Conversations heard.", len(node.streams))
        yield GaugeMetricFamily(
            "gateway_loop_lag_seconds", "Last tick's lateness.", node.wheel.lag_s
        )
        for name, text, value in (
            ("connections_opened", "WebSockets accepted.", node.opened),
            ("bytes_in", "Bytes received on WebSockets.", node.bytes_in),
            ("deliveries", "Events handed to sessions.", node.hub.deliveries),
            ("writes", "Writes to sockets.", node.cork.writes),
            ("frames_out", "Frames in those writes.", node.cork.frames),
            ("bytes_out", "Bytes in those writes.", node.cork.bytes_out),
            (
                "passing_dropped",
                "Typing notices replaced or dropped for slow readers.",
                sum(node.cork.dropped),
            ),
            ("healed", "Events read back from the database.", node.streams.healed),
            ("duplicates", "Events dropped as already delivered.", node.streams.duplicates),
            ("unread_statements", "Statements that counted unread.", node.unread.statements),
            ("bus_published", "Announcements published.", node.bus.published),
            ("bus_received", "Announcements received.", node.bus.received),
            ("bus_dropped", "Announcements the bus could not take.", node.bus.dropped),
            ("bus_reconnects", "Times the bus came back.", node.bus.reconnects),
        ):
            yield CounterMetricFamily(f"gateway_{name}", text, value=value)
        yield _by_label("gateway_closes", "Closes by the server.", "code", node.closes)
        yield _by_label("gateway_refusals", "Refused commands.", "code", node.refusals)
        seconds = CounterMetricFamily(
            "gateway_command_seconds", "Time spent in commands.", labels=["command"]
        )
        count = CounterMetricFamily("gateway_commands", "Commands run.", labels=["command"])
        for command, (runs, total_s, _longest) in node.latency.items():
            seconds.add_metric([command], total_s)
            count.add_metric([command], runs)
        yield seconds
        yield count


def _by_label(name: str, text: str, label: str, values: dict[Any, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family


def render(gateway: Any) -> bytes:
    """Print the figures of this worker."""
    registry = CollectorRegistry()
    registry.register(GatewayCollector(gateway))
    return generate_latest(registry)
