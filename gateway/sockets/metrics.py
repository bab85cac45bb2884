"""What the sockets of one node count for its metrics.

listener, session ─▶ SocketMetrics ─▶ gateway/ops/metric_catalogue.py.
"""

from __future__ import annotations

from collections import Counter

from gateway.ops.histogram import Histogram


class SocketMetrics:
    """Counters since the start of the process."""

    def __init__(self) -> None:
        self.opened = 0
        """WebSockets accepted."""
        self.bytes_in = 0
        self.frames_in = 0
        """Of sessions that have ended."""
        self.closes: Counter[int] = Counter()
        """Close code → closes that the gateway began."""
        self.client_closes: Counter[int] = Counter()
        """Close code → closes that the client began."""
        self.rejected: Counter[str] = Counter()
        """Error code → connections refused before they became WebSockets."""
        self.refusals: Counter[str] = Counter()
        """Error code → commands refused."""
        self.latency: dict[str, Histogram] = {}
        """Command → how long it took, in seconds."""

    def count_command(self, command: str, seconds: float) -> None:
        """Count a command that has run, whatever its result."""
        histogram = self.latency.get(command)
        if histogram is None:
            histogram = self.latency[command] = Histogram()
        histogram.observe(seconds)

    def count_refusal(self, code: str) -> None:
        """Count an error sent to a client."""
        self.refusals[code] += 1

    def count_close(self, code: int) -> None:
        """Count a close that the gateway began."""
        self.closes[code] += 1

    def count_client_close(self, code: int) -> None:
        """Count a close that the client began; 1006 when it vanished without one."""
        self.client_closes[code] += 1

    def count_rejection(self, reason: str) -> None:
        """Count a connection that was refused before it became a WebSocket."""
        self.rejected[reason] += 1
