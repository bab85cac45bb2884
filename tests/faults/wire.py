"""A client's socket that records what arrives before the client handles it.

users ─▶ RecordingConnection (gateway.client) ─▶ History. The client drops repeats and requests what
it missed; the gateway's promises are checked by what it sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from loadtests.messenger.client import RoamingSocket
from tests.faults.history import History, ObservedSession, Retry
from tests.faults.received_events import ReceivedEvent


class RecordingSocket(RoamingSocket):
    """One reader's way in; `ways` is address → worker.

    The first one is home: whoever has lost it tries another one, then home, then a third …
    """

    def __init__(
        self,
        ways: Mapping[str, int],
        token: str,
        *,
        reader: int,
        history: History,
        welcomed: Callable[[], None],
    ) -> None:
        home, *others = ways
        super().__init__([url for other in others or [home] for url in (home, other)], token)
        self._home = home
        self._workers = ways
        self._reader = reader
        self._history = history
        self._tell = welcomed
        self.session: ObservedSession | None = None

    async def go_home(self) -> None:
        """Come back to the first address, if this is another one."""
        if self.session is not None and self.url != self._home:
            self.drop()

    def _welcomed(self, ok: dict[str, Any], resumed: dict[int, int]) -> None:
        reload = set(ok["reload"])
        positions = {one["id"]: one["last_change"] for one in ok["conversations"]}
        followed = {cid: position for cid, position in resumed.items() if cid not in reload}
        listed = frozenset(positions.keys() - followed.keys())
        self.session = ObservedSession(
            len(self._history.sessions),
            self._reader,
            self._workers[self.url],
            time.monotonic(),
            positions | followed,
            listed,
        )
        self._history.sessions.append(self.session)
        for events in ok["changes"].values():
            for event in events:
                self._note(event, "resume")
        super()._welcomed(ok, resumed)
        self._tell()

    def _receive(self, frame: dict[str, Any], outgoing: asyncio.Queue[str]) -> None:
        if frame.get("change"):
            self._note(frame, "live")
        super()._receive(frame, outgoing)

    async def _wait(self, delay_s: float, code: int, reason: str) -> None:
        worker = self._workers[self.url]
        self._history.retries.append(
            Retry(self._reader, worker, time.monotonic(), f"{code} {reason}", delay_s)
        )
        await super()._wait(delay_s, code, reason)

    def _drop(self) -> None:
        if self.session is not None and self.session.ended_at is None:
            self.session.ended_at = time.monotonic()
        super()._drop()

    def _note(self, event: dict[str, Any], how: Any) -> None:
        cid = event.get("conversation_id")
        if cid is None or self.session is None or event["type"] == "conversation.created":
            return  # the last one is a snapshot, as of the change that let somebody in
        message = event.get("message") if event["type"] == "message.created" else None
        key = message and message.get("client_key")
        self._history.received.append(
            ReceivedEvent(
                self.session.number,
                self._reader,
                cid,
                event["change"],
                time.monotonic(),
                how,
                event["type"],
                message and message["seq"],
                UUID(key) if key else None,
                message["text"] if message else "",
            )
        )
