"""Sends scheduled messages: a job for each, ordered a moment before its time.

collect, every 30 s ─▶ a job for each message that is due soon ─▶ send, with its author's rights.
So realtime.jobs has the messages of the next two minutes, not those of a year, and what older
versions scheduled has its jobs, too. The row of the message is claimed as well: by that claim a
worker of a version before the jobs, a run that lost its lease, and somebody who changes the time
keep out of each other's way. The client_key ensures that the message is stored once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import structlog

from gateway import topics
from gateway.auth import Identity
from gateway.auth.queries import employees
from gateway.bus import announce
from gateway.chat import messages
from gateway.chat.queries import scheduled as queries
from gateway.chat.queries.scheduled import DueMessage
from gateway.context import Context, Services
from gateway.errors import EmployeeDisabled, GatewayError
from gateway.jobs import Again, Failed, Job, NewJob, Outcome, enqueue
from gateway.protocol import MessageScheduleChanged, MessageScheduleFailed, MessageSend

log = structlog.get_logger(__name__)

COLLECT = "scheduled.collect"
SEND = "scheduled.send"
FORGET = "scheduled.forget"
QUEUE = "messages"

BATCH = 500
"""Jobs that one run of collect orders; the next run goes on after them."""
COLLECT_EVERY_S = 30.0
"""Half of the least time for which a message waits, or less: it has its job before it is due."""
SOON_S = 120.0
"""Jobs are ordered so long before: a message is scheduled at least a minute ahead, and of several
collections one may be late."""
LEASE_S = 50.0
"""Shorter than a job's, so that the run after a lost one finds the message free."""
RETRY_S = 10.0
"""How long a message waits after a temporary failure: an overloaded node or database."""
ATTEMPTS = 20
LOST_ATTEMPTS = 3
"""Attempts of jobs that are gone, and whose end nobody has recorded: the message kills workers."""
KEPT_DAYS = 30
FORGET_EVERY_S = 3_600.0


async def collect(services: Services, job: Job) -> Outcome | None:
    """Order jobs for the messages that are due soon, also for those that are due earlier by now.

    `after` in the payload: the time and the id of the last one that the run before has seen.
    """
    after = job.payload.get("after")
    async with services.connection() as conn:
        soon = await queries.due_soon(
            conn,
            within_s=SOON_S,
            after=(datetime.fromisoformat(after[0]), int(after[1])) if after else None,
            limit=BATCH,
        )
        orders = [
            NewJob(SEND, QUEUE, {"scheduled_id": found}, key=f"scheduled:{found}", run_at=send_at)
            for found, send_at in soon
        ]
        due_s = await enqueue(conn, orders)
    services.doorbell.ring(due_s)
    if len(soon) < BATCH:
        return None
    found, send_at = soon[-1]
    return Again({"after": [send_at.isoformat(), found]})


async def forget(services: Services, _job: Job) -> Outcome | None:
    """Delete what was sent, or failed, long ago."""
    async with services.connection() as conn:
        await queries.delete_done(conn, days=KEPT_DAYS)
    return None


async def send(services: Services, job: Job) -> Outcome | None:
    """Send the message of a job with its author's present rights, and record the result.

    Done as well when it was cancelled, or has another time by now: it gets another job then.
    """
    async with services.connection() as conn:
        item = await queries.claim(conn, int(job.payload["scheduled_id"]), lease_s=LEASE_S)
    if item is None:
        return None
    if item.attempts > min(ATTEMPTS, job.attempts + LOST_ATTEMPTS - 1):
        await _give_up(services, item, GatewayError.code)
        return None
    try:
        ctx = Context(await _author(services, item.employee_id), services)
        await messages.send(
            ctx,
            MessageSend(
                conversation_id=item.conversation_id,
                client_key=item.client_key,
                text=item.text,
            ),
            from_draft=False,
        )
    except GatewayError as error:
        code, passing = error.code, error.retry_after is not None
    except Exception:
        log.exception("scheduled.not_sent", scheduled=item.id, attempts=item.attempts)
        code, passing = GatewayError.code, True
    else:
        async with services.connection() as conn:
            sent = await queries.mark_sent(conn, item.id)
        if sent is not None:
            _announce(services, item, MessageScheduleChanged(scheduled=sent, gone=True))
        return None
    if passing and item.attempts < ATTEMPTS:
        async with services.connection() as conn:
            await queries.release(conn, item.id)
        return Failed(code, RETRY_S)
    await _give_up(services, item, code)
    return None


async def _author(services: Services, employee_id: int) -> Identity:
    async with services.connection() as conn:
        found = await employees.find(conn, employee_id)
    if found is None or not found.active:
        raise EmployeeDisabled
    return Identity(
        found.employee, found.permissions, datetime.now(UTC) + timedelta(seconds=LEASE_S)
    )


async def _give_up(services: Services, item: DueMessage, code: str) -> None:
    """Store the reason and notify the author, once even if several nodes tried."""
    async with services.connection() as conn:
        failed = await queries.mark_failed(conn, item.id, code)
    if failed is not None:
        _announce(services, item, MessageScheduleFailed(scheduled=failed))


def _announce(
    services: Services, item: DueMessage, event: MessageScheduleChanged | MessageScheduleFailed
) -> None:
    services.publish([announce(topics.user(item.employee_id), event)])
