"""One client: read a frame, run the command, reply.

websocket ─▶ Session ─▶ commands. Limits first, then the queue (command_queue.py), then the command.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from gateway import commands
from gateway.auth import Identity
from gateway.context import Context
from gateway.delivery.shared_frame import PONG
from gateway.errors import (
    Draining,
    GatewayError,
    HelloRequired,
    HelloTwice,
    Malformed,
    TokenInvalid,
    TooFast,
    TooMany,
    UnknownCommand,
)
from gateway.protocol import (
    Hello,
    Pong,
    PresenceAway,
    PresenceWatch,
    QueueWatch,
    TokenRefresh,
    TokenRefreshed,
    Welcome,
    close_codes,
    codec,
)
from gateway.protocol.close_codes import CloseCode
from gateway.sockets.admission.devices import DeviceClaim
from gateway.sockets.node import Node
from gateway.sockets.outgoing.goodbye import close_after
from gateway.sockets.outgoing.sender import Sender
from gateway.sockets.session import request
from gateway.sockets.session.command_queue import Job, Line
from gateway.sockets.session.deadlines import Connection

log = structlog.get_logger(__name__)


IDLE_PONG = b'{"type":"pong"}'
"""What idle clients say every 25 s, nearly all of them in these bytes: not worth parsing."""

ABUSE = (TooFast, Malformed, TooMany, UnknownCommand, HelloRequired)
"""Refusals that no honest client gathers: too many within a minute end the connection."""


class Session(Line):
    """A client from its first frame to its last."""

    __slots__ = (
        "_errors", "_pings", "_spent", "_token", "claim", "counted_user_id", "device", "frames_in",
        "hello_deadline", "watched",
    )  # fmt: skip

    def __init__(
        self, node: Node, connection: Connection, sender: Sender, token: str | None
    ) -> None:
        super().__init__(node, connection, sender)
        self.device = "web"
        self.claim: DeviceClaim | None = None
        self.counted_user_id = 0
        """Whose connections it is one of; 0 before hello."""
        self.watched: frozenset[int] = frozenset()
        self.frames_in = 0
        self.hello_deadline = 0.0
        """When it was told to say hello again."""
        self._token = token
        self._spent = self._pings = self._errors = 0.0
        """Until when it has spent what it may send (limits/rate.py)."""

    # --- what the client says --------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take one text message: an object, or an array of objects."""
        self.frames_in += 1
        if data == IDLE_PONG:
            self.receive_control()
            return
        self.received_at = asyncio.get_running_loop().time()
        try:
            items = request.parse_frame(data, self._node.settings.max_batch)
        except GatewayError as error:
            self._refuse(None, error)
            return
        for item in items:
            self._handle_item(item)

    def receive_control(self) -> None:
        """Take a control frame of WebSocket's own: a sign of life, but not any number of them."""
        self.received_at = asyncio.get_running_loop().time()
        if wait_s := self._spend_ping():
            self._count_refusal(TooFast(wait_s))

    def _handle_item(self, item: Any) -> None:
        if self.closed:
            return
        try:
            asked = request.parse_envelope(item)
            handler = commands.handler_of(asked.type)
            if handler.cost == "ping":
                self._handle_ping(asked)
                return
            if self.draining:
                raise Draining
            self._spend(handler.cost)
            self._node.services.admit(handler.cost)
            command = codec.command(asked.type, asked.fields)
        except GatewayError as error:
            self._refuse(request.request_id_of(item), error)
            return
        self.line_up(Job(asked.id, asked.type, command, handler.changes))

    def _handle_ping(self, asked: request.RequestEnvelope) -> None:
        """Answer a ping, a pong needs none; those beyond the rate are passed over."""
        if wait_s := self._spend_ping():
            if asked.id is not None:
                raise TooFast(wait_s)
            self._count_refusal(TooFast(wait_s))
        elif asked.type == "ping" and asked.id is None:
            self._sender.send(PONG)
        elif asked.type == "ping" and asked.id is not None:
            self._reply(asked.id, Pong())

    def _spend_ping(self) -> float:
        pings = self._node.limits.pings
        wait_s = pings.wait_s(self._pings, self.received_at)
        if not wait_s:
            self._pings = pings.spend(self._pings, self.received_at)
        return wait_s

    def _spend(self, cost: commands.Cost) -> None:
        """Take a command off what this connection, and this user, may send; TooFast."""
        bounds, now = self._node.limits, self.received_at
        wait_s = bounds.commands.wait_s(self._spent, now)
        if not wait_s and self.context is not None and cost in bounds.users:
            wait_s = bounds.users[cost].acquire(self.user_id, now)
        if wait_s:
            raise TooFast(wait_s)
        self._spent = bounds.commands.spend(self._spent, now)

    # --- running commands ------------------------------------------------------------------

    async def _run(self, job: Job) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            result = await self._answer(job.id, job.command)
        except GatewayError as error:
            self._refuse(job.id, error)
        except Exception:
            log.exception("command.failed", type=job.type, session=self.id, user=self.user_id)
            self._refuse(job.id, GatewayError())
        else:
            if job.id is not None and result is not Hello:
                self._reply(job.id, result if result is not None else {})
        self._node.count_command(job.type, loop.time() - started)

    async def _answer(self, request_id: int | None, command: Any) -> Any:
        if isinstance(command, Hello):
            await self._hello(request_id, command)
            return Hello  # its reply has been sent, before the events it held back
        if self.context is None:
            raise HelloRequired
        if isinstance(command, TokenRefresh):
            return self._refresh(command)
        if isinstance(command, PresenceWatch):
            return await self._node.watch(self, command)
        if isinstance(command, QueueWatch):
            return await self._node.queue_watches.watch(self, command)
        if isinstance(command, PresenceAway):
            await self._node.services.presence.set_away(self.user_id, self.id, command.away)
            return None
        return await self._node.run(self.context, command)

    # --- hello and tokens ------------------------------------------------------------------

    def _look_at_clock(self, now: float) -> float:
        if self.context is None and now < self.hello_deadline:
            return self.hello_deadline
        return super()._look_at_clock(now)

    async def _hello(self, request_id: int | None, command: Hello) -> None:
        if self.context is not None:
            raise HelloTwice
        try:
            await self._node.welcome(self, command, self._token, request_id)
        except GatewayError as error:
            code = close_after(error)
            if code is not None:  # anything else is temporary: the same token may be tried again
                self._refuse(request_id, error)
                self._connection.close(code)
                return
            raise
        self._token = None

    def send_welcome(self, request_id: int | None, welcome: Welcome) -> None:
        """Send the welcome: the first frame of a session."""
        self.arm(asyncio.get_running_loop().time())
        self._reply(request_id if request_id is not None else 0, welcome)

    def update_identity(self, identity: Identity) -> None:
        """Go on as this: the same employee, with what they may do from now on."""
        assert self.context is not None
        self.context = Context(identity, self.context.services, self.topics)
        self._node.queue_watches.check_permission(self)

    def _refresh(self, command: TokenRefresh) -> TokenRefreshed:
        assert self.context is not None
        claims = self._node.tokens.verify(command.token)
        if claims.employee_id != self.user_id:
            raise TokenInvalid("A token for somebody else does not refresh this one.")
        old = self.context.identity
        self.update_identity(Identity(old.employee, old.permissions, claims.expires_at))
        self._warned = False
        self.arm(asyncio.get_running_loop().time())
        return TokenRefreshed(token_expires_at=claims.expires_at)

    # --- replies ---------------------------------------------------------------------------

    def _reply(self, request_id: int, result: Any) -> None:
        self._sender.send_payload(codec.encode({"id": request_id, "ok": result}))

    def _refuse(self, request_id: int | None, error: GatewayError) -> None:
        said: dict[str, Any] = {"error": codec.refusal(error)}
        if request_id is not None:
            said = {"id": request_id, **said}
        self._sender.send_payload(codec.encode(said))
        self._count_refusal(error)

    def _count_refusal(self, error: GatewayError) -> None:
        """Count a refusal; end a connection that gathers what no honest client does."""
        self._node.count_refusal(error.code)
        if self.closed or not isinstance(error, ABUSE):
            return
        errors, now = self._node.limits.errors, asyncio.get_running_loop().time()
        if not errors.wait_s(self._errors, now):
            self._errors = errors.spend(self._errors, now)
            return
        fast = isinstance(error, TooFast)
        self._connection.close(close_codes.TOO_FAST if fast else close_codes.PROTOCOL_ABUSE)
        self._connection.pause_reading()  # whatever still comes costs nothing to leave unread

    # --- the end ---------------------------------------------------------------------------

    def close(self, code: CloseCode) -> None:
        """Close this session from the server's side."""
        self._connection.close(code)

    def overflowed(self) -> None:
        """Let a client go that reads too slowly."""
        self._connection.close(close_codes.SLOW_CLIENT)

    def finalize(self, reason: str) -> None:
        """End: the socket is gone, or about to be."""
        if self.closed:
            return
        self.closed = True
        self.leave_line()
        self._held = None
        self._node.session_ended(self, reason)
