"""Chat users for Locust: pairs who write to each other every 1 to 3 s.

`python -m loadtests locust` starts a gateway and runs this without a page. To use Locust's own page
on port 8089 with a running `gateway dev`:

    .venv/bin/locust -f loadtests/locustfile.py --host http://127.0.0.1:8080

Use one process only: both users of a pair must be in it to time a delivery.
"""

from __future__ import annotations

import os
import random
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from locust import User, between, events, task
from locust.exception import StopUser

from loadtests import test_users
from loadtests.chat_socket import ChatSocket, CommandRefused, SocketLost
from loadtests.test_users import SignedInUser

CAST = "LOADTEST_CAST"
FIGURES = "LOADTEST_FIGURES"
LATE_S = 5.0
"""A message that the other user has not received by then counts as lost."""


@dataclass(slots=True)
class Pair:
    """Two people, and the messages between them that are under way."""

    players: tuple[SignedInUser, SignedInUser]
    conversation_id: int = 0
    hearing: set[int] = field(default_factory=set)
    """Employees who are connected and not about to leave."""
    sent: dict[str, float] = field(default_factory=dict)
    """client_key → when it was sent, of messages that the other user should receive."""


class Seats:
    """Gives each new user the next place; a pair's two places follow each other."""

    def __init__(self) -> None:
        self._pairs: list[Pair] | None = None
        self._free: Iterator[tuple[Pair, int]] = iter(())
        self._turns = threading.Lock()  # signing in waits for the network: users overtake

    def take(self, host: str | None) -> tuple[Pair, int]:
        with self._turns:
            return self._take(host)

    def _take(self, host: str | None) -> tuple[Pair, int]:
        if self._pairs is None:
            players = self._players(host)
            self._pairs = [
                Pair((one, other)) for one, other in zip(players[::2], players[1::2], strict=False)
            ]
            self._free = ((pair, side) for pair in self._pairs for side in (0, 1))
        try:
            return next(self._free)
        except StopIteration:
            raise StopUser(f"There are only {len(self._pairs)} pairs of employees.") from None

    def empty(self) -> None:
        """Let everyone stand up: a test begins."""
        self._pairs = None

    @staticmethod
    def _players(host: str | None) -> list[SignedInUser]:
        if CAST in os.environ:
            return test_users.read(Path(os.environ[CAST]))
        return test_users.sign_in((host or "http://127.0.0.1:8080").rstrip("/"))


seats = Seats()
latencies: dict[str, list[float]] = {}
failures: list[str] = []


class ChatUser(User):  # type: ignore[misc]  # Locust is not checked
    """Someone at work: connected all day, writing now and then."""

    wait_time = between(1, 3)
    pair: Pair
    socket: ChatSocket | None = None

    def on_start(self) -> None:
        self.pair, side = seats.take(self.host)
        self.me, self.other = self.pair.players[side], self.pair.players[1 - side]
        began = time.perf_counter()
        try:
            self.socket = ChatSocket(self.me.url, self._hear)
            self.socket.request("hello", token=self.me.token)
        except (CommandRefused, SocketLost, OSError) as error:
            self._report("hello", began, error)
            raise StopUser from error
        self._report("hello", began)
        opened = self._ask("conversation.open", employee_id=self.other.employee_id)
        if opened is None:
            raise StopUser
        self.pair.conversation_id = opened["conversation"]["id"]
        self.pair.hearing.add(self.me.employee_id)

    @task  # type: ignore[untyped-decorator]
    def write(self) -> None:
        """Send one message; the receiving user measures the delivery time."""
        key = str(uuid.uuid4())
        if self.other.employee_id in self.pair.hearing:
            self.pair.sent[key] = time.perf_counter()
        words = "Чи можемо передзвонити клієнту сьогодні? " * random.randint(1, 3)
        sent = self._ask(
            "message.send",
            conversation_id=self.pair.conversation_id,
            client_key=key,
            text=words.strip(),
        )
        if sent is None:
            self.pair.sent.pop(key, None)
        self._count_late()
        if self.socket is None or self.socket.lost is not None:
            raise StopUser

    def on_stop(self) -> None:
        """Wait for deliveries under way, then close."""
        if self.socket is None:
            return
        self.pair.hearing.discard(self.me.employee_id)
        deadline = time.perf_counter() + LATE_S
        while self.pair.sent and self.socket.lost is None and time.perf_counter() < deadline:
            time.sleep(0.01)
        self._count_late()
        self.socket.close()

    def _ask(self, command: str, **fields: Any) -> dict[str, Any] | None:
        """Run a command and report how long its reply took; None when it failed."""
        assert self.socket is not None
        began = time.perf_counter()
        try:
            answer = self.socket.request(command, **fields)
        except (CommandRefused, SocketLost) as error:
            self._report(command, began, error)
            return None
        self._report(command, began)
        return answer

    def _hear(self, event: dict[str, Any]) -> None:
        if event["type"] != "message.created":
            return
        message = event["message"]
        if message["sender_id"] == self.me.employee_id:
            return
        began = self.pair.sent.pop(message["client_key"], None)
        if began is not None:
            self._report("deliver", began)

    def _count_late(self) -> None:
        long_ago = time.perf_counter() - LATE_S
        for key, began in list(self.pair.sent.items()):
            if began < long_ago:
                del self.pair.sent[key]
                self._report("deliver", began, SocketLost(f"not delivered within {LATE_S:.0f} s"))

    def _report(self, name: str, began: float, error: Exception | None = None) -> None:
        self.environment.events.request.fire(
            request_type="WS",
            name=name,
            response_time=(time.perf_counter() - began) * 1_000,
            response_length=0,
            exception=error,
            context={},
        )


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def _begin(**_: Any) -> None:
    seats.empty()


@events.request.add_listener  # type: ignore[untyped-decorator]
def _note(name: str, response_time: float, exception: Exception | None, **_: Any) -> None:
    """Write exact times for the scenario: Locust's own statistics round to a millisecond."""
    if FIGURES not in os.environ:
        return
    if exception is None:
        latencies.setdefault(name, []).append(response_time)
    else:
        failures.append(f"{name}: {exception}")


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def _leave_figures(**_: Any) -> None:
    if FIGURES in os.environ:
        found = {"latencies_ms": latencies, "failures": failures}
        Path(os.environ[FIGURES]).write_bytes(orjson.dumps(found))
