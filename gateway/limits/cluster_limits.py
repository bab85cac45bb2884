"""Users' rates and connections on all nodes together, added up in Redis twice a second.

UserRate, UserConnections ─▶ ClusterLimits ─▶ Redis, and back. No command waits for it: a node
grants by its own counts and learns afterwards which users exceeded the limits. While Redis is away
each node's own limits apply.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.limits.connections import UserConnections
from gateway.limits.user_rate import UserRate

log = structlog.get_logger(__name__)

EVERY_S = 0.5
RENEW_S = 5.0
LEASE_S = 15.0
"""The connections of a node that has not reported for this long are not counted."""

BATCH = 500
"""Users per script call; 500 take Redis about 1 ms."""

MAX_BLOCK_S = 10.0
"""No user is blocked for longer, however much several nodes granted at once."""

FORGET_S = 7 * 24 * 3_600.0
PREFIX = "gateway:{limits}:"
"""The braces keep all keys in one slot of a cluster, so that one call may name many."""

OnExcess = Callable[[int, int], None]
"""Receives a user and the number of connections on this node, newest first, to close."""


class ClusterLimits:
    """Reports this node's counts and applies the totals."""

    def __init__(
        self,
        redis: Redis,
        *,
        node: str,
        rates: Mapping[str, UserRate],
        connections: UserConnections,
        on_excess: OnExcess,
    ) -> None:
        self.node_id = f"{node}:{secrets.token_hex(4)}"
        self._rates = rates
        self._connections = connections
        self._on_excess = on_excess
        self._spend = redis.register_script(_script("spend"))
        self._count = redis.register_script(_script("connections"))
        self._redis = redis
        self._renewed_at = float("-inf")
        self._isolated = False
        self.failures = 0

    async def run(self) -> None:
        """Report every EVERY_S until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.sync()
            except Exception:  # this loop must survive every error
                log.exception("limits.failed")

    async def sync(self) -> None:
        """Report the changes since the last time and apply the totals."""
        now = asyncio.get_running_loop().time()
        used = {name: rate.pop_unreported() for name, rate in self._rates.items()}
        changed = self._connections.pop_changed()
        try:
            for name, by_user in used.items():
                await self._report_use(name, by_user)
            await self._report_connections(changed)
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)
            self._connections.report_again(changed)
        else:
            self._isolated = False
        for rate in self._rates.values():
            rate.expire(now)
        self._connections.expire(now)

    async def release(self) -> None:
        """Release the lease: this node's connections are closed."""
        try:
            await self._redis.zrem(f"{PREFIX}nodes", self.node_id)
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        if not self._isolated:  # logged once, not twice a second
            log.warning("limits.redis_unavailable", error=type(error).__name__)
        self._isolated = True

    async def _report_use(self, name: str, by_user: Mapping[int, int]) -> None:
        rate = self._rates[name]
        each_us = 1e6 / rate.per_s
        terms = [round(each_us), round(each_us * rate.burst), round(MAX_BLOCK_S * 1e6)]
        for some in _batches(by_user):
            blocked_ms: list[int] = await self._spend(
                keys=[f"{PREFIX}{name}:{user_id}" for user_id in some],
                args=[*terms, *some.values()],
            )
            now = asyncio.get_running_loop().time()
            rate.block(
                {
                    user_id: now + ms / 1_000
                    for user_id, ms in zip(some, blocked_ms, strict=True)
                    if ms
                }
            )

    async def _report_connections(self, changed: Mapping[int, int]) -> None:
        now = asyncio.get_running_loop().time()
        if not changed and now - self._renewed_at < RENEW_S:
            return
        for some in _batches(changed) if changed else [{}]:
            elsewhere: list[int] = await self._count(
                keys=[f"{PREFIX}nodes", *(f"{PREFIX}at:{user_id}" for user_id in some)],
                args=[
                    self.node_id,
                    round(LEASE_S * 1_000),
                    round(FORGET_S * 1_000),
                    *(self._connections.held_here(user_id) for user_id in some),
                ],
            )
            self._apply(some, elsewhere)
        self._renewed_at = now

    def _apply(self, arrived: Mapping[int, int], elsewhere: list[int]) -> None:
        now = asyncio.get_running_loop().time()
        for (user_id, came), others in zip(arrived.items(), elsewhere, strict=True):
            too_many = min(came, self._connections.update_elsewhere(user_id, others, now))
            if too_many:  # only the new ones: those before were within the limit
                self._on_excess(user_id, too_many)


def _batches(by_user: Mapping[int, int]) -> Iterator[dict[int, int]]:
    items = iter(by_user.items())
    while some := dict(islice(items, BATCH)):
        yield some


@cache
def _script(name: str) -> Any:
    return (resources.files("gateway.limits") / "scripts" / f"{name}.lua").read_text("utf-8")
