"""Corrects who is on a call: from the calls in the database to presence.

A call makes its employees busy when announce publishes it, after its COMMIT. What is lost between
the two (a worker that died, a Redis that came back empty) is corrected here, from the database.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import structlog

from gateway.context import Services
from gateway.errors import GatewayError
from gateway.telephony.calls.queries import calls as queries
from presence import StoreUnavailable

log = structlog.get_logger(__name__)


async def run(services: Services, *, every_s: float) -> None:
    """Correct at once and then every few seconds, until cancelled; an outage only delays it."""
    while True:
        try:
            await correct(services)
        except (GatewayError, StoreUnavailable) as error:
            log.debug("on_call.delayed", error=type(error).__name__)
        except Exception:
            log.exception("on_call.failed")
        await asyncio.sleep(every_s)


async def correct(services: Services) -> int:
    """Make presence agree with the database; return how many calls were wrong."""
    as_of = datetime.now(UTC)
    async with services.connection() as conn:
        talking = await queries.talking(conn)
    pairs = [(employee_id, str(call_id)) for employee_id, call_id in talking]
    corrected = await services.presence.correct_calls(pairs, as_of)
    if corrected:
        log.info("on_call.corrected", calls=corrected)
    return corrected
