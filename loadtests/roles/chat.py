"""Chat users: pairs who write, read, search and come back."""

from __future__ import annotations

import random
import time
import uuid
from typing import Any

from locust import between
from locust.exception import StopUser

from loadtests.roles.connected import LATE_S, ConnectedUser, job, table
from loadtests.roles.errors import EventLate

WORDS = ("передзвонити", "клієнту", "рахунок", "договір", "доставка", "завтра", "замовлення")


class ChatUser(ConnectedUser):
    """Someone at work: connected all day, reading more than writing."""

    weight = 13
    """All weights make 23: a prime, so that Locust's turns spread each class over all processes."""
    wait_time = between(1, 3)
    pair: Any = None

    def sit_down(self) -> None:
        self.pair, self.side = table.seats(self.environment).take_side()
        self.me, self.other = self.pair.players[self.side], self.pair.players[1 - self.side]
        self.heard = 0
        self.change = 0

    def stand_up(self) -> None:
        table.seats(self.environment).release_side(self.pair, self.side)

    def on_start(self) -> None:
        super().on_start()
        opened = self.ask("conversation.open", employee_id=self.other.employee_id)
        if opened is None:
            raise StopUser
        self.conversation = opened.ok["conversation"]["id"]
        self.change = max(self.change, opened.ok["conversation"]["last_change"])
        self.pair.conversation_id = self.conversation
        self.pair.hearing.add(self.me.employee_id)

    def on_stop(self) -> None:
        """Wait for deliveries under way, then close."""
        if self.pair is not None:
            self._finish_hearing()
        super().on_stop()

    @job("write", 10)
    def write(self) -> None:
        """Send one message; the receiving user measures the delivery time."""
        key = str(uuid.uuid4())
        if self.other.employee_id in self.pair.hearing:
            self.pair.sent[key] = (time.perf_counter(), self.other.employee_id)
        text = " ".join(random.choices(WORDS, k=random.randint(3, 20)))
        sent = None
        try:
            sent = self.ask(
                "message.send", conversation_id=self.conversation, client_key=key, text=text
            )
        finally:
            if sent is None:
                self.pair.sent.pop(key, None)
        self._count_late()

    @job("write", 5)
    def type_a_little(self) -> None:
        self.ask("typing.start", conversation_id=self.conversation)

    @job("read", 6)
    def read(self) -> None:
        """Say what has been read, if anything came."""
        if self.heard:
            self.ask("receipt.read", conversation_id=self.conversation, seq=self.heard)

    @job("read", 4)
    def look_back(self) -> None:
        self.ask("message.history", conversation_id=self.conversation, limit=50)

    @job("read", 2)
    def list_conversations(self) -> None:
        self.ask("conversation.list", limit=20)

    @job("read", 2)
    def count_unread(self) -> None:
        self.ask("unread.get")

    @job("search", 1)
    def search(self) -> None:
        self.ask("message.search", text=random.choice(WORDS), limit=20)

    @job("reconnect", 1)
    def reconnect(self) -> None:
        """Close, and come back with the position: nothing may be missing."""
        assert self.socket is not None
        self._finish_hearing()
        self.socket.close()
        if not self.connect({str(self.conversation): self.change}):
            raise StopUser
        self.pair.hearing.add(self.me.employee_id)

    def hear(self, event: dict[str, Any], size: int) -> None:
        if isinstance(event.get("change"), int):
            self.change = max(self.change, event["change"])
        if event["type"] != "message.created":
            return
        message = event["message"]
        if message["sender_id"] == self.me.employee_id:
            return
        self.heard = max(self.heard, message["seq"])
        began, _ = self.pair.sent.pop(message["client_key"], (None, 0))
        if began is not None:
            self.report("deliver", began, size)

    def _finish_hearing(self) -> None:
        """Let nobody expect that this user hears more, after what is under way has come."""
        self.pair.hearing.discard(self.me.employee_id)
        deadline = time.perf_counter() + LATE_S
        while self._under_way() and time.perf_counter() < deadline:
            if self.socket is None or self.socket.lost is not None:
                break
            time.sleep(0.01)  # gevent's: the reader goes on
        self._count_late(now=True)

    def _under_way(self) -> bool:
        return any(to == self.me.employee_id for _, to in self.pair.sent.values())

    def _count_late(self, *, now: bool = False) -> None:
        """Report what did not come to this user; with now, also what could still come."""
        long_ago = time.perf_counter() - LATE_S
        for key, (began, to) in list(self.pair.sent.items()):
            if to == self.me.employee_id and (now or began < long_ago):
                del self.pair.sent[key]
                self.report("deliver", began, error=EventLate())
