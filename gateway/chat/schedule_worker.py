"""The loop that sends scheduled messages, on every node.

A node claims what is due, sends it as its author would, and notes what came of it. The claim ends
by itself, so that what a dying node held is sent by another; the client_key makes sure that it is
stored once, whichever of them got how far.
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
"""Nothing more is begun when a claim is so old: one sending takes 10 s at the very worst."""
RETRY_S = 10.0
"""A database or a node that has too much to do is asked again after this."""
ATTEMPTS = 20
KEPT_DAYS = 30
FORGET_EVERY_S = 3_600.0


class ScheduleWorker:
    """What one node does about scheduled messages."""

    def __init__(self, services: Services, *, every_s: float) -> None:
        self._services = services
        self._every_s = every_s
        self._forget_at = time.monotonic() + FORGET_EVERY_S

    async def run(self) -> None:
        """Send what is due until cancelled: at its time, or when another node has let go of it."""
        while True:
            try:
                wait_s = await self._send_due()
            except Exception as error:  # noqa: BLE001 - asked again in a moment
                log.warning("scheduled.failed", error=type(error).__name__)
                wait_s = self._every_s
            await asyncio.sleep(wait_s)

    async def _send_due(self) -> float:
        """Send what is due now; return how long nothing will be."""
        async with self._services.connection() as conn:
            due = await queries.claim(conn, limit=BATCH, lease_s=LEASE_S)
            next_s = await queries.next_due_in_s(conn) if len(due) < BATCH else 0.0
            if time.monotonic() >= self._forget_at:
                self._forget_at = time.monotonic() + FORGET_EVERY_S
                await queries.delete_done(conn, days=KEPT_DAYS)
        claimed_at = time.monotonic()
        for item in due:
            if time.monotonic() - claimed_at > START_WITHIN_S:
                break  # the claim ends by itself
            await self._send(item)
        if next_s is None:
            return self._every_s
        return min(max(next_s, 0.0), self._every_s)

    async def _send(self, item: DueMessage) -> None:
        """Send one message with its author's rights of now, and note what came of it."""
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
        """Keep the reason, and tell its author; once, whoever else tried."""
        async with self._services.connection() as conn:
            failed = await queries.mark_failed(conn, item.id, code)
        if failed is not None:
            self._announce(item, MessageScheduleFailed(scheduled=failed))

    def _announce(
        self, item: DueMessage, event: MessageScheduleChanged | MessageScheduleFailed
    ) -> None:
        self._services.publish([announce(topics.user(item.employee_id), event)])
