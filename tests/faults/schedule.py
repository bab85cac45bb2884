"""Which faults occur, when and where: chosen by a seed before the run.

make ─▶ Fault, Fault, … ─▶ injector. Each kind occurs once before any is repeated.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

FIRST_S = 2.0
"""Everything works for so long before the first fault."""
JITTER_S = 1.0
QUIET = 6
"""So many messages for each fault are the only ones of their conversations for a long time: a
conversation in which more is written shows a loss by the gap, and so hides a missing sweep."""

Where = Literal["worker", "everything", "namespace"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One way in which things go wrong."""

    name: str
    what: str
    where: Where
    shortest_s: float
    longest_s: float
    recovery_s: float = 0.0
    """So long after its end what was promised need not hold yet, and why is in `what`."""


REDIS_AWAY_S = (3.6, 5.0)
"""Longer than redis-py's own attempts, which take 3.5 s, and shorter than the lease."""
STUCK_S = 5.0
"""GATEWAY_DATABASE_TIMEOUT_S: a statement on a dead connection is given up after it."""

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("kill_worker", "SIGKILL; it is started again a second later", "worker", 1.0, 1.0),
        Kind("stop_worker", "SIGSTOP, then SIGCONT", "worker", 2.0, 9.0),
        Kind("client_delay", "clients' frames take long", "worker", 2.0, 4.0),
        Kind("client_stall", "nothing moves between clients and a worker", "worker", 2.0, 4.0),
        Kind("client_cut", "clients' connections are reset, and refused", "worker", 1.0, 4.0),
        Kind("client_blackhole", "clients' connections stay silent", "worker", 1.0, 3.0),
        Kind("client_mute", "what they say arrives, and no answer does", "worker", 1.0, 3.0),
        Kind("redis_delay", "a worker's Redis answers late", "worker", 2.0, 4.0),
        Kind("redis_stall", "a worker's Redis does not answer", "worker", 2.0, 4.0),
        Kind("redis_cut", "a worker's connections to Redis are reset", "worker", *REDIS_AWAY_S),
        Kind("redis_blackhole", "they fall silent permanently", "worker", 2.0, 9.0),
        Kind("postgres_delay", "a worker's PostgreSQL answers late", "worker", 2.0, 3.0),
        Kind("postgres_stall", "a worker's PostgreSQL does not answer", "worker", 2.0, 4.0),
        Kind("postgres_cut", "a worker's connections to it are reset", "worker", 2.0, 4.0),
        Kind(
            "postgres_blackhole",
            "they fall silent permanently; each is detected by a statement that times out",
            "worker", 1.0, 2.0, STUCK_S,
        ),
        Kind("terminate_backends", "pg_terminate_backend of all", "everything", 0.5, 1.0),
        Kind("kill_pubsub", "CLIENT KILL TYPE pubsub", "everything", 0.2, 0.5),
        Kind("pause_redis", "CLIENT PAUSE … ALL", "everything", 1.5, 3.0),
        Kind("restart_redis", "SIGKILL, back with its data", "everything", *REDIS_AWAY_S),
        Kind("restart_redis_empty", "SIGKILL, back empty", "everything", *REDIS_AWAY_S),
        Kind("restart_postgres", "immediate restart", "everything", 0.5, 3.0),
        Kind("lock_table", "LOCK TABLE realtime.messages", "everything", 1.0, 1.5),
        Kind("namespace_redis", "a node's network to Redis is down", "namespace", 3.0, 9.0),
        Kind(
            "namespace_all", "and its network to PostgreSQL, too", "namespace", 2.0, 4.0, STUCK_S
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """One of them, once."""

    number: int
    kind: str
    worker: int
    """The worker it affects; None when it affects no single one."""
    at_s: float
    """After the run began."""
    lasts_s: float
    quiet: tuple[float, ...]
    """When somebody writes in a quiet conversation, from its beginning."""

    @property
    def where(self) -> Where:
        return KINDS[self.kind].where

    @property
    def recovery_s(self) -> float:
        return KINDS[self.kind].recovery_s

    @property
    def name(self) -> str:
        at = "" if self.where == "everything" else f" on worker {self.worker + 1}"
        return f"fault {self.number}, {self.kind}{at}"

    def __str__(self) -> str:
        return f"{self.at_s:6.1f} s  {self.name}, for {self.lasts_s:.1f} s"


def make(
    seed: int,
    *,
    seconds: float,
    workers: int,
    calm_s: float,
    kinds: Collection[str],
    in_namespaces: Collection[int] = (),
) -> tuple[Fault, ...]:
    """Choose the faults that begin, end and are recovered from within this many seconds.

    After each there is calm for longer than what it did may take to be put right: what is late is
    late by its own fault.
    """
    dice = random.Random(seed)
    turns = _turns(dice, sorted(kinds))
    faults: list[Fault] = []
    at_s = FIRST_S
    while True:
        kind = KINDS[next(turns)]
        among = sorted(in_namespaces) if kind.where == "namespace" else range(workers)
        worker = dice.choice(among)
        lasts_s = round(dice.uniform(kind.shortest_s, kind.longest_s), 1)
        quiet = tuple(sorted(round(dice.uniform(0.1, 1.0) * lasts_s, 2) for _ in range(QUIET)))
        over_s = at_s + lasts_s + kind.recovery_s
        if over_s + calm_s > seconds and faults:
            return tuple(faults)
        faults.append(Fault(len(faults), kind.name, worker, round(at_s, 1), lasts_s, quiet))
        at_s = over_s + calm_s + dice.uniform(0.0, JITTER_S)


def _turns(dice: random.Random, kinds: list[str]) -> Iterator[str]:
    while True:
        yield from dice.sample(kinds, len(kinds))
