"""One client: read a frame, run the command, reply.

server ─▶ Session ─▶ commands. Commands of one client run one after the other, so that replies
keep their order; clients do not wait for each other.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from typing import Any

import structlog

from gateway.auth import Identity
from gateway.context import Context
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
from gateway.limits import Bucket
from gateway.protocol import (
    COMMANDS,
    Hello,
    Pong,
    PresenceWatch,
    TokenRefresh,
    TokenRefreshed,
    Welcome,
    close_codes,
    codec,
)
from gateway.protocol.close_codes import CloseCode
from gateway.sockets import incoming
from gateway.sockets.deadlines import Connection, Deadlines
from gateway.sockets.farewell import close_after
from gateway.sockets.node import Node
from gateway.sockets.sender import Sender
from gateway.sockets.shared_frame import PONG, text_frame

log = structlog.get_logger(__name__)


ABUSE = (TooFast, Malformed, TooMany, UnknownCommand, HelloRequired)
"""Refusals that no honest client gathers: too many within a minute end the connection."""


class Session(Deadlines):
    """A client from its first frame to its last."""

    __slots__ = (
        "_bucket", "_errors", "_pending", "_token", "device", "draining",
        "frames_in", "id", "watched",
    )  # fmt: skip

    def __init__(
        self, node: Node, connection: Connection, sender: Sender, token: str | None
    ) -> None:
        super().__init__(node, connection, sender)
        self.id = secrets.token_hex(8)
        self.device = "web"
        self.watched: frozenset[int] = frozenset()
        self.frames_in = 0
        self.draining = False
        self._token = token
        self._bucket = Bucket(node.settings.commands_per_s, node.settings.commands_burst)
        self._errors: Bucket | None = None
        self._pending: deque[incoming.Asked] = deque()

    # --- what the client says --------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take one text message: an object, or an array of objects."""
        self.heard_at = asyncio.get_running_loop().time()
        self.frames_in += 1
        try:
            items = incoming.items(data, self._node.settings.max_batch)
        except GatewayError as error:
            self._refuse(None, error)
            return
        for item in items:
            self._take(item)

    def _take(self, item: Any) -> None:
        if self.closed:
            return
        try:
            asked = incoming.read(item)
        except GatewayError as error:
            self._refuse(incoming.id_of(item), error)
            return
        if asked.type == "pong":
            return
        if asked.type == "ping":
            if asked.id is None:
                self._sender.send(PONG)
            else:
                self._reply(asked.id, Pong())
            return
        if wait_s := self._bucket.take():
            self._refuse(asked.id, TooFast(wait_s))
            return
        if self.draining:
            self._refuse(asked.id, Draining())
            return
        self._pending.append(asked)
        if len(self._pending) > self._node.settings.max_pending and not self._reading_paused:
            self._reading_paused = True
            self._connection.pause_reading()
        if not self._working:
            self._working = True
            self._node.spawn(self._work(), name=f"session.{self.id}")

    async def _work(self) -> None:
        try:
            while self._pending and not self.closed:
                asked = self._pending.popleft()
                if self.draining:
                    self._refuse(asked.id, Draining())
                    continue
                await self._run(asked.id, asked.type, asked.fields)
                if self._reading_paused and len(self._pending) * 2 <= (
                    self._node.settings.max_pending
                ):
                    self._reading_paused = False
                    self._connection.resume_reading()
        finally:
            self._working = False
        if self.draining and not self.closed:
            self._connection.close(close_codes.DRAIN)

    async def _run(self, request_id: int | None, type_: str, fields: dict[str, Any]) -> None:
        started = asyncio.get_running_loop().time()
        try:
            result = await self._answer(request_id, codec.command(type_, fields))
        except GatewayError as error:
            self._refuse(request_id, error)
        except Exception:
            log.exception("command.failed", type=type_, session=self.id, user=self.user_id)
            self._refuse(request_id, GatewayError())
        else:
            if request_id is not None and result is not Hello:
                self._reply(request_id, result if result is not None else {})
        if type_ in COMMANDS:  # never a name that a client made up
            self._node.took(type_, asyncio.get_running_loop().time() - started)

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
        return await self._node.run(self.context, command)

    # --- hello and tokens ------------------------------------------------------------------

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

    def welcomed(self, request_id: int | None, welcome: Welcome) -> None:
        """Send the welcome: the first frame of a session."""
        self.arm(asyncio.get_running_loop().time())
        self._reply(request_id if request_id is not None else 0, welcome)

    def identify(self, identity: Identity) -> None:
        """Go on as this: the same employee, with what they may do from now on."""
        assert self.context is not None
        self.context = Context(identity, self.context.services, self.topics)

    def _refresh(self, command: TokenRefresh) -> TokenRefreshed:
        assert self.context is not None
        claims = self._node.tokens.verify(command.token)
        if claims.employee_id != self.user_id:
            raise TokenInvalid("A token for somebody else does not refresh this one.")
        old = self.context.identity
        self.identify(Identity(old.employee, old.permissions, claims.expires_at))
        self._warned = False
        self.arm(asyncio.get_running_loop().time())
        return TokenRefreshed(token_expires_at=claims.expires_at)

    # --- replies ---------------------------------------------------------------------------

    def _reply(self, request_id: int, result: Any) -> None:
        self._sender.send(text_frame(codec.encode({"id": request_id, "ok": result})))

    def _refuse(self, request_id: int | None, error: GatewayError) -> None:
        said: dict[str, Any] = {"error": codec.refusal(error)}
        if request_id is not None:
            said = {"id": request_id, **said}
        self._sender.send(text_frame(codec.encode(said)))
        self._node.refused(error.code)
        if isinstance(error, ABUSE):
            if self._errors is None:
                most = self._node.settings.max_errors
                self._errors = Bucket(most / 60, most)
            if self._errors.take():
                fast = isinstance(error, TooFast)
                self._connection.close(close_codes.TOO_FAST if fast else close_codes.PROTOCOL_ABUSE)

    # --- the end ---------------------------------------------------------------------------

    def drain(self) -> None:
        """Say goodbye once the commands that have begun are answered."""
        self.draining = True
        if not self._working and not self.closed:
            self._connection.close(close_codes.DRAIN)

    def end(self, code: CloseCode) -> None:
        """Close this session from the server's side."""
        self._connection.close(code)

    def overflowed(self) -> None:
        """Let a client go that reads too slowly."""
        self._connection.close(close_codes.SLOW_CLIENT)

    def shut(self, reason: str) -> None:
        """End: the socket is gone, or about to be."""
        if self.closed:
            return
        self.closed = True
        self._pending.clear()
        self._early.clear()
        self._node.forget(self, reason)
