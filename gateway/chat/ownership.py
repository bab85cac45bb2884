"""Gives groups without an active owner to somebody who is there: a job, ordered every 30 s or so.

The CRM tells nobody of a dismissal, so groups are looked through. A group is locked and checked
again, so that two workers, also one of a version before the jobs, give it once.
"""

from __future__ import annotations

import structlog

from gateway.audit import Act, Origin
from gateway.chat.queries import conversations as conversation_queries
from gateway.chat.queries import members as queries
from gateway.chat.queries import ownership as ownership_queries
from gateway.chat.queries import system_messages
from gateway.chat.queries.ownership import OwnerlessGroup
from gateway.context import Services, Transaction
from gateway.errors import GatewayError
from gateway.jobs import Job, Outcome
from gateway.protocol import MessageCreated

log = structlog.get_logger(__name__)

GIVE = "ownership.give"
BATCH = 100
"""Groups that are looked up by one statement."""
GAP_S = 600.0
"""When nobody has swept for so long, nobody knows who was there meanwhile."""
MOST_EVERY_S = GAP_S / 4
"""Sweeps come at least so often: three may be missed."""


async def run(services: Services, _job: Job, *, grace_s: float) -> Outcome | None:
    """Sweep once."""
    given = await sweep(services, grace_s=grace_s)
    if given:
        log.info("ownership.given", groups=given)
    return None


async def sweep(services: Services, *, grace_s: float) -> int:
    """Look at all groups once, give away those whose time has come; return how many.

    An import of the CRM may show employees as dismissed for a moment: a group is given away by a
    later sweep than the one that found it, after `grace_s`, if all in between found it, too.
    """
    given, after = 0, 0
    found: list[int] = []
    while True:
        async with services.connection() as conn:
            groups = await ownership_queries.ownerless(conn, after=after, limit=BATCH)
            ids = [group.conversation_id for group in groups]
            due = await ownership_queries.note_found(conn, ids, grace_s=grace_s, gap_s=GAP_S)
        found += ids
        for group in groups:
            if group.conversation_id in due:
                given += await _try_to_give(services, group)
        if len(groups) < BATCH:
            break
        after = ids[-1]
    async with services.connection() as conn:
        await ownership_queries.forget_others(conn, found)
    return given


async def _try_to_give(services: Services, group: OwnerlessGroup) -> bool:
    """Give a group away; one that cannot be given keeps no other from it."""
    try:
        return await _give(services, group)
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
            act = Act(
                "conversation.set_role",
                Origin("job"),
                conversation_id=room,
                subject=f"conversation:{room}",
                details={"employee_id": heir, "role": "owner", "dismissed": group.owner_id},
            )
            await queries.set_role(conn, room, heir, "owner", audit=act)
            for event in await queries.participant_events(conn, room, [heir]):
                tx.announce_change(event)
            # Nobody did this, least of all the one who was dismissed.
            attrs = {"event": "role_changed", "by": None, "employee_ids": [heir], "role": "owner"}
            message = await system_messages.insert(conn, room, attrs)
            tx.announce_change(
                MessageCreated(conversation_id=room, change=message.change, message=message)
            )
        services.publish(tx.announcements)
    return True
