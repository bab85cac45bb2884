"""What waits to be stored: counted as it arrives and leaves, also in parts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest

from ingest.metrics import IngestMetrics
from ingest.model.events import CallEvent
from ingest.model.receipt import Receipt
from ingest.settings import IngestSettings
from ingest.storing.batcher import Batcher, Busy, EventOutcome, Rejection

T0 = datetime(2026, 11, 20, 12, tzinfo=UTC)


def event(number: int) -> CallEvent:
    return CallEvent(
        event_id=UUID(int=number), source="pbx", type="leg.created", occurred_at=T0, leg_key="a"
    )


class RecordingStore:
    """Stores one batch for each time that it is allowed to."""

    def __init__(self, outcomes: dict[int, EventOutcome] | None = None) -> None:
        self.fates = outcomes or {}
        self.batches: list[list[int]] = []
        self.may = asyncio.Semaphore(0)
        self.busy = asyncio.Event()

    async def __call__(self, events: Sequence[CallEvent]) -> list[EventOutcome]:
        self.batches.append([one.event_id.int for one in events])
        self.busy.set()
        await self.may.acquire()
        return [self.fates.get(one.event_id.int, "accepted") for one in events]


@pytest.fixture
def settings() -> IngestSettings:
    return IngestSettings(batch_events=4, batch_ms=0, max_waiting_bytes=10 * event(1).size)


async def test_a_submission_in_two_batches_has_one_receipt(settings: IngestSettings) -> None:
    """Its events stay in order, and what is refused is named by its place in the whole."""
    store = RecordingStore(
        {3: Rejection("event.unstorable", "no"), 5: "duplicate", 6: Rejection("x", "y")}
    )
    batcher = Batcher(store, settings=settings, metrics=IngestMetrics())
    running = asyncio.create_task(batcher.run())
    store.may.release()
    store.may.release()

    receipt = await batcher.submit([event(number) for number in range(1, 7)])

    batcher.close()
    await running
    assert store.batches == [[1, 2, 3, 4], [5, 6]]
    assert (receipt.accepted, receipt.duplicates) == (3, 1)
    assert [(one.index, one.code) for one in receipt.rejected] == [
        (2, "event.unstorable"),
        (5, "x"),
    ]


async def test_what_is_being_stored_waits_no_longer(settings: IngestSettings) -> None:
    """Of a submission that is taken in part the rest alone counts, in events and in bytes."""
    store = RecordingStore()
    batcher = Batcher(store, settings=settings, metrics=IngestMetrics())
    running = asyncio.create_task(batcher.run())
    first = asyncio.create_task(batcher.submit([event(number) for number in range(10)]))
    await store.busy.wait()

    assert (batcher.waiting_events, batcher.waiting_bytes) == (6, 6 * event(1).size)
    second = asyncio.create_task(batcher.submit([event(number) for number in range(10, 14)]))
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await batcher.submit([event(20)])

    for _ in range(4):
        store.may.release()
    assert list(await asyncio.gather(first, second)) == [Receipt(10, 0), Receipt(4, 0)]
    batcher.close()
    await running
    assert store.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13]]
    assert (batcher.waiting_events, batcher.waiting_bytes) == (0, 0)
