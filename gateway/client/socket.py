"""The socket underneath a Connection: hello, requests and replies, and coming back.

One task reads; it reconnects with full jitter, resumes where it was, watches again what was
watched, and repeats requests that had no reply and may be repeated. Another task writes, so that
frames leave in the order in which they were made.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import random
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from pydantic import TypeAdapter
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.typing import Subprotocol

from gateway.client.errors import ConnectionEnded, RequestRefused, close_code, refusal
from gateway.client.events import Events
from gateway.client.requests import PendingRequest, PendingRequests, encode
from gateway.client.states import ConnectionState, OnState
from gateway.client.watches import BUSY_S, Watch, Watches
from gateway.protocol import (
    REPLIES,
    SUBPROTOCOL,
    Device,
    Hello,
    Welcome,
)
from gateway.protocol.close_codes import TOKEN_EXPIRED, TOKEN_REFUSED, verdict

Token = str | Callable[[], str | Awaitable[str]]

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
EMPTY = "The token is empty: look at what should have made it."
REPLY_S = 30.0
WELCOME_S = 15.0  # our nodes answer a hello in 5 s, or refuse it
SILENCE_S = 10.0  # beyond 1.5 times the gateway's ping_s; then the connection is taken for dead
PONG = '{"type":"pong"}'
MAX_SIZE = 2**24  # a welcome with 1,000 changes of 8,000 characters

_replies: dict[type[Any], TypeAdapter[Any]] = {
    command: TypeAdapter(reply) for command, reply in REPLIES.items() if reply is not None
}
_welcome: TypeAdapter[Welcome] = TypeAdapter(Welcome)  # 40 ms: once, not with each connection


class ReconnectingSocket:
    """A socket that is opened again whenever it is lost."""

    welcome: Welcome
    """The newest welcome: a snapshot as of the last (re)connection."""

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        device: Device | None = None,
        reconnect: bool = True,
        on_state: OnState | None = None,
    ) -> None:
        self.url = url
        self.events = Events()
        self.reconnects = 0
        self.away = False
        self.state = ConnectionState("connecting")
        self._token = token
        self._device = device
        self._reconnect = reconnect
        self._on_state = on_state
        self._socket: ClientConnection | None = None
        self._outgoing: asyncio.Queue[str] | None = None
        """Frames on their way out; None while there is no live connection."""
        self._requests = PendingRequests()
        self._watches = Watches(publish=self.events.put, send_later=self._watch_later)
        self._opened = asyncio.Event()
        """The first welcome has come, or the connection ended before it."""
        self._ended: Exception | None = None
        self._retry_window: tuple[float, float] | None = None
        """The seconds within which the gateway's goodbye asked us to come back."""

    async def request(self, command: Any) -> Any:
        """Send a command and return its reply, as the type that the protocol names for it.

        Without a connection it waits for one. Raises RequestRefused, ConnectionEnded, or
        TimeoutError after 30 s.
        """
        if self._ended is not None:
            raise self._ended
        request = self._requests.add(command)
        if self._outgoing is not None:
            self._send_request(request, self._outgoing)
        try:
            async with asyncio.timeout(REPLY_S):
                ok = await request.answered
        finally:
            self._requests.discard(request)
        adapter = _replies.get(type(command))
        return adapter.validate_python(ok, extra="ignore") if adapter else None

    async def run(self) -> None:
        """Connect, read, come back; end when the gateway says not to.

        An unexpected error ends it too, and is raised by the iteration and by every request.
        """
        try:
            self._end(await self._stay_connected())
        except Exception as error:  # noqa: BLE001 - raised to everyone who waits
            self._end(error)
        finally:
            self._end(ConnectionEnded(1000, "closed"))  # unless it has ended already
            self._drop()

    # --- connecting and coming back --------------------------------------------------------

    async def _stay_connected(self) -> ConnectionEnded:
        wait_s = FIRST_WAIT_S
        while True:
            least_s = 0.0
            self._become(ConnectionState("connecting"))
            try:
                socket = await self._connect()
                wait_s = FIRST_WAIT_S
                await self._read(socket)
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 1006
                reason = closed.rcvd.reason if closed.rcvd else "lost"
            except RequestRefused as refused:
                code, reason = close_code(refused), str(refused)
                least_s = refused.retry_after or 0.0
                if code == TOKEN_EXPIRED.code and not callable(self._token):
                    return ConnectionEnded(code, reason)  # there is no fresh one to come with
            except (OSError, InvalidHandshake, TimeoutError) as error:
                code, reason = 1006, type(error).__name__
            except InvalidURI as error:
                code, reason = TOKEN_REFUSED.code, str(error)
            self._drop()
            if not self._reconnect or verdict(code) == "stop":
                return ConnectionEnded(code, reason)
            self._requests.connection_lost()
            self._watches.connection_lost()
            self.reconnects += 1
            window, self._retry_window = self._retry_window or (least_s, least_s + wait_s), None
            await self._wait(random.uniform(*window), code, reason)  # noqa: S311 - jitter
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    async def _wait(self, delay_s: float, code: int, reason: str) -> None:
        retry_at = datetime.now(UTC) + timedelta(seconds=delay_s)
        self._become(ConnectionState("waiting", retry_at, code, reason))
        await asyncio.sleep(delay_s)

    def _drop(self) -> None:
        """Forget the socket; one that was refused or fell silent would stay open otherwise."""
        socket, self._socket, self._outgoing = self._socket, None, None
        if socket is not None:
            socket.transport.abort()

    async def _connect(self) -> ClientConnection:
        token = self._token
        if callable(token):
            made = token()
            token = await made if inspect.isawaitable(made) else made
        if not token:
            raise RequestRefused("token.missing", EMPTY)
        self._socket = socket = await open_socket(
            self.url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            max_size=MAX_SIZE,
            ping_interval=None,
            open_timeout=10,
        )
        resumed = self.events.to_resume()
        hello = {
            "type": Hello.__name__.lower(),
            "id": 0,
            "token": token,
            "resume": {str(key): value for key, value in resumed.items()},
        }
        if self.away:
            hello["away"] = True
        if self._device is not None:
            hello["device"] = asdict(self._device)
        answer = await self._greet(socket, orjson.dumps(hello).decode())
        if "error" in answer:
            raise refusal(answer["error"])
        self._welcomed(answer["ok"], resumed)
        return socket

    async def _greet(self, socket: ClientConnection, hello: str) -> dict[str, Any]:
        """Say hello, again when the gateway asks for it on the same socket; return the answer."""
        while True:
            with contextlib.suppress(ConnectionClosed):  # recv says why
                await socket.send(hello)
            async with asyncio.timeout(WELCOME_S):
                while (frame := orjson.loads(await socket.recv())).get("id") != 0:
                    self._note_goodbye(frame)
            if frame.get("error", {}).get("code") != "overloaded":
                answer: dict[str, Any] = frame
                return answer
            await asyncio.sleep(frame["error"]["retry_after"])

    def _welcomed(self, ok: dict[str, Any], resumed: dict[int, int]) -> None:
        self.welcome = _welcome.validate_python(ok, extra="ignore")
        for events in ok["changes"].values():
            for event in events:
                self.events.receive(event)
        self.events.caught_up(
            {item.id: item.last_change for item in self.welcome.conversations},
            resumed=resumed,
            reload=self.welcome.reload,
        )
        outgoing: asyncio.Queue[str] = asyncio.Queue()
        self._outgoing = outgoing
        # In this order the last watch that was requested is the last that the gateway receives.
        for watch in self._watches.accepted():
            self._watch_again(watch, outgoing)
        for request in self._requests.unsent():
            self._send_request(request, outgoing)
        self._opened.set()
        self._become(ConnectionState("live"))

    def _become(self, state: ConnectionState) -> None:
        self.state = state
        if self._on_state is None:
            return
        try:
            self._on_state(state)
        except Exception as error:  # noqa: BLE001 - the application's mistake; we stay connected
            asyncio.get_running_loop().call_exception_handler(
                {"message": "on_state of a gateway connection failed", "exception": error}
            )

    # --- writing ---------------------------------------------------------------------------

    def _send_request(self, request: PendingRequest, outgoing: asyncio.Queue[str]) -> None:
        request.sent = True
        self._watches.sent(request.id, request.command)
        outgoing.put_nowait(request.frame)

    def _watch_again(self, watch: Watch, outgoing: asyncio.Queue[str]) -> None:
        request_id = self._requests.next_id()
        self._watches.sent(request_id, watch, again=True)
        outgoing.put_nowait(encode(watch, request_id))

    def _watch_later(self, delay_s: float, watch: Watch) -> None:
        """Repeat a watch after a time, on this connection and unless a newer one replaced it."""
        outgoing = self._outgoing

        def repeat() -> None:
            if outgoing is None or self._outgoing is not outgoing:
                return
            allowed = self._watches.may_repeat(watch)
            if allowed is None:
                self._watch_later(BUSY_S, watch)
            elif allowed:
                self._watch_again(self._watches.latest(watch), outgoing)

        asyncio.get_running_loop().call_later(delay_s, repeat)

    async def _write(self, socket: ClientConnection, outgoing: asyncio.Queue[str]) -> None:
        with contextlib.suppress(ConnectionClosed):  # what has no reply is sent after the reconnect
            while True:
                await socket.send(await outgoing.get())

    # --- reading ---------------------------------------------------------------------------

    async def _read(self, socket: ClientConnection) -> None:
        """Read until the connection ends; a gateway from which nothing comes at all is gone."""
        assert self._outgoing is not None
        outgoing = self._outgoing
        writer = asyncio.create_task(self._write(socket, outgoing), name="gateway.client.writer")
        loop, limit_s = asyncio.get_running_loop(), self.welcome.ping_s * 1.5 + SILENCE_S
        try:
            async with asyncio.timeout(limit_s) as silence:
                while True:
                    received = orjson.loads(await socket.recv())
                    silence.reschedule(loop.time() + limit_s)
                    for frame in received if isinstance(received, list) else [received]:
                        self._receive(frame, outgoing)
        finally:
            writer.cancel()

    def _receive(self, frame: dict[str, Any], outgoing: asyncio.Queue[str]) -> None:
        if frame.get("id") is not None:
            self._watches.replied(frame)
            self._requests.settle(frame)
        elif frame.get("type") == "ping":
            # Not awaited: once the other end has begun to close, sending waits for the connection's
            # end, 10 s at most, and that end is seen only by reading on.
            outgoing.put_nowait(PONG)
        else:
            self._note_goodbye(frame)
            if frame.get("type") == "queue.unwatched":
                self._watches.unwatched()
            elif frame.get("type") == "topic.unwatched":
                self._watches.topics_unwatched(frame.get("topics", ()))
            self.events.receive(frame)

    def _note_goodbye(self, frame: dict[str, Any]) -> None:
        if frame.get("type") == "bye" and (window := frame.get("retry_in")) is not None:
            self._retry_window = (window[0] / 1_000, window[1] / 1_000)

    # --- the end ---------------------------------------------------------------------------

    def _end(self, error: Exception) -> None:
        if self._ended is not None:
            return
        self._ended = error
        self._opened.set()  # until_ready raises the error
        self.events.fail(error)
        self._requests.end(error)
        code = error.code if isinstance(error, ConnectionEnded) else None
        reason = error.reason if isinstance(error, ConnectionEnded) else repr(error)
        self._become(ConnectionState("stopped", code=code, reason=reason))

    async def close(self) -> None:
        """Leave for good."""
        self._reconnect = False
        if self._socket is not None:
            await self._socket.close()

    def drop(self) -> None:
        """Cut the connection without a goodbye, as a network would; it comes back by itself."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def until_ready(self) -> None:
        """Wait for the first welcome, 30 s at most; raise what ended the connection instead."""
        async with asyncio.timeout(REPLY_S):
            await self._opened.wait()
        if self._ended is not None:
            raise self._ended
