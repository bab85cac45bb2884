"""The times and sizes of presence; every one may be shortened in a test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PresenceSettings:
    """A killed node's people are gone after at most 15 + 10 s, and a reload is invisible."""

    lease_ttl_s: float = 15.0
    """How long a node counts as alive after its last renewal."""
    renew_s: float = 5.0
    """Two renewals may be lost before the lease is; one command per node, whatever it holds."""
    grace_s: float = 10.0
    """How long someone without devices, or whose node is gone, is still shown as before."""
    reap_batch: int = 200
    """People handled by one script: about 3 ms during which Redis serves nobody else."""
    reap_pause_s: float = 0.05
    """Between batches of reaping and re-announcing: at most 4,000 people a second and node."""
    command_timeout_s: float = 0.5
    """The longest that Redis may hold a caller."""
    announce_timeout_s: float = 5.0
    """The longest that `on_change` may hold the next batch."""
    retry_max_s: float = 2.0
    """Longest pause between attempts while Redis is away; well below lease_ttl_s + grace_s."""
    call_max_s: float = 12 * 3600.0
    """A call whose end was never reported stops counting after this."""
    forget_s: float = 90 * 86400.0
    """Someone absent for so long is forgotten, chosen status and text included."""
    known_limit: int = 50_000
    """Last known states kept for the time when Redis is away; the oldest go first."""
    pending_limit: int = 10_000
    """Call reports kept while Redis is away; the oldest go first."""
    show_last_seen: bool = True
    """Whether people learn when someone who is offline was last here."""
    key_prefix: str = "{presence}:"
    """The braces keep everything in one slot of a Redis Cluster, where one script can reach it."""

    def __post_init__(self) -> None:
        if not 0 < self.renew_s < self.lease_ttl_s:
            raise ValueError("renew_s must be positive and below lease_ttl_s")
        if self.retry_max_s >= self.lease_ttl_s + self.grace_s:
            raise ValueError("retry_max_s must be below lease_ttl_s + grace_s")
