"""Supervisors, who watch queues and read statistics; back ends of CRMs, which use REST."""

from __future__ import annotations

import random
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from locust import FastHttpUser, between
from locust.exception import StopUser

from loadtests.roles.chat import WORDS
from loadtests.roles.connected import ConnectedUser, job, table
from loadtests.roles.rest import checked
from loadtests.roles.seats import NoSeat

STATS = "/v1/telephony/stats"
MESSENGER = "/v1/messenger"


class SupervisorUser(ConnectedUser, FastHttpUser):  # type: ignore[misc]  # Locust is not checked
    """Watches all queues, and looks at the statistics of the last days."""

    weight = 1
    wait_time = between(2, 6)

    def on_start(self) -> None:
        super().on_start()
        if self.ask("queue.watch", queues="all", agents=True) is None:
            raise StopUser

    @job("statistics", 3)
    def look_at_statistics(self) -> None:
        """Ask for one of the three; the time zone and the days as a page would."""
        kind = random.choice(("overview", "agents", "queues"))
        since = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=7)
        query = f"since={quote(since.isoformat())}&tz=Europe/Kyiv"
        self._get(f"{STATS}/{kind}?{query}", f"{STATS}/{kind}")

    @job("read", 1)
    def list_queues_and_agents(self) -> None:
        for kind in ("queues", "agents"):
            self._get(f"/v1/telephony/{kind}", f"/v1/telephony/{kind}")

    def hear(self, event: dict[str, Any], size: int) -> None:
        """Count what the wallboard brings; it is told at most once a second, so it has no time."""
        if event["type"] in {"queue.changed", "agent.state_changed"}:
            self.report(event["type"], None, size)

    def _get(self, path: str, name: str) -> None:
        headers = {"Authorization": f"Bearer {self.me.token}"}
        with checked(self.client, "GET", path, name, headers=headers):
            pass


class BackendUser(FastHttpUser):  # type: ignore[misc]  # Locust is not checked
    """A CRM that acts for its employees over REST."""

    weight = 3
    wait_time = between(0.5, 2)
    me: Any = None

    def on_start(self) -> None:
        """Become two employees: one asks, and writes to the other."""
        seats = table.seats(self.environment)
        try:
            self.pair, self.side = seats.take_side()
        except NoSeat as error:
            self.environment.events.request.fire(
                request_type="WS", name="seat", response_time=0, response_length=0,
                exception=error, context={},
            )  # fmt: skip
            raise StopUser from error
        self.me, self.other = self.pair.players[self.side], self.pair.players[1 - self.side]
        body = {"employee_id": self.other.employee_id}
        opened = self._ask("POST", f"{MESSENGER}/conversations", json=body)
        if opened is None:
            raise StopUser
        self.conversation = opened["conversation"]["id"]

    def on_stop(self) -> None:
        if self.me is not None:
            table.seats(self.environment).release_side(self.pair, self.side)
            self.me = None

    @job("write", 3)
    def write(self) -> None:
        body = {
            "client_key": str(uuid.uuid4()),
            "text": f"{random.choice(WORDS)} {time.time():.0f}",
        }
        self._ask(
            "POST", f"{MESSENGER}/conversations/{self.conversation}/messages",
            name=f"{MESSENGER}/conversations/{{id}}/messages", json=body,
        )  # fmt: skip

    @job("read", 3)
    def count_unread(self) -> None:
        self._ask("GET", f"{MESSENGER}/unread-count")

    @job("read", 2)
    def list_conversations(self) -> None:
        self._ask("GET", f"{MESSENGER}/conversations")

    @job("read", 2)
    def list_calls(self) -> None:
        self._ask("GET", "/v1/telephony/calls")

    @job("read", 2)
    def look_up(self) -> None:
        number = f"+38050{random.randrange(10**7):07d}"
        self._ask(
            "GET", f"/v1/telephony/lookup?number={quote(number)}", name="/v1/telephony/lookup"
        )

    def _ask(self, method: str, path: str, *, name: str | None = None, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.me.token}"}
        with checked(self.client, method, path, name or path, headers=headers, **more) as answer:
            return answer
