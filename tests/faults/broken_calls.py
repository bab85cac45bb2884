"""A worker whose telephony has one promise broken, in place of gateway.cli.worker.

`python -m tests.faults.broken_calls NAME PARENT FD` shortens the times of connectors, patches the
product and serves; `whole` breaks nothing. The product itself has no switch for any of this.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from gateway.cli import worker
from gateway.telephony.pbx import connections
from ingest.conn import Conn
from ingest.connectors.link import LinkTiming
from ingest.queries import events
from ingest.queries.events import SourceTurn
from ingest.storing.batcher import Batcher, Part
from ingest.storing.call_cache import CallCache

TIMING = LinkTiming(
    connect_s=2.0, quiet_s=2.0, answer_s=1.0, back_off_s=0.2, back_off_max_s=2.0, lease_s=4.0
)
"""Shorter than in production, in much the same proportions."""


def whole() -> None:
    """Break nothing."""


def early_ack() -> None:
    """Events are acknowledged before the COMMIT, and given up when it fails."""
    store = Batcher._store

    async def hasty(self: Batcher, batch: list[Part]) -> None:
        for part in batch:
            part.submission.settle(["accepted"] * len(part.events))
        await store(self, batch)

    Batcher._store = hasty  # type: ignore[method-assign]


def no_dedupe() -> None:
    """What comes again is stored again."""

    async def all_new(conn: Conn, source: str, event_ids: Sequence[UUID]) -> None: ...

    events.add_keys = all_new


def stale_calls() -> None:
    """A node goes on with what it knows of a call, whatever others have stored of it since."""

    def trust(self: CallCache, turns: Mapping[str, SourceTurn]) -> None: ...

    CallCache.validate = trust  # type: ignore[method-assign]


@dataclass(frozen=True, slots=True)
class BrokenCallsVariant:
    """A broken product, and the faults of a run that is aimed at it."""

    patch: Callable[[], None]
    kinds: tuple[str, ...] = ()


VARIANTS: dict[str, BrokenCallsVariant] = {
    "early_ack": BrokenCallsVariant(early_ack, ("restart_postgres", "kill_worker")),
    "no_dedupe": BrokenCallsVariant(no_dedupe, ("web_mute",)),
    "stale_calls": BrokenCallsVariant(stale_calls, ("pbx_cut", "web_cut")),
}


def main(name: str, *given: str) -> None:
    connections.TIMING = TIMING
    (VARIANTS[name].patch if name in VARIANTS else whole)()
    worker.run(*given)


if __name__ == "__main__":
    main(*sys.argv[1:])
