"""One client: read a frame, run its commands, reply, send it events.

websocket ─▶ Session ─▶ handlers of commands; hub ─▶ Session ─▶ Sender. Rate limits first, then
the queue (command_queue.py), then the command.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from gateway import audit, commands, topics
from gateway.auth import Identity, Tokens
from gateway.bus import Announcement
from gateway.context import Context, Services
from gateway.delivery.lanes import lane_of
from gateway.delivery.shared_frame import PONG, SharedFrame
from gateway.delivery.small_set import SmallSet
from gateway.errors import (
    Draining,
    GatewayError,
    HelloRequired,
    Malformed,
    TooFast,
    TooMany,
    UnknownCommand,
)
from gateway.protocol import Hello, Pong, Welcome, close_codes, codec
from gateway.sockets.metrics import SocketMetrics
from gateway.sockets.outgoing.goodbye import close_after
from gateway.sockets.outgoing.sender import Sender
from gateway.sockets.session import request
from gateway.sockets.session.command_queue import CommandQueue, QueuedCommand, QueueLimits
from gateway.sockets.session.deadlines import Deadlines, Timeouts
from gateway.sockets.session.device_claim import DeviceClaim
from gateway.sockets.session.held_events import HeldEvents
from gateway.sockets.session.limits import SocketLimits
from gateway.sockets.watch.presence import PresenceWatches
from gateway.sockets.watch.queue_watches import QueueWatches
from gateway.sockets.watch.topic_watches import TopicWatches

log = structlog.get_logger(__name__)

IDLE_PONG = b'{"type":"pong"}'
"""What idle clients send every 25 s, nearly all of them in these bytes: not worth parsing."""

ABUSE = (TooFast, Malformed, TooMany, UnknownCommand, HelloRequired)
"""Refusals that no honest client gathers: too many within a minute end the connection."""


class Socket(Protocol):
    """What a session needs of its connection."""

    def close(self, code: close_codes.CloseCode) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


@dataclass(frozen=True, slots=True)
class NodeParts:
    """The parts of a node that its sessions use."""

    services: Services
    tokens: Tokens
    limits: SocketLimits
    queue_limits: QueueLimits
    timeouts: Timeouts
    metrics: SocketMetrics
    presence_watches: PresenceWatches
    queue_watches: QueueWatches
    topic_watches: TopicWatches
    max_batch: int  # commands in one frame
    hello: Callable[[Session, Hello], Awaitable[Any]]
    """Admit a session and send the welcome; returns it, or None when the client has gone."""
    unchecked_token: Callable[[], None]  # accepted while nobody could say whether it is revoked
    ended: Callable[[Session, str], None]
    """Take a session out of everything; the text says why it ended."""


class Session:
    """A client from its first frame to its last."""

    __slots__ = (
        "__weakref__", "_answering", "_deadlines", "_errors", "_held", "_pings", "_queue",
        "_socket", "_spent", "claim", "closed", "context", "counted_user_id", "deliver", "device",
        "fingerprint", "frames_in", "id", "needs_reconcile", "opened_at", "parts", "received_at",
        "rights_stamp", "sender", "token", "topics", "watched",
    )  # fmt: skip

    def __init__(self, parts: NodeParts, socket: Socket, sender: Sender, token: str | None) -> None:
        self.parts = parts
        self._socket = socket
        self.sender = sender
        self._queue = CommandQueue(parts.queue_limits)
        self._deadlines = Deadlines(parts.timeouts)
        self._held: HeldEvents | None = None
        self.deliver: Callable[[SharedFrame], None] = sender.send_shared
        """Send an event of a topic, or one that several sessions get; hold it while catching up."""
        self._answering: QueuedCommand | None = None
        """The command of the connection itself that runs; forgotten when it is replied to."""
        self.id = secrets.token_hex(8)
        self.opened_at = self.received_at = asyncio.get_running_loop().time()
        self.closed = False
        self.context: Context | None = None
        """Who it is; None before hello."""
        self.token = token
        """The token of the upgrade request, until hello is served."""
        self.topics: SmallSet[str] = SmallSet()
        self.fingerprint = (0, 0)
        """How many conversations it is joined to, and the sum of their ids."""
        self.needs_reconcile = False
        """Its memberships changed during its hello: compare them once more after it."""
        self.rights_stamp = 0
        """The version of its employee's record in the CRM that the reconciler applied last."""
        self.device = "web"
        self.claim: DeviceClaim | None = None
        self.counted_user_id = 0
        """The user in whose number of connections it is counted; 0 before hello."""
        self.watched: frozenset[int] = frozenset()
        """The employees whose presence it watches."""
        self.frames_in = 0
        self._spent = self._pings = self._errors = 0.0
        """Until when it has spent what it may send (limits/rate.py)."""

    @property
    def user_id(self) -> int:
        """The employee; 0 before hello."""
        return self.context.user_id if self.context else 0

    # --- what the client sends -------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Handle one text message: an object, or an array of objects."""
        self.frames_in += 1
        if data == IDLE_PONG:
            self.receive_control()
            return
        self.received_at = asyncio.get_running_loop().time()
        try:
            items = request.parse_frame(data, self.parts.max_batch)
        except GatewayError as error:
            self.refuse(None, error)
            return
        for item in items:
            self._handle_item(item)

    def receive_control(self) -> None:
        """Handle a control frame of WebSocket: a sign of life, but limited in number."""
        self.received_at = asyncio.get_running_loop().time()
        if wait_s := self._spend_ping():
            self._count_refusal(TooFast(wait_s))

    def _handle_item(self, item: Any) -> None:
        if self.closed:
            return
        try:
            envelope = request.parse_envelope(item)
            handler = commands.handler_of(envelope.type)
            if handler.cost == "ping":
                self._handle_ping(envelope)
                return
            if self._queue.draining:
                raise Draining
            self._spend(handler.cost)
            self.parts.services.admit(handler.cost)
            command = codec.command(envelope.type, envelope.fields)
            self.parts.limits.charge(handler, command, self.user_id, self.received_at)
        except GatewayError as error:
            self.refuse(request.request_id_of(item), error)
            return
        self._queue.submit(QueuedCommand(envelope.id, command, handler), self)

    def _handle_ping(self, envelope: request.RequestEnvelope) -> None:
        """Answer a ping; a pong needs no answer; those beyond the rate are ignored."""
        if wait_s := self._spend_ping():
            if envelope.id is not None:
                raise TooFast(wait_s)
            self._count_refusal(TooFast(wait_s))
        elif envelope.type == "ping" and envelope.id is None:
            self.sender.send(PONG)
        elif envelope.type == "ping" and envelope.id is not None:
            self._reply(envelope.id, Pong())

    def _spend_ping(self) -> float:
        pings = self.parts.limits.pings
        if not (wait_s := pings.wait_s(self._pings, self.received_at)):
            self._pings = pings.spend(self._pings, self.received_at)
        return wait_s

    def _spend(self, cost: commands.Cost) -> None:
        """Count a command against the limits of this connection and of its user; TooFast."""
        limits, now = self.parts.limits, self.received_at
        wait_s = limits.commands.wait_s(self._spent, now)
        if not wait_s and self.context is not None and cost in limits.users:
            wait_s = limits.users[cost].acquire(self.user_id, now)
        if wait_s:
            raise TooFast(wait_s)
        self._spent = limits.commands.spend(self._spent, now)

    # --- running commands ------------------------------------------------------------------

    async def run(self, entry: QueuedCommand) -> None:
        """Run a command and reply; called by the queue."""
        type_, now = entry.command.type, asyncio.get_running_loop().time
        started = now()
        audit.COMMAND_ID.set(entry.id)
        try:
            result = await self._serve(entry)
        except GatewayError as error:
            self.refuse(entry.id, error)
            if self.context is None and (code := close_after(error)) is not None:
                self.close(code)  # the same hello would be refused again
        except Exception:
            log.exception("command.failed", type=type_, session=self.id, user=self.user_id)
            self.refuse(entry.id, GatewayError())
        else:
            if entry.id is not None and (not entry.handler.by_session or self._answering is entry):
                self._reply(entry.id, result if result is not None else {})
        self._answering = None if self._answering is entry else self._answering
        self.parts.metrics.count_command(type_, now() - started)

    async def _serve(self, entry: QueuedCommand) -> Any:
        serve = entry.handler.serve
        assert serve is not None
        if entry.handler.by_session:  # one at a time: none of them is a read
            self._answering = entry
            return await serve(self, entry.command)
        result = await serve(self.require_context(), entry.command)
        return await codec.fragment_stepwise(result) if entry.handler.cost == "read" else result

    def require_context(self) -> Context:
        """Return who it is; HelloRequired before hello."""
        if self.context is None:
            raise HelloRequired
        return self.context

    # --- identity --------------------------------------------------------------------------

    def send_welcome(self, welcome: Welcome) -> None:
        """Reply to hello now: the first frame of a session, before the events that it held back."""
        entry, self._answering = self._answering, None
        self._deadlines.arm(asyncio.get_running_loop().time(), self)
        self._reply(entry.id if entry is not None and entry.id is not None else 0, welcome)

    def update_identity(self, identity: Identity) -> None:
        """Go on with this identity: the same employee, with the permissions of now."""
        self.context = replace(self.require_context(), identity=identity)
        self.parts.queue_watches.check_permission(self)

    def token_refreshed(self) -> None:
        """Apply the end of a new token to the deadlines."""
        self._deadlines.token_refreshed(asyncio.get_running_loop().time(), self)

    def postpone_hello(self, deadline: float) -> None:
        """Wait for hello until then (loop time): this client was asked to send it again."""
        self._deadlines.hello_deadline = deadline

    # --- events ----------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        """Whether it was welcomed and holds no events."""
        return self.context is not None and not (self._held and self._held.holding)

    @property
    def full(self) -> bool:
        """Whether this client's socket takes nothing just now."""
        return self.sender.full

    def topic_counted(self, topic: str, step: int) -> None:
        """Keep the fingerprint up to date, so that reconciling need not read everyone's topics."""
        conversation_id = topics.conversation_of(topic)
        if conversation_id is not None:
            count, total = self.fingerprint
            self.fingerprint = (count + step, total + step * conversation_id)

    def _deliver_held(self, frame: SharedFrame) -> None:
        if self._held is None or self._held.passes(frame):
            self.sender.send_shared(frame)

    def send_event(self, event: Any) -> None:
        """Send an event that is for this session alone, at once."""
        self.sender.send_payload(codec.encode(event), lane_of(event.type))

    def hold(self) -> None:
        """Hold events until release(): what they follow is being read."""
        if self._held is None:
            limit = self.sender.limit_bytes
            self._held = HeldEvents(limit_bytes=limit, on_overflow=self.overflowed)
            self.deliver, self.sender.held = self._deliver_held, True
        self._held.hold()

    def holds(self, topic: str, first: int, last: int) -> bool:
        """Return whether every change from first to last of this topic is held here."""
        return self._held is not None and self._held.contains(topic, first, last)

    def release(self, floors: Mapping[str, int], *, keep: AbstractSet[str] = frozenset()) -> None:
        """Send the held events; see HeldEvents.release()."""
        if (held := self._held) is None:  # the session has ended meanwhile
            return
        for frame in held.release(floors, keep=keep):
            self.sender.send_shared(frame)
        if held.done:
            self._end_holding()

    def _end_holding(self) -> None:
        self._held, self.deliver, self.sender.held = None, self.sender.send_shared, False

    def discard_held(self, topic: str, unwanted: Callable[[Announcement], bool]) -> None:
        """Drop the held events of a topic that must not be sent."""
        if self._held is not None:
            self._held.discard(topic, unwanted)

    def reset(self) -> None:
        """Undo a hello that failed: nothing was sent."""
        self.context = None
        self._end_holding()

    # --- replies ---------------------------------------------------------------------------

    def _reply(self, request_id: int, result: Any) -> None:
        self.sender.send_payload(codec.encode({"id": request_id, "ok": result}))

    def refuse(self, request_id: int | None, error: GatewayError) -> None:
        """Reply with an error, and count it."""
        answered = {} if request_id is None else {"id": request_id}
        self.sender.send_payload(codec.encode({**answered, "error": codec.refusal(error)}))
        self._count_refusal(error)

    def _count_refusal(self, error: GatewayError) -> None:
        """Count a refusal; close a connection that gathers what no honest client does."""
        self.parts.metrics.count_refusal(error.code)
        if self.closed or not isinstance(error, ABUSE):
            return
        errors, now = self.parts.limits.errors, asyncio.get_running_loop().time()
        if not errors.wait_s(self._errors, now):
            self._errors = errors.spend(self._errors, now)
            return
        fast = isinstance(error, TooFast)
        self.close(close_codes.TOO_FAST if fast else close_codes.PROTOCOL_ABUSE)
        self._socket.pause_reading()  # what still comes is left unread and costs nothing

    # --- deadlines -------------------------------------------------------------------------

    def expect_hello(self, within_s: float) -> None:
        """Have the deadline of hello checked."""
        self._deadlines.arm(self.opened_at + within_s, self)

    def due(self, now: float) -> float | None:
        """Do what is due now; called by the timing wheel."""
        return self._deadlines.due(now, self)

    @property
    def busy(self) -> bool:
        """Whether one of its commands runs."""
        return self._queue.running > 0

    @property
    def reading_paused(self) -> bool:
        """Whether what the client sends is not being read, because too much waits."""
        return self._queue.reading_paused

    def pause_reading(self) -> None:
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        self._socket.resume_reading()

    # --- the end ---------------------------------------------------------------------------

    def drain(self) -> None:
        """Close once the commands that have begun are answered."""
        self._queue.drain(self)

    def drained(self) -> None:
        """Close: the commands that had begun are answered."""
        self.close(close_codes.DRAIN)

    def close(self, code: close_codes.CloseCode) -> None:
        """Close this session from the server's side."""
        self._socket.close(code)

    def overflowed(self) -> None:
        """Close a client that reads too slowly."""
        self.close(close_codes.SLOW_CLIENT)

    def finalize(self, reason: str) -> None:
        """End: the socket is gone, or about to be."""
        if self.closed:
            return
        self.closed = True
        self._queue.clear()
        self._end_holding()
        self.parts.ended(self, reason)
