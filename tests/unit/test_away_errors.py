"""Which database errors mean "away": one list, for ingest and for the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import asyncpg
import pytest

from gateway.context import Services
from gateway.errors import DatabaseUnavailable
from ingest import AWAY_ERRORS, CallEvent, IngestMetrics, IngestSettings, IngestUnavailable
from ingest.conn import Pool
from ingest.model.events import derive_id
from ingest.storing.store import EventStore
from presence import PresenceStore

ATTEMPTS = 3
EVENT = CallEvent(
    event_id=derive_id("pbx", "1"),
    source="pbx",
    type="leg.created",
    occurred_at=datetime(2026, 11, 30, tzinfo=UTC),
    leg_key="1",
)


class FailingPool:
    """Lends no connection: every attempt raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        raise self.error
        yield


class LendingPool:
    """Lends nothing in particular, or raises."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    async def acquire(self, **_limits: float) -> None:
        if self.error is not None:
            raise self.error

    async def release(self, *_args: Any, **_limits: float) -> None:
        return


def make_services(error: type[Exception], *, fails: bool = False) -> Services:
    """Make what commands share, over a pool that lends or raises."""
    return Services(
        pool=cast("Pool", LendingPool(error("away") if fails else None)),
        publish=lambda _: None,
        presence=cast("PresenceStore", None),
        message_store=cast("Any", None),
    )


AWAY: list[type[Exception]] = [
    ConnectionRefusedError,
    TimeoutError,
    asyncpg.AdminShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.CrashShutdownError,
    asyncpg.DeadlockDetectedError,
    asyncpg.DiskFullError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.LockNotAvailableError,
    asyncpg.OutOfMemoryError,
    asyncpg.QueryCanceledError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.SerializationError,
    asyncpg.TooManyConnectionsError,
]


@pytest.mark.parametrize("error", AWAY)
async def test_a_batch_is_tried_again_while_the_database_is_away(error: type[Exception]) -> None:
    """No event is suspected: the batch is not divided, and the sender is asked to send it again."""
    metrics = IngestMetrics()
    settings = IngestSettings(attempts=ATTEMPTS, retry_s=0.0)
    store = EventStore(cast("Pool", FailingPool(error("away"))), settings=settings, metrics=metrics)

    with pytest.raises(IngestUnavailable):
        await store.store([EVENT, EVENT])

    assert issubclass(error, AWAY_ERRORS)
    assert (metrics.retries, metrics.bisections) == (ATTEMPTS - 1, 0)


@pytest.mark.parametrize("error", AWAY)
async def test_a_command_that_meets_one_is_told_that_the_database_is_away(
    error: type[Exception],
) -> None:
    """While it uses a connection; while it waits for one, too, unless the pool is merely busy."""
    services = make_services(error)
    with pytest.raises(DatabaseUnavailable):
        async with services.connection():
            raise error("away")

    if not issubclass(error, TimeoutError):
        services = make_services(error, fails=True)
        with pytest.raises(DatabaseUnavailable):
            async with services.connection():
                pass


@pytest.mark.parametrize(
    "error",
    [asyncpg.CharacterNotInRepertoireError, asyncpg.DataError, asyncpg.UndefinedColumnError],
)
def test_a_bad_value_or_statement_is_no_outage(error: type[Exception]) -> None:
    """It fails again however often it is tried."""
    assert not issubclass(error, AWAY_ERRORS)
