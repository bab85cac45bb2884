"""Attacks over WebSockets: searches through long messages, and watching everything."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from gateway.protocol import SUBPROTOCOL
from loadtests.attacks.plan import AttackPlan, AttackTally

AT_ONCE = (3, 3, 2, 2)
"""Ten searches on four connections."""
WATCHERS = 3
AWAY_S = 0.2
PARSED_BYTES = 10_000
"""A larger frame is an answer; reading it all would be the attacker's own cost."""
NEEDLE = "знайди"
"""The word that all long messages have (queries/attacks.py)."""


async def search(plan: AttackPlan, tally: AttackTally, started: asyncio.Event) -> None:
    """Search for the word of all long messages, ten at a time, as one employee."""
    command = {"type": "message.search", "text": NEEDLE, "limit": 50}
    async with asyncio.TaskGroup() as group:
        for count in AT_ONCE:
            commands = itertools.repeat(command)
            group.create_task(_ask_without_end(plan, commands, count, tally, started))


async def queue_watch(plan: AttackPlan, tally: AttackTally, started: asyncio.Event) -> None:
    """Watch all queues with their agents, and 500 people, again and again."""
    queues: dict[str, Any] = {"type": "queue.watch", "queues": "all", "agents": True}
    people: dict[str, Any] = {"type": "presence.watch", "employee_ids": plan.employee_ids}
    async with asyncio.TaskGroup() as group:
        for _ in range(WATCHERS):
            commands = itertools.cycle((queues, people))
            group.create_task(_ask_without_end(plan, commands, 2, tally, started))


async def _ask_without_end(
    plan: AttackPlan,
    commands: Iterator[dict[str, Any]],
    at_once: int,
    tally: AttackTally,
    started: asyncio.Event,
) -> None:
    """Keep so many commands under way on one connection; replace it when it is closed."""
    while True:
        try:
            async with _Line(plan, tally) as line:
                started.set()
                for _ in range(at_once):
                    await line.send({**next(commands), "id": 1})
                while True:
                    wait_s = await line.reply()
                    asyncio.get_running_loop().call_later(wait_s, line.send_later, next(commands))
        except (ConnectionClosed, OSError):
            tally.closed += 1
            await asyncio.sleep(AWAY_S)


class _Line:
    """One connection with a hello; use it as a context."""

    def __init__(self, plan: AttackPlan, tally: AttackTally) -> None:
        self._dial = connect(
            f"ws://127.0.0.1:{plan.port}/v1/ws",
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            max_size=None,
            ping_interval=None,
        )
        self._token, self._tally = plan.tokens[0], tally
        self._socket: ClientConnection
        self._sending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> _Line:
        self._socket = await self._dial.__aenter__()
        await self.send({"type": "hello", "id": 0, "token": self._token})
        await self.reply()
        self._tally.done -= 1
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await self._dial.__aexit__(*exc)

    async def send(self, command: dict[str, Any]) -> None:
        await self._socket.send(orjson.dumps(command), text=True)

    def send_later(self, command: dict[str, Any]) -> None:
        """Send it in a task: what comes meanwhile is read."""

        async def send() -> None:
            with suppress(ConnectionClosed):
                await self.send({**command, "id": 1})

        task = asyncio.create_task(send())
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def reply(self) -> float:
        """Take the next reply; return for how long to wait: 0 when it was served.

        What else comes is left aside, but pings are answered.
        """
        while True:
            data = await self._socket.recv(decode=False)
            frame = orjson.loads(data) if len(data) < PARSED_BYTES else {"ok": {}}
            for item in frame if isinstance(frame, list) else [frame]:
                if item.get("type") == "ping":
                    await self.send({"type": "pong"})
                if "ok" in item:
                    self._tally.done += 1
                    return 0.0
                if "error" in item:
                    self._tally.refused += 1
                    return float(item["error"].get("retry_after", AWAY_S))
