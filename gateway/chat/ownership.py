"""Gives groups without an active owner to somebody who is there.

app ─▶ OwnershipSweep, in every worker: the CRM tells nobody of a dismissal, so groups are looked
through. A group is locked and checked again, so that two workers give it once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

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


class OwnershipSweep:
    """Finds groups without an active owner, and gives them away when they remain so.

    An import of the CRM may show employees as dismissed for a moment: a group is given away by a
    later sweep than the one that found it, after `grace_s`, if all in between found it, too.
    """

    def __init__(
        self,
        services: Services,
        *,
        every_s: float,
        grace_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._services = services
        self._every_s = every_s
        self._grace_s = grace_s
        self._now = now
        self._found_at: dict[int, float] = {}
        """When each group was found that every sweep since has found."""

    async def run(self) -> None:
        """Sweep until cancelled; an error delays."""
        while True:
            try:
                given = await self.sweep()
                if given:
                    log.info("ownership.given", groups=given)
            except (GatewayError, OSError) as error:
                log.warning("ownership.failed", error=type(error).__name__)
            except Exception:
                log.exception("ownership.failed")
            await asyncio.sleep(self._every_s)

    async def sweep(self) -> int:
        """Look at all groups once, give away those whose time has come; return how many."""
        given, after = 0, 0
        found_at: dict[int, float] = {}
        while True:
            async with self._services.connection() as conn:
                groups = await ownership_queries.ownerless(conn, after=after, limit=BATCH)
            now = self._now()
            for group in groups:
                room = group.conversation_id
                since = found_at[room] = self._found_at.get(room, now)
                if room in self._found_at and now - since >= self._grace_s:
                    given += await self._try_to_give(group)
            if len(groups) < BATCH:
                self._found_at = found_at
                return given
            after = groups[-1].conversation_id

    async def _try_to_give(self, group: OwnerlessGroup) -> bool:
        """Give a group away; one that cannot be given keeps no other from it."""
        try:
            return await _give(self._services, group)
        except GatewayError:  # an outage concerns all of them
            raise
        except Exception:
            log.exception("ownership.not_given", conversation=group.conversation_id)
            return False


async def _give(services: Services, group: OwnerlessGroup) -> bool:
    room = group.conversation_id
    async with services.connection() as conn:
        tx = Transaction(conn)
        async with conn.transaction():
            if not await conversation_queries.lock(conn, group.member_id, room):
                return False
            if await queries.has_active_owner(conn, room):
                return False
            heir = await queries.next_owner(conn, room)
            if heir is None:
                return False
            await queries.set_role(conn, room, heir, "owner")
            for event in await queries.participant_events(conn, room, [heir]):
                tx.announce_change(event)
            # Nobody did this, least of all the one who was dismissed.
            attrs = {"event": "role_changed", "by": None, "employee_ids": [heir], "role": "owner"}
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
