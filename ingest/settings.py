"""What an operator may tune; every bound has one place.

Only the program that embeds ingest reads the environment; it hands these values in.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    batch_events: int = 500
    """Events in one transaction: past 500 the COPY gains little and a failure costs more."""

    batch_ms: int = 20
    """How long the first event of a batch waits for company; a person does not notice 20 ms."""

    max_submission_events: int = 1_000
    """Events one caller may hand in at once."""

    max_waiting_events: int = 20_000
    """Beyond this a caller is told to come back: about 2 s of work at full speed."""

    max_waiting_bytes: int = 32 * 1024 * 1024

    max_call_events: int = 5_000
    """A call with more events than this is no call but a key used again and again: it stays as it
    is. The longest of the 240 recorded calls has 150 events."""

    database_timeout_s: float = 10.0
    attempts: int = 3
    """How often a batch is tried when the database is away or two transactions collide."""

    retry_s: float = 0.2
    announce_timeout_s: float = 5.0

    months_ahead: int = 2
    keep_months: int = 13
    """Events older than this are dropped by whole partitions and no longer accepted."""

    housekeeping_s: float = 3_600.0
