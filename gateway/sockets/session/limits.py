"""The limits of this node, made from settings: per connection, per user, and for all together.

settings ─▶ SocketLimits ─▶ Session, Admission.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from gateway.commands import Cost, Handler
from gateway.limits import AdmissionQueue, Bucket, ClusterLimits, Rate, UserConnections, UserRate
from gateway.limits.cluster_limits import OnExcess
from gateway.settings import Settings


class SocketLimits:
    """The limits of one node."""

    def __init__(self, settings: Settings) -> None:
        self.commands = Rate(settings.commands_per_s, settings.commands_burst)
        """Of one connection."""
        self.pings = Rate(settings.pings_per_s, settings.pings_burst)
        self.errors = Rate(settings.max_errors / 60, settings.max_errors)
        self.users: dict[Cost, UserRate] = {
            "write": UserRate(settings.writes_per_s, settings.writes_burst),
            "read": UserRate(settings.reads_per_s, settings.reads_burst),
            "passing": UserRate(settings.passing_per_s, settings.passing_burst),
        }
        """Of one user, by what a command costs."""
        self.connections = UserConnections(settings.connections_per_user)
        self.accepts = Bucket(settings.accepts_per_s, settings.accepts_burst)
        self.hellos = AdmissionQueue(settings.hellos_at_once, settings.hello_wait_s)

    def charge(self, handler: Handler, command: Any, user_id: int, now: float) -> None:
        """Count a command that was admitted as often as what it asks for is worth."""
        if handler.work is not None and user_id and (more := handler.work(command) - 1):
            self.users[handler.cost].charge(user_id, now, more)

    def shared(self, redis: Redis, node: str, on_excess: OnExcess) -> ClusterLimits:
        """Return what enforces the limits of users over all nodes together."""
        rates = {str(cost): rate for cost, rate in self.users.items()}
        return ClusterLimits(
            redis, node=node, rates=rates, connections=self.connections, on_excess=on_excess
        )
