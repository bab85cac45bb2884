"""Gives groups whose owners are all dismissed to somebody who is there.

app ─▶ run, in every worker: the CRM tells nobody of a dismissal, so groups are looked through. A
group is locked and checked again, so that two workers give it once.
"""

from __future__ import annotations

import asyncio

import structlog

from gateway.chat.queries import audit, system_messages
from gateway.chat.queries import conversations as conversation_queries
from gateway.chat.queries import members as queries
from gateway.chat.queries import ownership as ownership_queries
from gateway.chat.queries.ownership import OwnerlessGroup
from gateway.context import Services, Transaction
from gateway.errors import GatewayError
from gateway.protocol import MessageCreated

log = structlog.get_logger(__name__)

BATCH = 100
"""Groups that are looked up by one statement."""


async def run(services: Services, *, every_s: float) -> None:
    """Sweep until cancelled; an outage delays."""
    while True:
        try:
            given = await sweep(services)
            if given:
                log.info("ownership.given", groups=given)
        except (GatewayError, OSError) as error:
            log.warning("ownership.failed", error=type(error).__name__)
        await asyncio.sleep(every_s)


async def sweep(services: Services) -> int:
    """Give each group without an active owner another one; return how many were given."""
    given, after = 0, 0
    while True:
        async with services.connection() as conn:
            groups = await ownership_queries.ownerless(conn, after=after, limit=BATCH)
        for group in groups:
            given += await _give(services, group)
        if len(groups) < BATCH:
            return given
        after = groups[-1].conversation_id


async def _give(services: Services, group: OwnerlessGroup) -> bool:
    room = group.conversation_id
    async with services.connection() as conn:
        tx = Transaction(conn)
        async with conn.transaction():
            if not await conversation_queries.lock(conn, group.owner_id, room):
                return False
            if await queries.has_active_owner(conn, room):
                return False
            heir = await queries.next_owner(conn, room, group.owner_id)
            if heir is None:
                return False
            await queries.set_role(conn, room, heir, "owner")
            for event in await queries.participant_events(conn, room, [heir]):
                tx.announce_change(event)
            attrs = {
                "event": "role_changed", "by": group.owner_id, "employee_ids": [heir],
                "role": "owner",
            }  # fmt: skip
            message = await system_messages.insert(conn, room, attrs)
            tx.announce_change(
                MessageCreated(conversation_id=room, change=message.change, message=message)
            )
            details = {"employee_id": heir, "role": "owner", "dismissed": group.owner_id}
            await audit.record(
                conn, "conversation.set_role", actor_id=None, conversation_id=room, details=details
            )
        services.publish(tx.announcements)
    return True
