"""Queues for a desk: a PBX that reports callers and agents, and supervisors who watch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from gateway.client import Connection
from gateway.protocol import QueueWatch, QueueWatched
from gateway.sockets.watch import queue_watches
from ingest import CallEvent
from ingest.model.events import EventType, derive_id
from tests.support.desk import Desk

SALES, SUPPORT = "sales", "support"


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send changes to watchers after 0.1 s instead of 1 s, and only those that are announced."""
    monkeypatch.setattr(queue_watches, "CONFLATE_S", 0.1)
    monkeypatch.setattr(queue_watches, "READ_ALL_EVERY", 1_000)


class QueuePbx:
    """Submits to one node the events of calls that begin now."""

    def __init__(self, desk: Desk, *, node: int = 0) -> None:
        self._pipeline = desk.nodes[node].app.state.gateway.pipeline
        self._told = 0
        self.now = datetime.now(UTC) - timedelta(seconds=5)

    async def submit(self, *events: tuple[EventType, dict[str, Any]]) -> None:
        """Submit events that are a millisecond apart."""
        await self._pipeline.submit([self._event(kind, fields) for kind, fields in events])

    def _event(self, kind: EventType, fields: dict[str, Any]) -> CallEvent:
        self._told += 1
        at = fields.pop("at", None) or self.now + timedelta(milliseconds=self._told)
        return CallEvent(
            event_id=derive_id("main", f"{self._told}"), source="main", type=kind, occurred_at=at,
            **fields,
        )  # fmt: skip

    async def enter(self, call: str, queue: str = SALES, **more: Any) -> None:
        """Let a caller enter the queue and wait."""
        number = {"number_raw": "+380671234567", "number_e164": "+380671234567"}
        await self.submit(
            ("call.started", {"leg_key": call, "attrs": number, **more}),
            ("queue.entered", {"leg_key": call, "queue": queue, **more}),
        )

    async def ring(self, call: str, extension: str = "101") -> None:
        leg = {"leg_key": f"{call}-{extension}", "extension": extension}
        await self.submit(("offer.started", {**leg, "peer_leg_key": call}), ("leg.ringing", leg))

    async def answer(self, call: str, extension: str = "101", queue: str = SALES) -> None:
        leg, bridge = f"{call}-{extension}", {"attrs": {"bridge": f"b-{call}"}}
        await self.submit(
            ("leg.answered", {"leg_key": leg, "extension": extension}),
            ("queue.connected", {"leg_key": call, "peer_leg_key": leg, "queue": queue}),
            ("bridge.joined", {"leg_key": call, **bridge}),
            ("bridge.joined", {"leg_key": leg, **bridge}),
        )

    async def hang_up(self, call: str, *extensions: str) -> None:
        await self.submit(
            *(("leg.ended", {"leg_key": f"{call}-{one}"}) for one in extensions),
            ("leg.ended", {"leg_key": call}),
        )

    async def agent(self, what: str, extension: str = "101", **more: Any) -> None:
        kind = cast("EventType", f"agent.{what}")
        await self.submit((kind, {"extension": extension, "queue": SALES, **more}))


async def supervisor(desk: Desk) -> int:
    """Return an employee who may watch queues and see all calls."""
    rows = await desk.sql(
        "SELECT min(employee_id) AS id FROM crm.permissions WHERE permission = 'stats.view'"
        " AND employee_id IN"
        " (SELECT employee_id FROM crm.permissions WHERE permission = 'calls.view_all')"
    )
    found: int = rows[0]["id"]
    return found


async def watching(
    desk: Desk, queues: Any = "all", *, node: int = -1, **asked: Any
) -> tuple[Connection, QueueWatched]:
    """Connect a supervisor who watches."""
    client = await desk.client(await supervisor(desk), node=node)
    shown: QueueWatched = await client.request(QueueWatch(queues=queues, **asked))
    return client, shown
