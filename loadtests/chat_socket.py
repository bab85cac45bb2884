"""One blocking WebSocket of a chat user; under Locust, gevent makes its waits cooperative.

ChatUser ─▶ ChatSocket ─▶ gateway. A separate reader (a thread; under gevent a greenlet) passes
replies to their callers, answers pings, and passes events on.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable
from typing import Any

import orjson
import websocket

from gateway.protocol import SUBPROTOCOL

REPLY_S = 10.0

OnEvent = Callable[[dict[str, Any]], None]


class CommandRefused(Exception):
    """The gateway answered with an error."""


class SocketLost(Exception):
    """The connection ended, or an answer did not come."""


class ChatSocket:
    """Connected once constructed; say hello first."""

    def __init__(self, url: str, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._ids = itertools.count(1)
        self._answers: dict[int, queue.SimpleQueue[dict[str, Any] | None]] = {}
        self._closing = False
        self.lost: str | None = None
        """Why the connection ended without being closed by us."""
        self._socket = websocket.create_connection(
            url, timeout=REPLY_S, subprotocols=[SUBPROTOCOL], enable_multithread=True
        )
        self._socket.settimeout(None)  # the gateway's pings say whether it lives
        self._reader = threading.Thread(target=self._read, name="chat-reader", daemon=True)
        self._reader.start()

    def request(self, type_: str, **fields: Any) -> dict[str, Any]:
        """Send a command and wait for its reply; Refused or Lost when there is no good one."""
        number = next(self._ids)
        answer: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._answers[number] = answer
        try:
            if self.lost is not None:
                raise SocketLost(self.lost)
            self._send_command({"type": type_, "id": number, **fields})
            frame = answer.get(timeout=REPLY_S)
        except queue.Empty:
            raise SocketLost(f"no answer to {type_} within {REPLY_S:.0f} s") from None
        finally:
            del self._answers[number]
        if frame is None:
            raise SocketLost(self.lost or "closed")
        if "error" in frame:
            raise CommandRefused(f"{frame['error']['code']}: {frame['error']['message']}")
        ok: dict[str, Any] = frame["ok"]
        return ok

    def close(self) -> None:
        """Close with a handshake and wait for the reader to see the end."""
        self._closing = True
        with contextlib.suppress(websocket.WebSocketException, OSError):
            self._socket.send_close()
        self._reader.join(timeout=2.0)
        self._socket.shutdown()  # type: ignore[no-untyped-call]

    def _send_command(self, frame: dict[str, Any]) -> None:
        try:
            self._socket.send_text(orjson.dumps(frame).decode())
        except (websocket.WebSocketException, OSError) as error:
            raise SocketLost(f"{type(error).__name__}: {error}") from None

    def _read(self) -> None:
        try:
            while True:
                opcode, data = self._socket.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    self._ended(f"closed by the gateway: {_close_code(data)}")
                    return
                frame = orjson.loads(data)
                for item in frame if isinstance(frame, list) else [frame]:
                    self._handle(item)
        except (websocket.WebSocketException, OSError, SocketLost) as error:
            self._ended(f"{type(error).__name__}: {error}")

    def _handle(self, frame: dict[str, Any]) -> None:
        number = frame.get("id")
        if number is not None:
            answer = self._answers.get(number)
            if answer is not None:
                answer.put(frame)
        elif frame["type"] == "ping":
            self._send_command({"type": "pong"})
        else:
            self._on_event(frame)

    def _ended(self, why: str) -> None:
        if not self._closing:
            self.lost = why
        for answer in self._answers.values():
            answer.put(None)


def _close_code(data: bytes) -> int:
    return int.from_bytes(data[:2], "big") if len(data) >= 2 else 1005
