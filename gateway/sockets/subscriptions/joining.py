"""Hello and resume: from a token to a live session, without a gap or a duplicate.

Subscribe first, then read the snapshot and the changes after the client's positions, then go
live: what arrives meanwhile is held back and follows the welcome, without what the snapshot
already contains.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

import structlog

from gateway import auth, topics
from gateway.auth.permissions import topics_for
from gateway.chat import conversations, receipts
from gateway.chat.queries import changes, messages
from gateway.context import Context
from gateway.db import Conn
from gateway.delivery import lanes
from gateway.delivery.hub import changed_message
from gateway.delivery.streams import PAGE
from gateway.errors import ConversationNotFound, GatewayError
from gateway.files import Files
from gateway.hello import snapshot
from gateway.protocol import FileLimits, Hello, UnreadCounts, Welcome
from gateway.protocol.codec import encode
from gateway.sockets.subscriptions.visibility import visible_changes
from gateway.telephony.callbacks.queries.callbacks import OpenCount

if TYPE_CHECKING:
    from gateway.sockets.node import Node
    from gateway.sockets.session.session import Session

log = structlog.get_logger(__name__)


async def serve_hello(
    node: Node, session: Session, command: Hello, claims: auth.Claims, request_id: int | None
) -> None:
    """Find out who it is, catch them up, and let them hear."""
    identity, listed = await node.hello_reads.authenticate(claims)
    if session.closed:  # it left while it waited for its turn, or for the database
        return
    ctx = Context(identity, node.services, session.topics)
    heard_ids = set(listed)
    session.hold()
    try:
        session.context = ctx
        node.unread.expect_welcome(identity.user_id)
        wanted = [topics.user(identity.user_id), *map(topics.conversation, heard_ids)]
        wanted += topics_for(identity.permissions)
        node.hub.join(session, wanted)
        await node.bus.subscribe(wanted)
        taken = await snapshot.read_snapshot(
            ctx,
            {int(conversation_id): change for conversation_id, change in command.resume.items()},
            node.hello_reads,
        )
        counted = await node.hello_reads.count_open_callbacks(identity)
        if session.closed:
            return
        for conversation_id, hidden_to in taken.hidden.items():
            hide(node, session, conversation_id, hidden_to)
        node.streams.start_at(taken.positions)
        node.unread.welcomed(identity.user_id, taken.unread)
        if taken.agent is not None:
            node.queue_watches.agents_shown(taken.agent)
        welcome = _welcome(node, session, taken, counted)
    except BaseException:
        node.hub.leave_all(session)
        session.reset()
        if not node.hub.listeners(topics.user(identity.user_id)):
            node.unread.remove(identity.user_id)
        raise
    session.send_welcome(request_id, welcome)
    floors = dict(taken.positions)
    try:
        await _catch_up(node, session, floors)
    finally:
        session.release(
            {topics.conversation(cid): change for cid, change in floors.items()},
            keep=node.streams.behind(floors),
        )
    if session.needs_reconcile or taken.positions.keys() != heard_ids:
        # Let in or taken out between our two looks at the memberships, or while catching up.
        with suppress(GatewayError):  # the next upkeep does what cannot be done now
            await node.reconciler.reconcile(identity.user_id, [session])
    if command.device is not None:
        session.device = command.device.kind
    log.info(
        "session.began",
        session=session.id,
        user=identity.user_id,
        device=session.device,
        resumed=len(command.resume),
    )
    await node.services.presence.arrive(identity.user_id, session.id, away=command.away)
    if session.closed:  # it left while we said it had come
        await node.services.presence.leave(identity.user_id, session.id)


def _welcome(
    node: Node, session: Session, taken: snapshot.HelloSnapshot, counted: OpenCount | None
) -> Welcome:
    assert session.context is not None
    identity = session.context.identity
    return Welcome(
        session=session.id,
        node=node.settings.node,
        user=identity.employee,
        permissions=sorted(identity.permissions),
        ping_s=node.settings.ping_s,
        token_expires_at=identity.expires_at,
        conversations=taken.conversations,
        next=taken.next,
        unread=UnreadCounts(total=receipts.total(taken.unread), conversations=taken.unread),
        calls=taken.calls,
        callbacks_open=counted.open if counted else None,
        callbacks_open_as_of=counted.open_as_of if counted else None,
        agent=taken.agent,
        changes=cast(
            "dict[str, list[dict[str, Any]]]",
            {str(conversation_id): events for conversation_id, events in taken.changes.items()},
        ),
        reload=taken.reload,
        files=_file_limits(node.services.files),
    )


def _file_limits(files: Files) -> FileLimits | None:
    if files.storage is None:
        return None
    limits = files.limits
    return FileLimits(
        max_bytes=limits.max_bytes, per_message=limits.per_message, types=list(limits.types)
    )


async def _catch_up(node: Node, session: Session, floors: dict[int, int]) -> None:
    """Send a held session what this node's streams passed over before it was counted in.

    A stream begins where the first session's snapshot ended. Another one, whose snapshot was
    taken a moment earlier, would miss what lies between: it is read for that session alone.
    Moves floors along. Nothing is sent of what happened after who is reading was taken out.
    """
    missing = [
        (conversation_id, floors[conversation_id])
        for conversation_id, position in node.streams.ahead(floors).items()
        if not session.holds(
            topics.conversation(conversation_id), floors[conversation_id] + 1, position
        )
    ]
    if not missing:
        return
    async with node.services.connection() as conn:
        found = await changes.after(conn, missing, PAGE)
    for cid, changed in groupby(found, key=attrgetter("conversation_id")):
        topic = topics.conversation(cid)
        visible = [one for one in changed if not node.hub.is_hidden(topic, session, one.event)]
        floors[cid], out = _send_all(session, visible, floor=floors[cid])
        if out:
            _part(node, session, cid)
    for conversation_id, _ in missing:  # its counts are as old as its snapshot
        node.unread.changed([session.user_id], conversation_id)


def _part(node: Node, session: Session, conversation_id: int) -> None:
    """Let a held session hear nothing more; who may be in again is looked for after the hello."""
    topic = topics.conversation(conversation_id)
    node.hub.leave(session, [topic])
    session.discard_held(topic, lambda _frame: True)
    session.needs_reconcile = True


def hide(node: Node, session: Session, conversation_id: int, hidden_to: int) -> None:
    """Let a held session hear nothing of messages from before they joined, if so it is."""
    topic = topics.conversation(conversation_id)
    node.hub.hide_messages(topic, {session: hidden_to})
    session.discard_held(topic, lambda frame: 0 < changed_message(frame.payload) <= hidden_to)


async def join_added(node: Node, session: Session, conversation_id: int, change: int) -> None:
    """Let a live session hear a conversation it was just let into, from after this change.

    What stood then it has heard with conversation.created.
    """
    if session.closed:  # whoever has been forgotten must not be in topics again
        return
    async with _joining(node, session, conversation_id) as joining:
        async with node.services.connection() as conn:
            missed = await _changes(node, conn, session, conversation_id, after=change)
        floor, out = _send_all(session, missed, floor=change)
        joining.floor = None if out else floor


async def join_existing(node: Node, session: Session, conversation_id: int) -> None:
    """Let a live session hear a conversation whose making it may not have heard of.

    A short one is sent whole, so that who has some of it lacks nothing; of a long one a client
    that does not know it fetches what it shows.
    """
    if session.closed:  # whoever has been forgotten must not be in topics again
        return
    async with _joining(node, session, conversation_id) as joining:
        async with node.services.connection() as conn:
            conversation = await conversations.one(conn, session.user_id, conversation_id)
            whole = conversation.last_change <= PAGE
            after = 1 if whole else conversation.last_change
            missed = await _changes(node, conn, session, conversation_id, after=after)
        event = conversations.created(conversation, change=1 if whole else conversation.last_change)
        session.send(encode(event), lanes.MESSAGE)
        # Numbers that were superseded or are hidden are passed over, or streams would go back.
        floor, out = _send_all(session, missed, floor=conversation.last_change)
        joining.floor = None if out else floor


async def _changes(
    node: Node, conn: Conn, session: Session, conversation_id: int, *, after: int
) -> list[changes.Change]:
    """Return what happened after a change; what came before someone joined may be hidden."""
    standing = await messages.standing(conn, session.user_id, conversation_id)
    if standing is None:  # gone again
        raise ConversationNotFound
    hide(node, session, conversation_id, standing.hidden_to)
    return await changes.after(conn, [(conversation_id, after)], PAGE, above=standing.hidden_to)


def _send_all(session: Session, missed: list[changes.Change], *, floor: int) -> tuple[int, bool]:
    """Send these as events, but what was said while they were out who are in again since.

    Return how far the session, which was at floor, then is, and whether it is out after them.
    """
    heard, out = visible_changes(missed, session.user_id)
    for change in heard:
        session.send(encode(change.event), lanes.MESSAGE)
    return max([floor, *(change.change for change in (heard if out else missed))]), out


@dataclass(slots=True)
class _Joining:
    """How far a session is in the conversation it joins; None: it must not stay in it."""

    floor: int | None = None


@asynccontextmanager
async def _joining(node: Node, session: Session, conversation_id: int) -> AsyncIterator[_Joining]:
    """Hold the session's events back, join, subscribe; go on where `floor` says.

    What fails in between undoes the joining: the upkeep sees it missing, and joins again.
    """
    topic, joining = topics.conversation(conversation_id), _Joining()
    already = topic in session.topics
    session.hold()
    try:
        node.hub.join(session, [topic])
        await node.bus.subscribe([topic])
        yield joining
        if joining.floor is not None:
            floors = {conversation_id: joining.floor}
            node.streams.start_at(floors)
            await _catch_up(node, session, floors)
            joining.floor = floors[conversation_id]
    except (GatewayError, OSError, TimeoutError) as error:
        joining.floor = None
        log.warning("session.join_failed", session=session.id, error=type(error).__name__)
    finally:
        if joining.floor is None:
            if not already:
                node.hub.leave(session, [topic])
            session.release({})
        else:
            session.release(
                {topic: joining.floor}, keep=node.streams.behind({conversation_id: joining.floor})
            )
            node.unread.changed([session.user_id], conversation_id)
