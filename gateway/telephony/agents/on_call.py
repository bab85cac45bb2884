"""Who is on a call, put right: what the calls say ─▶ presence.

A call makes its people busy when it is told of, after its COMMIT. What is lost in between (a
worker that died there, a Redis that came back empty) is found here: the database is the truth.
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
    """Correct at once, and again and again until cancelled; an outage delays."""
    while True:
        try:
            await correct(services)
        except (GatewayError, StoreUnavailable) as error:
            log.debug("on_call.delayed", error=type(error).__name__)
        except Exception:
            log.exception("on_call.failed")
        await asyncio.sleep(every_s)


async def correct(services: Services) -> int:
    """Make presence show exactly those on a call who are; return how many calls were wrong."""
    as_of = datetime.now(UTC)
    async with services.connection() as conn:
        talking = await queries.talking(conn)
    pairs = [(employee_id, str(call_id)) for employee_id, call_id in talking]
    corrected = await services.presence.correct_calls(pairs, as_of)
    if corrected:
        log.info("on_call.corrected", calls=corrected)
    return corrected
