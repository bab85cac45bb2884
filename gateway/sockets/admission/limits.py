"""From settings to the limits of this node: what a connection may do, and a user, and a crowd.

settings ─▶ Bounds ─▶ Node, Session, SocketProtocol.
"""

from __future__ import annotations

from redis.asyncio import Redis

from gateway.commands import Cost
from gateway.limits import Allowance, Bucket, Connections, Ledger, Rate, Turns
from gateway.limits.ledger import Excess
from gateway.settings import Settings


class SocketLimits:
    """The limits of one worker."""

    def __init__(self, settings: Settings) -> None:
        self.commands = Rate(settings.commands_per_s, settings.commands_burst)
        """Of one connection."""
        self.pings = Rate(settings.pings_per_s, settings.pings_burst)
        self.errors = Rate(settings.max_errors / 60, settings.max_errors)
        self.users: dict[Cost, Allowance] = {
            "write": Allowance(settings.writes_per_s, settings.writes_burst),
            "read": Allowance(settings.reads_per_s, settings.reads_burst),
            "passing": Allowance(settings.passing_per_s, settings.passing_burst),
        }
        """Of one user, by what a command costs."""
        self.connections = Connections(settings.connections_per_user)
        self.accepts = Bucket(settings.accepts_per_s, settings.accepts_burst)
        self.hellos = Turns(settings.hellos_at_once, settings.hello_wait_s)

    def ledger(self, redis: Redis, node: str, excess: Excess) -> Ledger:
        """Return what adds users' limits up with other nodes."""
        allowances = {str(cost): allowance for cost, allowance in self.users.items()}
        return Ledger(
            redis, node=node, allowances=allowances, connections=self.connections, excess=excess
        )
