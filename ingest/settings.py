"""Bounds and times of ingest, each in one place.

Only the embedding program reads the environment; it passes these values in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ingest.model.clock import MAX_PAST


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    batch_events: int = 4_000
    """Most events in one transaction. What arrives while a batch is stored is the next batch, so
    batches grow with the load, and a call with many events in a batch is folded once."""

    batch_ms: int = 5
    """How long the first event of a batch waits for more, in milliseconds: a telephone that rings
    is several events within 2 ms. Waiting longer gains nothing, because what arrives while a batch
    is stored is one batch anyway."""

    max_submission_events: int = 1_000
    """Most events in one submission."""

    max_waiting_events: int = 20_000
    """Above this, submissions are refused with Busy: about 2 s of work at full speed."""

    max_waiting_bytes: int = 32 * 1024 * 1024

    max_call_events: int = 5_000
    """A call with more events is not folded any more and stays as it is: its key is not a call's,
    but one used again and again. The longest of the 240 recorded calls has 150 events."""

    longest_call: timedelta = timedelta(days=2)
    """A call whose events lie further apart is folded, and whoever posts them is told: its key
    looks like one that is used again and again."""

    fold_aside_events: int = 300
    """Calls with more events are folded in another thread: 5,000 take 80 ms."""

    cached_events: int = 20_000
    """Events of the latest calls cached in memory, about 1 KB each, so that they need not be read
    back for every batch. 20,000 are a thousand calls in progress."""

    database_timeout_s: float = 10.0
    attempts: int = 3
    """How often a batch is tried while the database is away or transactions collide."""

    retry_s: float = 0.2
    announce_timeout_s: float = 5.0

    months_ahead: int = 2
    keep_months: int = 13
    """Older events are dropped, a partition of one month at a time. Posted events are refused after
    366 days (model.clock.MAX_PAST), so that none arrives when its month is gone."""

    lost_after: timedelta = timedelta(hours=12)
    """A call in progress without an event for this long ends as lost: its end did not arrive."""

    payload_days: int = 0
    """For how many whole days the PBX's message of an event is kept; 0: not at all."""

    housekeeping_s: float = 3_600.0

    @property
    def max_event_age(self) -> timedelta:
        """How far in the past a posted event may lie.

        30 days a month, less 3 days: February is up to 2 days shorter (December to February have
        90), and an event's id is deleted by when it was first seen, up to a day before the event's
        own time.
        """
        return min(MAX_PAST, timedelta(days=30 * self.keep_months - 3))
