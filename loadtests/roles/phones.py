"""Softphones that ring, and PBXs that make them ring."""

from __future__ import annotations

import itertools
import random
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from locust import FastHttpUser, between, constant
from locust.exception import StopUser

from ingest import sign
from loadtests.ami_calls import AmiCall
from loadtests.roles import options
from loadtests.roles.asterisk import Asterisk
from loadtests.roles.calls import EVENT_OF, PARTS, QUEUES, posted_call, timed
from loadtests.roles.connected import LATE_S, ConnectedUser, job, table
from loadtests.roles.errors import Coded, EventLate
from loadtests.roles.rest import checked

TALK_S = (0.5, 2.0)
"""Each of ringing and talking."""


class SoftphoneUser(ConnectedUser):
    """An agent's telephone: waits for calls, and times `call.offered`."""

    weight = 4
    wait_time = between(5, 15)
    kind = "softphone"

    def on_start(self) -> None:
        super().on_start()
        table.calls.connected(self.me.extension)

    def on_stop(self) -> None:
        if self.me is not None:
            table.calls.leaving(self.me.extension)
        super().on_stop()

    @job("read")
    def list_calls(self) -> None:
        self.ask("call.list", limit=20)

    def hear(self, event: dict[str, Any], size: int) -> None:
        for began in table.calls.received(event):
            self.report(event["type"], began, size)


@dataclass(slots=True)
class SharedPbx:
    """What all PBX users of this process share: their Asterisk, and the numbers of callers."""

    asterisk: Asterisk | None = None
    _users: int = 0
    _numbers: Iterator[int] | None = None

    def join(self, ami_port: int) -> bool:
        """Count one more user; the first starts the Asterisk, if there is to be one."""
        self._users += 1
        if not ami_port:
            return True
        if self.asterisk is None:
            self.asterisk = Asterisk(ami_port + table.part)
        return self.asterisk.wait_for_gateway()

    def leave(self) -> None:
        self._users -= 1
        if self.asterisk is not None and not self._users:
            self.asterisk.stop()
            self.asterisk = None

    def number(self) -> int:
        """Return a number that no other process uses, nor a test of the last hours."""
        if self._numbers is None:
            first = round(time.time()) % 10_000 * 1_000 + table.part
            self._numbers = itertools.count(first, table.parts)
        return next(self._numbers)


shared = SharedPbx()


class PbxUser(FastHttpUser):  # type: ignore[misc]  # Locust is not checked
    """A PBX: one whole call after the other, each part a signed batch, or events of AMI."""

    weight = 2
    wait_time = constant(0.1)

    def on_start(self) -> None:
        given = self.environment.parsed_options
        self.source, self.secret = given.pbx_source, options.pbx_secret(given)
        if not shared.join(given.ami_port):
            raise StopUser

    def on_stop(self) -> None:
        shared.leave()

    @job("call")
    def call(self) -> None:
        """Ring a telephone of this process that is idle, answer, hang up."""
        extension = table.calls.take()
        if extension is None:
            time.sleep(0.2)  # gevent's
            return
        number = shared.number()
        call, key = AmiCall(number, extension), uuid.uuid4().hex
        posted = posted_call(key, call.caller, extension, random.choice(QUEUES))
        for part in PARTS:
            table.calls.sent(call.caller, part, extension)
            began = time.perf_counter()
            if shared.asterisk is None:
                self._post(timed(posted[part], key, part))
            else:
                shared.asterisk.play(number, extension, part)
            if not table.calls.wait_for(call.caller, part, LATE_S):
                self._late(EVENT_OF[part], began)
            time.sleep(random.uniform(*TALK_S))  # gevent's
        table.calls.call_over(extension)

    def _post(self, events: list[dict[str, Any]]) -> None:
        body = orjson.dumps(events)
        message_id, now = uuid.uuid4().hex, int(time.time())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": sign(
                body, message_id=message_id, timestamp=now, secret=self.secret
            ),
        }
        path = "/v1/telephony/events"
        with checked(
            self.client, "POST", f"{path}?source={self.source}", path, data=body, headers=headers
        ) as answer:
            if answer is not None and answer["rejected"]:
                raise RuntimeError(answer["rejected"][0]["code"])

    def _late(self, name: str, began: float) -> None:
        self.environment.events.request.fire(
            request_type="WS",
            name=name,
            response_time=(time.perf_counter() - began) * 1_000,
            response_length=0,
            exception=Coded(EventLate()),
            context={},
        )
