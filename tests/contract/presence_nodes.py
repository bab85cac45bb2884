"""Nodes to test presence with: in this process or killed like one, and what they announced."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from redis.asyncio import Redis

from presence import PresenceSettings, PresenceState, RedisPresence

FAST = PresenceSettings(
    lease_ttl_s=0.8,
    renew_s=0.15,
    grace_s=0.3,
    reap_batch=50,
    reap_pause_s=0.001,
    command_timeout_s=0.6,
    retry_max_s=0.1,
)
STEADY = replace(FAST, lease_ttl_s=60.0, background_timeout_s=FAST.command_timeout_s)
"""Of a node that lives: however long a busy machine lets it stand still, it is not given up."""
PATIENCE_S = 15.0  # far more than anything here takes; reaching it is a failure
ROOT = Path(__file__).parents[2]


class ChangeRecorder:
    """Everything announced, in order, and a way to wait for it."""

    def __init__(self) -> None:
        self.changes: list[PresenceState] = []
        self._more = asyncio.Condition()

    async def __call__(self, changes: list[PresenceState]) -> None:
        async with self._more:
            self.changes.extend(changes)
            self._more.notify_all()

    async def until(self, *wanted: tuple[int, str]) -> None:
        """Wait until each (user, status) was announced after this call began or before it."""
        async with asyncio.timeout(PATIENCE_S), self._more:
            await self._more.wait_for(lambda: set(wanted) <= set(self.statuses()))

    async def until_count(self, user_id: int, times: int) -> None:
        """Wait until this many changes of one person were announced."""
        async with asyncio.timeout(PATIENCE_S), self._more:
            await self._more.wait_for(lambda: len(self.of(user_id)) >= times)

    def statuses(self) -> list[tuple[int, str]]:
        return [(one.user_id, one.status) for one in self.changes]

    def of(self, user_id: int) -> list[str]:
        return [one.status for one in self.changes if one.user_id == user_id]

    def count(self, status: str) -> Counter[int]:
        return Counter(one.user_id for one in self.changes if one.status == status)

    def versions(self, user_id: int) -> list[int]:
        return [one.version for one in self.changes if one.user_id == user_id]


async def eventually(true: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for a condition that nobody announces."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = true()
        if answer if isinstance(answer, bool) else await answer:
            return
        assert time.monotonic() < deadline, "it did not become true"
        await asyncio.sleep(0.01)


async def abandon(store: RedisPresence) -> None:
    """End a node as a crash would: no goodbye, no more renewals."""
    for task in store._tasks:
        task.cancel()
    await asyncio.gather(*store._tasks, return_exceptions=True)
    store._tasks.clear()
    if store._grace:
        store._grace.cancel()


class NodeProcess:
    """A node in a process of its own, to be killed and paused."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child

    @classmethod
    async def start(cls, url: str, node: str, users: range) -> NodeProcess:
        """Return when its people have arrived."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.contract.presence_nodes", url, node),
            *(str(users.start), str(users.stop)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        process = cls(child)
        await process.until_line("ready")
        return process

    async def until_line(self, wanted: str) -> None:
        """Read its announcements until this one."""
        assert self._child.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            while line := await self._child.stdout.readline():
                if line.decode().strip() == wanted:
                    return
        raise AssertionError(f"it ended without saying {wanted}")

    def pause(self) -> None:
        self._child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._child.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """SIGKILL; harmless when repeated."""
        if self._child.returncode is None:
            os.kill(self._child.pid, signal.SIGKILL)
        await self._child.wait()
        if self._child.stdout is not None:
            await self._child.stdout.read()


class Nodes:
    """Opens nodes, and closes those a test left open."""

    def __init__(self, redis: Redis, url: str) -> None:
        self.redis = redis
        self.url = url
        self.recorder = ChangeRecorder()
        self._stack = AsyncExitStack()

    async def open(
        self, name: str, recorder: ChangeRecorder | None = None, settings: PresenceSettings = STEADY
    ) -> RedisPresence:
        redis = await self._stack.enter_async_context(Redis.from_url(self.url))
        store = RedisPresence(
            redis, node=name, on_change=recorder or self.recorder, settings=settings
        )
        await store.open()
        self._stack.push_async_callback(store.close)
        return store

    async def process(self, name: str, users: range) -> NodeProcess:
        process = await NodeProcess.start(self.url, name, users)
        self._stack.push_async_callback(process.kill)
        return process

    async def close(self) -> None:
        await self._stack.aclose()

    async def dead_are_reaped(self) -> None:
        async def none_left() -> bool:
            return await self.redis.zcard("{presence}:nodes") > 0 and not await self.redis.exists(
                "{presence}:graves"
            )

        await eventually(none_left)


@asynccontextmanager
async def nodes_at(url: str) -> AsyncIterator[Nodes]:
    """Give a place to open nodes in."""
    async with Redis.from_url(url) as redis:
        nodes = Nodes(redis, url)
        try:
            yield nodes
        finally:
            await nodes.close()


async def _live(url: str, node: str, first: int, end: int) -> None:
    async def say(changes: list[PresenceState]) -> None:
        for one in changes:
            print(one.user_id, one.status, flush=True)  # noqa: T201 - read by Process.says

    async with Redis.from_url(url) as redis:
        store = RedisPresence(redis, node=node, on_change=say, settings=FAST)
        await store.open()
        await asyncio.gather(*(store.arrive(user, "web") for user in range(first, end)))
        print("ready", flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_live(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
