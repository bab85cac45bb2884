"""One blocking WebSocket of a user; under Locust, gevent makes its waits cooperative.

roles ─▶ ChatSocket ─▶ gateway. A separate reader (a thread; under gevent a greenlet) passes
replies to their callers, answers pings, and passes events on.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import websocket

from gateway.protocol import SUBPROTOCOL
from loadtests.roles.errors import LOST, REPLY_LATE, CommandRefused, SocketLost

REPLY_S = 10.0

OnEvent = Callable[[dict[str, Any], int], None]
"""Takes an event and its bytes."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command returned, and how many bytes its frame had."""

    ok: dict[str, Any]
    size: int


class ChatSocket:
    """Connected once constructed; say hello first."""

    def __init__(self, url: str, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._ids = itertools.count(1)
        self._answers: dict[int, queue.SimpleQueue[tuple[dict[str, Any], int] | None]] = {}
        self._closing = False
        self.lost: str | None = None
        """The code of why the connection ended without being closed by us."""
        self._socket = websocket.create_connection(
            url, timeout=REPLY_S, subprotocols=[SUBPROTOCOL], enable_multithread=True
        )
        self._socket.settimeout(None)  # the gateway's pings say whether it lives
        self._reader = threading.Thread(target=self._read, name="chat-reader", daemon=True)
        self._reader.start()

    def request(self, type_: str, **fields: Any) -> Reply:
        """Send a command and wait for its reply; Refused or Lost when there is no good one."""
        number = next(self._ids)
        answer: queue.SimpleQueue[tuple[dict[str, Any], int] | None] = queue.SimpleQueue()
        self._answers[number] = answer
        try:
            if self.lost is not None:
                raise SocketLost(self.lost)
            self._send_command({"type": type_, "id": number, **fields})
            received = answer.get(timeout=REPLY_S)
        except queue.Empty:
            raise SocketLost(REPLY_LATE) from None
        finally:
            del self._answers[number]
        if received is None:
            raise SocketLost(self.lost or LOST)
        frame, size = received
        if "error" in frame:
            raise CommandRefused(frame["error"]["code"], frame["error"]["message"])
        return Reply(frame["ok"], size)

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
            raise SocketLost(LOST) from error

    def _read(self) -> None:
        try:
            while True:
                opcode, data = self._socket.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    self._ended(f"connection.{_close_code(data)}")
                    return
                frame = orjson.loads(data)
                items = frame if isinstance(frame, list) else [frame]
                for item in items:
                    self._handle(item, len(data) // len(items))
        except (websocket.WebSocketException, OSError, SocketLost):
            self._ended(LOST)

    def _handle(self, frame: dict[str, Any], size: int) -> None:
        number = frame.get("id")
        if number is not None:
            answer = self._answers.get(number)
            if answer is not None:
                answer.put((frame, size))
        elif frame["type"] == "ping":
            self._send_command({"type": "pong"})
        else:
            self._on_event(frame, size)

    def _ended(self, code: str) -> None:
        if not self._closing:
            self.lost = code
        for answer in self._answers.values():
            answer.put(None)


def _close_code(data: bytes) -> int:
    return int.from_bytes(data[:2], "big") if len(data) >= 2 else 1005
