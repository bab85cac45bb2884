"""The connections of one employee on all nodes: listed, and closed.

rest ─▶ Connections ─▶ bus ─▶ Connections of the other nodes, and back. Nothing of a connection is
stored anywhere: presence knows which nodes to ask, and each answers for itself.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
import structlog

from gateway import topics
from gateway.bus import Announcement
from gateway.connections import Answers, ConnectionClosing
from gateway.delivery.delivery import Delivery
from gateway.errors import ConnectionsUnavailable
from gateway.protocol import close_codes
from gateway.protocol.connections import MAX_CONNECTIONS, OpenConnection
from gateway.sockets.session.session import Session
from presence import PresenceStore, StoreUnavailable

log = structlog.get_logger(__name__)

ASKED = "connections.asked"
ANSWERED = "connections.answered"
ANSWER_S = 1.0
"""A node that has not answered by then is stuck, cut off or dead."""
NEWCOMERS_S = 0.05
"""Where somebody has just connected, presence does not know it yet, and the node answers anyway."""
MAX_USER_AGENT = 200
MAX_KNOWN_AGENTS = 1_000


class Peer(NamedTuple):
    """Who is at the other end of a connection."""

    address: str
    user_agent: str | None
    connected_at: datetime


class _Question:
    """A question that waits for the answers of nodes."""

    def __init__(self, nodes: set[str]) -> None:
        self.waiting = nodes
        self.found: list[Any] = []
        self.done = asyncio.Event()

    def answered(self, node: str, found: Iterable[Any]) -> None:
        self.found += found
        self.waiting.discard(node)
        if not self.waiting:
            self.done.set()


class Connections:
    """The connections of one node, and the way to those of the others."""

    def __init__(
        self,
        delivery: Delivery,
        presence: PresenceStore,
        *,
        node: str,
        shows_addresses: bool,
        wall_clock: Callable[[], float] = time.time,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._delivery = delivery
        self._presence = presence
        self._node = node
        self._shows_addresses = shows_addresses
        self._wall_clock = wall_clock
        self._answer_s = answer_s
        self._peers: dict[Session, Peer] = {}
        self._agents: dict[str, str] = {}
        """User agents that several connections have, each once."""
        self._questions: dict[int, _Question] = {}
        self._numbers = itertools.count(1)
        self._own_topic = topics.answers(secrets.randbits(52))
        self._subscribed = False

    def register(self) -> None:
        """Have the questions and answers of other nodes delivered here."""
        self._delivery.handle_event(topics.USER, ASKED, self._question_asked)
        self._delivery.handle_topic(topics.ANSWERS, self._answer_came)

    # --- the connections of this node ------------------------------------------------------

    def opened(self, session: Session, address: str, user_agent: str | None) -> None:
        """Remember who is at the other end of a session."""
        if user_agent is not None:
            shown = user_agent[:MAX_USER_AGENT]
            if len(self._agents) >= MAX_KNOWN_AGENTS:
                self._agents.clear()
            user_agent = self._agents.setdefault(shown, shown)
        now = datetime.fromtimestamp(round(self._wall_clock(), 3), UTC)
        self._peers[session] = Peer(address, user_agent, now)

    def closed(self, session: Session) -> None:
        """Forget it: the session has ended."""
        self._peers.pop(session, None)

    def _sessions_of(self, user_id: int) -> list[Session]:
        listening: Collection[Session] = self._delivery.hub.listeners(topics.user(user_id))
        return [one for one in listening if not one.closed]

    def _list_here(self, user_id: int) -> list[OpenConnection]:
        sessions = self._sessions_of(user_id)[:MAX_CONNECTIONS]
        return [self._describe(session) for session in sessions if session in self._peers]

    def _describe(self, session: Session) -> OpenConnection:
        peer = self._peers[session]
        return OpenConnection(
            session=session.id,
            node=self._node,
            device_kind=session.claim.kind if session.claim else session.device,
            device_id=session.claim.device if session.claim else None,
            connected_at=peer.connected_at,
            address=peer.address if self._shows_addresses else None,
            user_agent=peer.user_agent,
        )

    def _close_here(self, user_id: int, closing: ConnectionClosing) -> list[str]:
        code = close_codes.RECONNECT if closing.reconnect else close_codes.DISCONNECTED
        found = [one for one in self._sessions_of(user_id) if closing.includes(one.id)]
        for session in found:
            session.close(code)
        return [session.id for session in found]

    # --- those of all nodes ----------------------------------------------------------------

    async def list_all(self, user_id: int) -> Answers[OpenConnection]:
        """Return the connections of an employee on all nodes; ConnectionsUnavailable."""
        all_of = await self._ask(user_id, {"act": "list"}, lambda: self._list_here(user_id))
        listed = [
            one if isinstance(one, OpenConnection) else _connection(one) for one in all_of.found
        ]
        listed.sort(key=lambda one: (one.connected_at, one.session))
        return Answers(listed, all_of.unanswered)

    async def close(self, user_id: int, closing: ConnectionClosing) -> Answers[str]:
        """Close connections of an employee on all nodes; ConnectionsUnavailable."""
        question = {
            "act": "close",
            "session": closing.session,
            "keep": closing.keep,
            "reconnect": closing.reconnect,
        }
        all_of = await self._ask(user_id, question, lambda: self._close_here(user_id, closing))
        return Answers(sorted(all_of.found), all_of.unanswered)

    async def _ask(
        self, user_id: int, question: dict[str, Any], here: Callable[[], list[Any]]
    ) -> Answers[Any]:
        try:
            nodes = await self._presence.nodes_of(user_id)
        except StoreUnavailable:
            raise ConnectionsUnavailable from None
        nodes.discard(self._node)
        if not self._delivery.bus.healthy:
            raise ConnectionsUnavailable
        if not self._subscribed:
            await self._delivery.bus.subscribe([self._own_topic])
            self._subscribed = True
        number, waiting = next(self._numbers), _Question(nodes)
        self._questions[number] = waiting
        try:
            payload = orjson.dumps({**question, "number": number, "answer_to": self._own_topic})
            announcement = Announcement(topics.user(user_id), ASKED, payload)
            self._delivery.bus.publish([announcement])  # also to nodes that presence forgot
            waiting.found += here()
            await asyncio.sleep(NEWCOMERS_S)
            if waiting.waiting:
                async with asyncio.timeout(self._answer_s):
                    await waiting.done.wait()
        except TimeoutError:
            log.warning("connections.unanswered", nodes=",".join(sorted(waiting.waiting)))
        finally:
            del self._questions[number]
        return Answers(waiting.found, sorted(waiting.waiting))

    def _question_asked(self, announcement: Announcement) -> None:
        """Answer another node's question."""
        user_id = topics.user_of(announcement.topic)
        assert user_id is not None
        asked = orjson.loads(announcement.payload)
        if asked["act"] == "close":
            closing = ConnectionClosing(asked["session"], asked["keep"], asked["reconnect"])
            found: list[Any] = self._close_here(user_id, closing)
        else:
            found = self._list_here(user_id)
        answer = {"number": asked["number"], "node": self._node, "found": found}
        self._delivery.bus.publish(
            [Announcement(asked["answer_to"], ANSWERED, orjson.dumps(answer))]
        )

    def _answer_came(self, announcement: Announcement) -> None:
        answer = orjson.loads(announcement.payload)
        question = self._questions.get(answer["number"])
        if question is not None:  # else it came too late
            question.answered(answer["node"], answer["found"])


def _connection(fields: dict[str, Any]) -> OpenConnection:
    connected_at = datetime.fromisoformat(fields["connected_at"])
    return OpenConnection(**{**fields, "connected_at": connected_at})
