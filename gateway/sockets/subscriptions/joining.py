"""Hello and resume: from a token to a live session, without a gap or a duplicate.

Subscribe first, then read the snapshot and the changes after the client's positions, then go
live: what arrives meanwhile is held and follows the welcome, without what the snapshot already
contains.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import structlog

from gateway import auth, topics
from gateway.audit import Origin
from gateway.auth.permissions import topics_for
from gateway.context import Context, Services
from gateway.delivery.delivery import Delivery
from gateway.errors import GatewayError
from gateway.hello import snapshot, welcome
from gateway.hello.reads import HelloReads
from gateway.protocol import AgentState, Hello, Welcome
from gateway.sockets.subscriptions.listening_session import ListeningSession
from gateway.sockets.subscriptions.memberships import Memberships
from gateway.sockets.watch.unread import UnreadPush

log = structlog.get_logger(__name__)


class Joining:
    """Serves the hellos of one node."""

    def __init__(
        self,
        services: Services,
        delivery: Delivery,
        reads: HelloReads,
        *,
        memberships: Memberships,
        unread: UnreadPush,
        agent_shown: Callable[[AgentState], None],
        node: welcome.NodeInfo,
    ) -> None:
        self._services = services
        self._delivery = delivery
        self._reads = reads
        self._memberships = memberships
        self._unread = unread
        self._agent_shown = agent_shown
        self._node = node

    async def serve_hello(
        self, session: ListeningSession, command: Hello, claims: auth.Claims
    ) -> Welcome | None:
        """Identify the client, send its welcome, catch it up; None when it has gone meanwhile."""
        identity, listed = await self._reads.authenticate(claims)
        if session.closed:  # it left while it waited for its turn, or for the database
            return None
        joined_ids = set(listed)
        session.hold()
        try:
            taken, made = await self._read(session, command, identity, joined_ids)
        except BaseException:
            self._delivery.hub.leave_all(session)
            session.reset()
            if not self._delivery.hub.listeners(topics.user(identity.user_id)):
                self._unread.remove(identity.user_id)
            raise
        if made is None:
            return None
        session.send_welcome(made)
        await self._go_live(session, taken, joined_ids)
        if command.device is not None:
            session.device = command.device.kind
        log.info(
            "session.began",
            session=session.id,
            user=identity.user_id,
            device=session.device,
            resumed=len(command.resume),
        )
        presence = self._services.presence
        await presence.arrive(identity.user_id, session.id, away=command.away)
        if session.closed:  # it ended while its arrival was published
            await presence.leave(identity.user_id, session.id)
        return made

    async def _read(
        self,
        session: ListeningSession,
        command: Hello,
        identity: auth.Identity,
        joined_ids: set[int],
    ) -> tuple[snapshot.HelloSnapshot, Welcome | None]:
        """Join the topics, then read the snapshot; no welcome when the session has ended."""
        session.context = context = Context(
            identity, self._services, session.topics, Origin("socket", session.id)
        )
        self._unread.expect_welcome(identity.user_id)
        wanted = [topics.user(identity.user_id), *map(topics.conversation, joined_ids)]
        wanted += topics_for(identity.permissions)
        self._delivery.hub.join(session, wanted)
        await self._delivery.bus.subscribe(wanted)
        resume = {
            int(conversation_id): change for conversation_id, change in command.resume.items()
        }
        taken = await snapshot.read_snapshot(context, resume, self._reads.read_view)
        if session.closed:
            return taken, None
        for conversation_id, hidden_to in taken.hidden.items():
            self._memberships.hide(session, conversation_id, hidden_to)
        self._delivery.streams.start_at(taken.positions)
        self._unread.welcomed(identity.user_id, taken.unread)
        if taken.agent is not None:
            self._agent_shown(taken.agent)
        return taken, welcome.build(session.id, identity, taken, self._node)

    async def _go_live(
        self, session: ListeningSession, taken: snapshot.HelloSnapshot, joined_ids: set[int]
    ) -> None:
        """Catch up with the streams of this node, and send what was held."""
        floors = dict(taken.positions)
        try:
            await self._memberships.catch_up(session, floors)
        finally:
            session.release(
                {topics.conversation(cid): change for cid, change in floors.items()},
                keep=self._delivery.streams.behind(floors),
            )
        if session.needs_reconcile or taken.positions.keys() != joined_ids:
            # Added or removed between the two reads of the memberships, or while catching up.
            with suppress(GatewayError):  # the next check does what cannot be done now
                await self._memberships.reconcile(session.user_id, [session])
