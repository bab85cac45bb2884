"""What all users with a WebSocket share: an employee, a connection, and reports to Locust.

chat, phones, office ─▶ ConnectedUser ─▶ ChatSocket. `Table` knows who is who in this process.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import websocket
from locust import User, tag, task
from locust.exception import StopUser

from loadtests.chat_socket import ChatSocket, Reply
from loadtests.roles import options
from loadtests.roles.calls import CallBoard
from loadtests.roles.errors import Coded, CommandRefused, SocketLost
from loadtests.roles.seats import NoSeat, Seats, divide

LATE_S = 5.0
"""What an event's receiver does not have by then counts as lost."""

Function = TypeVar("Function", bound=Callable[..., Any])


def job(kind: str, weight: int = 1) -> Callable[[Function], Function]:
    """Make a method one of Locust's tasks, with its tag and its weight in the class."""

    def mark(function: Function) -> Function:
        marked: Function = tag(kind)(task(weight)(function))
        return marked

    return mark


@dataclass(slots=True)
class Table:
    """The seats of this Locust process, and its calls; a new test begins with new ones."""

    part: int = 0
    parts: int = 1
    calls: CallBoard = field(default_factory=CallBoard)
    _seats: Seats | None = None

    def clear(self, part: int, parts: int) -> None:
        """Let this process have one of so many shares of the employees."""
        self.part, self.parts = part, parts
        self.calls = CallBoard()
        self._seats = None

    def seats(self, environment: Any) -> Seats:
        if self._seats is None:
            everybody = options.players(environment.parsed_options)
            self._seats = Seats(divide(everybody, self.parts, self.part))
        return self._seats


table = Table()


class ConnectedUser(User):  # type: ignore[misc]  # Locust is not checked
    """Somebody with a WebSocket."""

    abstract = True
    kind = "web"
    socket: ChatSocket | None = None
    me: Any = None

    def on_start(self) -> None:
        self.device = str(uuid.uuid4())
        try:
            self.sit_down()
        except NoSeat as error:
            self.report("seat", time.perf_counter(), error=error)
            raise StopUser from error
        if not self.connect():
            raise StopUser

    def on_stop(self) -> None:
        if self.socket is not None:
            self.socket.close()
        if self.me is not None:
            self.stand_up()
            self.me = None

    def sit_down(self) -> None:
        """Become an employee; NoSeat."""
        self.me = table.seats(self.environment).take(type(self).__name__)

    def stand_up(self) -> None:
        table.seats(self.environment).release(self.me)

    def connect(self, resume: dict[str, int] | None = None) -> bool:
        """Connect and say hello; return whether that succeeded."""
        began = time.perf_counter()
        try:
            self.socket = ChatSocket(self.me.url, self.hear)
            device = {"id": self.device, "kind": self.kind}
            answer = self.socket.request(
                "hello", token=self.me.token, device=device, resume=resume or {}
            )
        except (CommandRefused, SocketLost, OSError, websocket.WebSocketException) as error:
            self.report("hello", began, error=error)
            return False
        self.report("hello", began, answer.size)
        return True

    def ask(self, command: str, **fields: Any) -> Reply | None:
        """Run a command and report how long its reply took; None when it failed.

        A user whose connection has ended stops; Locust's shape or the page starts another.
        """
        assert self.socket is not None
        began = time.perf_counter()
        try:
            answer = self.socket.request(command, **fields)
        except (CommandRefused, SocketLost) as error:
            self.report(command, began, error=error)
            if self.socket.lost is not None:
                raise StopUser from error
            return None
        self.report(command, began, answer.size)
        return answer

    def hear(self, event: dict[str, Any], size: int) -> None:
        """Take an event, in the reader: it may not run a command."""

    def report(
        self, name: str, began: float | None, size: int = 0, error: Exception | None = None
    ) -> None:
        """Report a request or an event to Locust; without `began` it has no time."""
        took = None if began is None else (time.perf_counter() - began) * 1_000
        self.environment.events.request.fire(
            request_type="WS",
            name=name,
            response_time=took,
            response_length=size,
            exception=None if error is None else Coded(error),
            context={},
        )
