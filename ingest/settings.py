"""What an operator may tune; every bound has one place.

Only the program that embeds ingest reads the environment; it hands these values in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ingest.model.clock import MAX_PAST


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    batch_events: int = 4_000
    """Events in one transaction at most: what waits while one is stored is the next one, so a batch
    grows with the load, and a call that many events are about is folded once for all of them."""

    batch_ms: int = 5
    """How long the first event of a batch waits for company: what rings a telephone is several
    events within 2 ms. More gains nothing, as what waits while a batch is stored is together."""

    max_submission_events: int = 1_000
    """Events one caller may hand in at once."""

    max_waiting_events: int = 20_000
    """Beyond this a caller is told to come back: about 2 s of work at full speed."""

    max_waiting_bytes: int = 32 * 1024 * 1024

    max_call_events: int = 5_000
    """A call with more events than this is no call but a key used again and again: it stays as it
    is. The longest of the 240 recorded calls has 150 events."""

    remembered_events: int = 20_000
    """Events of the latest calls that are kept in memory, about 1 KB each, so that they need not be
    read back for every batch: a thousand calls in progress."""

    database_timeout_s: float = 10.0
    attempts: int = 3
    """How often a batch is tried when the database is away or two transactions collide."""

    retry_s: float = 0.2
    announce_timeout_s: float = 5.0

    months_ahead: int = 2
    keep_months: int = 13
    """Events older than this are dropped by whole partitions. Posted ones are refused after 366
    days (normalise.numbers.PAST), so that none comes when its month is gone."""

    lost_after: timedelta = timedelta(hours=12)
    """A call that goes on, and of which nothing was heard for so long, has lost its end."""

    payload_days: int = 0
    """For how many whole days the message that an event came in is kept; 0: not at all."""

    housekeeping_s: float = 3_600.0

    @property
    def accepts(self) -> timedelta:
        """How far back a posted event may lie.

        So many months have 30 days each but for 3 at most (December to February: 90), and an id is
        forgotten by when it was first seen, up to a day before its event's own time.
        """
        return min(MAX_PAST, timedelta(days=30 * self.keep_months - 3))
