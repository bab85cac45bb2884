"""The times and limits of presence; tests shorten them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PresenceSettings:
    """With the defaults a killed node's people are offline after at most 15 + 10 s.

    A page reload is invisible.
    """

    lease_ttl_s: float = 15.0
    """How long a node counts as alive after its last renewal."""
    renew_s: float = 5.0
    """Interval of renewals: two may fail before the lease is lost. One command per node each time,
    for any number of connections."""
    grace_s: float = 10.0
    """Grace period: a person without connections keeps the former status this long."""
    reap_batch: int = 200
    """People per script call; 200 take about 3 ms, during which Redis serves nobody else."""
    reap_pause_s: float = 0.05
    """Pause between batches when many people are written: at most 4,000 a second per node."""
    command_timeout_s: float = 0.5
    """Timeout of a command to Redis for which a caller waits."""
    background_timeout_s: float = 2.0
    """Timeout of renewals and of writing what the node owns, for which nobody waits; at most a
    quarter of the lease."""
    announce_timeout_s: float = 5.0
    """Timeout of one call of `on_change`."""
    retry_max_s: float = 2.0
    """Longest pause between attempts while Redis is away; must be below lease_ttl_s + grace_s."""
    call_max_s: float = 12 * 3600.0
    """A call whose end was never reported stops counting after this time."""
    forget_s: float = 90 * 86400.0
    """A person absent this long is deleted, including the chosen status and text."""
    known_limit: int = 50_000
    """Limit of cached last known states, used while Redis is away; the oldest are dropped first."""
    pending_limit: int = 10_000
    """Limit of call reports held while Redis is away; the oldest are dropped first."""
    show_last_seen: bool = True
    """Whether others see when a person who is offline was last online."""
    key_prefix: str = "{presence}:"
    """The braces keep all keys in one slot of a Redis Cluster, so that one script can use them."""

    @property
    def patience_s(self) -> float:
        """Return the timeout of commands for which nobody waits."""
        return max(self.command_timeout_s, min(self.background_timeout_s, self.lease_ttl_s / 4))

    def __post_init__(self) -> None:
        if not 0 < self.renew_s < self.lease_ttl_s:
            raise ValueError("renew_s must be positive and below lease_ttl_s")
        if self.retry_max_s >= self.lease_ttl_s + self.grace_s:
            raise ValueError("retry_max_s must be below lease_ttl_s + grace_s")
