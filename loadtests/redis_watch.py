"""How many commands Redis ran: those sent by workers, and those inside their scripts.

scenarios ─▶ redis_watch. A script counts as one command, which is its cost on the wire; the
commands inside it are counted separately.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from redis import Redis

INSIDE = frozenset(
    {
        "time", "hgetall", "hget", "hset", "hdel", "sadd", "srem", "smembers", "srandmember",
        "zadd", "zrem", "zscore", "zrange", "zrevrange", "zrangebyscore", "zremrangebyscore",
        "persist", "pexpire", "zcard", "scard", "get", "set", "del",
    }
)  # fmt: skip
"""Commands that only our scripts use."""
OURS = frozenset({"info", "config|resetstat"})


@dataclass(frozen=True, slots=True)
class CommandCounts:
    """Commands that Redis ran, up to a moment or between two."""

    commands: int
    steps: int
    """Commands, including those inside scripts."""
    at: float

    def __sub__(self, before: CommandCounts) -> CommandCounts:
        return CommandCounts(
            self.commands - before.commands, self.steps - before.steps, self.at - before.at
        )

    @property
    def commands_per_s(self) -> float:
        return self.commands / self.at


def command_counts(redis: Redis) -> CommandCounts:
    """Return the commands so far, without those of this measurement."""
    commands = steps = 0
    for name, stat in redis.info("commandstats").items():
        command = name.removeprefix("cmdstat_")
        if command in INSIDE:
            steps += int(stat["calls"])
        elif command not in OURS:
            commands += int(stat["calls"])
    return CommandCounts(commands, steps + commands, time.perf_counter())
