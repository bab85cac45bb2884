"""Hello and resume: from a token to a live session, without a gap or a duplicate.

Subscribe first, then read the snapshot and the changes after the client's positions, then go
live: what arrives meanwhile is held back and follows the welcome, without what the snapshot
already contains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import structlog

from gateway import auth, topics
from gateway.chat import receipts, snapshot
from gateway.chat.queries import conversations as conversation_queries
from gateway.chat.queries import messages as message_queries
from gateway.context import Context
from gateway.protocol import Call, Hello, MessageCreated, UnreadCounts, Welcome
from gateway.protocol.codec import encode
from gateway.sockets import lanes
from gateway.sockets.shared_frame import text_frame
from gateway.telephony import calls

if TYPE_CHECKING:
    from gateway.sockets.node import Node
    from gateway.sockets.session import Session

log = structlog.get_logger(__name__)


async def serve(
    node: Node, session: Session, command: Hello, token: str | None, request_id: int | None
) -> None:
    """Check who it is, catch them up, and let them hear."""
    claims = node.tokens.verify(command.token or token)
    async with node.services.connection() as conn:
        identity = await auth.identify(conn, claims)
        members = await conversation_queries.memberships(
            conn, identity.user_id, node.settings.max_topics
        )
    ctx = Context(identity, node.services, session.topics)
    session.hold()
    try:
        session.context = ctx
        heard = [topics.conversation(member.conversation_id) for member in members]
        wanted = [topics.user(identity.user_id), *heard]
        node.hub.join(session, wanted)
        await node.bus.subscribe(wanted)
        taken = await snapshot.take(
            ctx,
            {int(conversation_id): change for conversation_id, change in command.resume.items()},
            max_topics=node.settings.max_topics,
        )
        live = await calls.live(ctx)
        if session.closed:
            return
        node.streams.start_at(taken.positions)
        node.unread.arrived(identity.user_id, taken.unread)
        welcome = _welcome(node, session, taken, live)
    except BaseException:
        node.hub.leave(session)
        session.abandon()
        raise
    session.welcomed(request_id, welcome)
    session.release(
        {topics.conversation(cid): change for cid, change in taken.positions.items()},
        keep=node.streams.behind(taken.positions),
    )
    if command.device is not None:
        session.device = command.device.kind
    log.info(
        "session.began",
        session=session.id,
        user=identity.user_id,
        device=session.device,
        resumed=len(command.resume),
    )
    await node.services.presence.arrive(identity.user_id, session.id)
    if session.closed:  # it left while we said it had come
        await node.services.presence.leave(identity.user_id, session.id)


def _welcome(node: Node, session: Session, taken: snapshot.Snapshot, live: list[Call]) -> Welcome:
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
        calls=live,
        changes={
            str(conversation_id): [orjson.loads(encode(event)) for event in events]
            for conversation_id, events in taken.changes.items()
        },
        reload=taken.reload,
    )


async def join_late(node: Node, session: Session, conversation_id: int) -> None:
    """Let a live session hear a conversation that it was just put into, from its beginning."""
    topic = topics.conversation(conversation_id)
    if session.closed or topic in session.topics:
        return
    session.hold()
    floor = 1  # the conversation's first change is its making, which the session has heard
    try:
        node.hub.join(session, [topic])
        await node.bus.subscribe([topic])
        async with node.services.connection() as conn:
            missed = await message_queries.changed_after(conn, [(conversation_id, floor)], 200)
        for message in missed:
            event = MessageCreated(
                conversation_id=conversation_id, change=message.change, message=message
            )
            session.send(text_frame(encode(event)), lanes.MESSAGE)
            floor = message.change
        node.streams.start_at({conversation_id: floor})
        if session.user_id:
            node.unread.changed([session.user_id], conversation_id)
    finally:
        session.release({topic: floor}, keep=node.streams.behind({conversation_id: floor}))
