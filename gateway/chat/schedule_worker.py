"""The loop that sends scheduled messages, on every node.

A node claims due messages, sends them with their authors' rights, and records the results. A claim
expires, so that another node sends what a dying node had claimed; the client_key ensures that the
message is stored once.
"""

from __future__ import annotations

import asyncio
import time
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
from gateway.protocol import MessageScheduleChanged, MessageScheduleFailed, MessageSend

log = structlog.get_logger(__name__)

BATCH = 20
LEASE_S = 60.0
START_WITHIN_S = 30.0
"""No further message of a claim is begun after this: one send takes 10 s at the very worst."""
RETRY_S = 10.0
"""How long a message waits after a temporary failure: an overloaded node or database."""
ATTEMPTS = 20
KEPT_DAYS = 30
FORGET_EVERY_S = 3_600.0


class ScheduleWorker:
    """Sends due messages on one node."""

    def __init__(self, services: Services, *, every_s: float) -> None:
        self._services = services
        self._every_s = every_s
        self._forget_at = time.monotonic() + FORGET_EVERY_S

    async def run(self) -> None:
        """Send due messages until cancelled, at their time or when another node's claim expires."""
        while True:
            try:
                wait_s = await self._send_due()
            except Exception as error:  # noqa: BLE001 - tried again in a moment
                log.warning("scheduled.failed", error=type(error).__name__)
                wait_s = self._every_s
            await asyncio.sleep(wait_s)

    async def _send_due(self) -> float:
        """Send what is due now; return the seconds until something may be due."""
        async with self._services.connection() as conn:
            due = await queries.claim(conn, limit=BATCH, lease_s=LEASE_S)
            next_s = await queries.next_due_in_s(conn) if len(due) < BATCH else 0.0
            if time.monotonic() >= self._forget_at:
                self._forget_at = time.monotonic() + FORGET_EVERY_S
                await queries.delete_done(conn, days=KEPT_DAYS)
        claimed_at = time.monotonic()
        for item in due:
            if time.monotonic() - claimed_at > START_WITHIN_S:
                break  # the claim expires
            await self._send(item)
        if next_s is None:
            return self._every_s
        return min(max(next_s, 0.0), self._every_s)

    async def _send(self, item: DueMessage) -> None:
        """Send one message with its author's present rights, and record the result."""
        try:
            ctx = Context(await self._author(item.employee_id), self._services)
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
            async with self._services.connection() as conn:
                sent = await queries.mark_sent(conn, item.id)
            if sent is not None:
                self._announce(item, MessageScheduleChanged(scheduled=sent, gone=True))
            return
        if passing and item.attempts < ATTEMPTS:
            await self._retry_later(item, code)
        else:
            await self._give_up(item, code)

    async def _author(self, employee_id: int) -> Identity:
        async with self._services.connection() as conn:
            found = await employees.find(conn, employee_id)
        if found is None or not found.active:
            raise EmployeeDisabled
        return Identity(
            found.employee, found.permissions, datetime.now(UTC) + timedelta(seconds=LEASE_S)
        )

    async def _retry_later(self, item: DueMessage, code: str) -> None:
        log.warning("scheduled.delayed", scheduled=item.id, code=code, attempts=item.attempts)
        async with self._services.connection() as conn:
            await queries.retry_later(conn, item.id, seconds=RETRY_S)

    async def _give_up(self, item: DueMessage, code: str) -> None:
        """Store the reason and notify the author, once even if several nodes tried."""
        async with self._services.connection() as conn:
            failed = await queries.mark_failed(conn, item.id, code)
        if failed is not None:
            self._announce(item, MessageScheduleFailed(scheduled=failed))

    def _announce(
        self, item: DueMessage, event: MessageScheduleChanged | MessageScheduleFailed
    ) -> None:
        self._services.publish([announce(topics.user(item.employee_id), event)])
