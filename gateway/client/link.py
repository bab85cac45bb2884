"""The socket underneath a Connection: hello, requests and replies, and coming back.

One task reads; it reconnects with full jitter, resumes where it was, and sends again what had no
answer and may be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import random
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import orjson
from pydantic import TypeAdapter
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.typing import Subprotocol

from gateway.client.errors import ConnectionEnded, RequestRefused, close_code, refusal
from gateway.client.events import Events
from gateway.protocol import (
    REPEATABLE,
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
REPLY_S = 30.0
WELCOME_S = 15.0  # our nodes answer a hello in 5 s, or refuse it
SILENCE_S = 10.0  # beyond one and a half times the gateway's ping_s, the line is taken for dead
MAX_SIZE = 2**24  # a welcome with 1,000 changes of 8,000 characters

_replies: dict[type[Any], TypeAdapter[Any]] = {
    command: TypeAdapter(reply) for command, reply in REPLIES.items() if reply is not None
}
_welcome: TypeAdapter[Welcome] = TypeAdapter(Welcome)  # 40 ms: once, not with each connection


class Link:
    """A socket that is opened again whenever it is lost."""

    welcome: Welcome
    """The newest welcome: a snapshot as of the last (re)connection."""

    def __init__(
        self, url: str, token: Token, *, device: Device | None = None, reconnect: bool = True
    ) -> None:
        self._url = url
        self._token = token
        self._device = device
        self._reconnect = reconnect
        self._events = Events()
        self._socket: ClientConnection | None = None
        self._asked: dict[int, tuple[dict[str, Any], asyncio.Future[Any]]] = {}
        self._last_id = 0
        self._ready = asyncio.Event()
        self._ended: Exception | None = None
        self._come_back: tuple[float, float] | None = None
        """Within how many seconds the gateway's goodbye asked us to be back."""
        self.reconnects = 0
        self._away = False

    async def request(self, command: Any) -> Any:
        """Send a command and return its reply, as the type that the protocol names for it.

        Raises RequestRefused, ConnectionEnded, or TimeoutError after 30 s.
        """
        if self._ended is not None:
            raise self._ended
        self._last_id += 1
        request_id = self._last_id
        fields = {name: value for name, value in asdict(command).items() if value is not None}
        fields["id"] = request_id
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(REPLY_S):
                while not self._ready.is_set():  # it may be lost again before we are woken
                    await self._ready.wait()
                if self._ended is not None:
                    raise self._ended
                # Noted down only now: a welcome sends again whatever is.
                self._asked[request_id] = (fields, answered)
                await self._send(fields)
                said = await answered
        finally:
            self._asked.pop(request_id, None)
        adapter = _replies.get(type(command))
        return adapter.validate_python(said, extra="ignore") if adapter else None

    async def run(self) -> None:
        """Connect, read, come back; end when the gateway says not to.

        What nobody foresaw ends it too, and is raised by the iteration and by every request.
        """
        try:
            self._end(await self._stay_connected())
        except Exception as error:  # noqa: BLE001 - raised wherever somebody waits
            self._end(error)
        finally:
            self._end(ConnectionEnded(1000, "closed"))  # unless it has ended already
            self._drop()

    async def _stay_connected(self) -> ConnectionEnded:
        wait_s = FIRST_WAIT_S
        while True:
            least_s = 0.0
            try:
                await self._connect()
                wait_s = FIRST_WAIT_S
                await self._read()
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
            self._ready.clear()
            self._drop()
            if not self._reconnect or verdict(code) == "stop":
                return ConnectionEnded(code, reason)
            self._forget_unrepeatable()
            self.reconnects += 1
            window, self._come_back = self._come_back or (least_s, least_s + wait_s), None
            await asyncio.sleep(random.uniform(*window))  # noqa: S311 - jitter
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    def _drop(self) -> None:
        """Forget the socket; one that was refused or fell silent would stay open otherwise."""
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.transport.abort()

    async def _connect(self) -> None:
        token = self._token
        if callable(token):
            made = token()
            token = await made if inspect.isawaitable(made) else made
        self._socket = await open_socket(
            self._url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            max_size=MAX_SIZE,
            ping_interval=None,
            open_timeout=10,
        )
        resumed = self._events.to_resume()
        hello = {
            "type": Hello.__name__.lower(),
            "id": 0,
            "token": token,
            "resume": {str(key): value for key, value in resumed.items()},
        }
        if self._away:
            hello["away"] = True
        if self._device is not None:
            hello["device"] = asdict(self._device)
        said = await self._greet(self._socket, hello)
        if "error" in said:
            raise refusal(said["error"])
        self._welcomed(said["ok"], resumed)

    async def _greet(self, socket: ClientConnection, hello: dict[str, Any]) -> dict[str, Any]:
        """Say hello, again when told to on the same socket, and return the answer."""
        while True:
            await self._send(hello)
            async with asyncio.timeout(WELCOME_S):
                while (said := orjson.loads(await socket.recv())).get("id") != 0:
                    self._note_goodbye(said)
            if said.get("error", {}).get("code") != "overloaded":
                answer: dict[str, Any] = said
                return answer
            await asyncio.sleep(said["error"]["retry_after"])

    def _welcomed(self, said: dict[str, Any], resumed: dict[int, int]) -> None:
        self.welcome = _welcome.validate_python(said, extra="ignore")
        for events in said["changes"].values():
            for event in events:
                self._events.take(event)
        self._events.caught_up(
            {item.id: item.last_change for item in self.welcome.conversations},
            resumed=resumed,
            reload=self.welcome.reload,
        )
        self._ready.set()
        for fields, _answered in list(self._asked.values()):
            self._send_soon(fields)

    async def _read(self) -> None:
        """Read until the connection ends; a gateway that says nothing at all is gone."""
        assert self._socket is not None
        assert self.welcome is not None
        loop, patience_s = asyncio.get_running_loop(), self.welcome.ping_s * 1.5 + SILENCE_S
        async with asyncio.timeout(patience_s) as silence:
            while True:
                said = orjson.loads(await self._socket.recv())
                silence.reschedule(loop.time() + patience_s)
                for item in said if isinstance(said, list) else [said]:
                    await self._take(item)

    async def _take(self, said: dict[str, Any]) -> None:
        request_id = said.get("id")
        if request_id is not None:
            _, answered = self._asked.get(request_id, ({}, None))
            if answered is None or answered.done():
                return
            if "error" in said:
                answered.set_exception(refusal(said["error"]))
            else:
                answered.set_result(said["ok"])
        elif said.get("type") == "ping":
            # Not awaited: once the other end has begun to close, sending waits for the connection's
            # end, 10 s at most, and that end is seen only by reading on.
            self._send_soon({"type": "pong"})
        else:
            self._note_goodbye(said)
            self._events.take(said)

    def _note_goodbye(self, said: dict[str, Any]) -> None:
        if said.get("type") == "bye" and (window := said.get("retry_in")) is not None:
            self._come_back = (window[0] / 1_000, window[1] / 1_000)

    async def _send(self, fields: dict[str, Any]) -> None:
        if self._socket is not None:
            with contextlib.suppress(ConnectionClosed):  # asked again after the reconnect
                await self._socket.send(orjson.dumps(fields).decode())

    def _send_soon(self, fields: dict[str, Any]) -> None:
        task = asyncio.get_running_loop().create_task(self._send(fields))
        task.add_done_callback(lambda done: done.exception())

    def _forget_unrepeatable(self) -> None:
        for fields, answered in list(self._asked.values()):
            if fields["type"] not in REPEATABLE and not answered.done():
                answered.set_exception(
                    RequestRefused("connection.lost", "The connection was lost; ask again.")
                )

    def _end(self, error: Exception) -> None:
        if self._ended is not None:
            return
        self._ended = error
        self._ready.set()  # whoever waits for it finds out
        self._events.fail(error)
        for _, answered in self._asked.values():
            if not answered.done():
                answered.set_exception(error)

    async def close(self) -> None:
        """Leave for good."""
        self._reconnect = False
        if self._socket is not None:
            await self._socket.close()

    async def drop(self) -> None:
        """Cut the connection without a goodbye, as a network would; it comes back by itself."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def until_ready(self) -> None:
        """Wait for the first welcome, 30 s at most; raise what ended the connection instead."""
        async with asyncio.timeout(REPLY_S):
            await self._ready.wait()
        if self._ended is not None:
            raise self._ended
