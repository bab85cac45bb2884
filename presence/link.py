"""Runs the Lua scripts: by their hash, with a timeout, and only while Redis answers.

store, writer, lease, reaper ─▶ RedisLink ─▶ Redis. After the first failure all callers get
StoreUnavailable at once until the lease loop gets a reply again: a slow Redis costs one timeout,
not one per caller.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from itertools import count
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from presence.model import PresenceState, Status, without_times
from presence.settings import PresenceSettings
from presence.stall_safe_timeout import TimeSpent, stall_safe_timeout
from presence.store import StoreUnavailable

log = logging.getLogger(__name__)

Arg = str | int

MAX_CONCURRENT = 16
"""Limit of concurrent round trips. The client opens a connection for each, at most 100; without the
limit, 101 people who choose a status at the same time would look like an outage of Redis."""


class RedisLink:
    """Access to Redis under this node's current incarnation.

    An incarnation is the node's name and the time at which it began to hold its lease. After a lost
    lease a new incarnation begins, so that Redis ignores writes of the old one.
    """

    def __init__(self, redis: Redis, node: str, settings: PresenceSettings) -> None:
        self._redis = redis
        self._settings = settings
        self._node = node
        self._nonces = count(1)
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        self.incarnation = ""
        self.ready = asyncio.Event()
        """Set while Redis answers in time for callers, and our lease is held."""
        self.reachable = asyncio.Event()
        """Set while Redis answers at all, and our lease is held: what the node owns is written."""
        self.failed = asyncio.Event()
        """Set when a command failed and the lease loop should check Redis at once."""
        self.begin_incarnation()

    def begin_incarnation(self) -> None:
        """Begin a new incarnation; Redis gives up what the old one owned."""
        self.incarnation = f"{self._node}:{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"

    def nonce(self) -> str:
        """Return a unique name for one change, by which Redis recognises a repetition."""
        return f"{self.incarnation}/{next(self._nonces)}"

    def fail(self, why: str) -> None:
        """Refuse all calls until the lease loop gets a reply."""
        self.reachable.clear()
        self._too_slow(why)

    def _too_slow(self, why: str) -> None:
        """Refuse callers until the lease loop gets a reply in time."""
        if self.ready.is_set():
            log.warning("presence: Redis unavailable node=%s why=%s", self.incarnation, why)
        self.ready.clear()
        self.failed.set()

    async def run(
        self, script: str, *args: Arg, nonce: str = "", me: str = "", patient: bool = False
    ) -> Any:
        """Run one script; raises StoreUnavailable. Nobody waits for a patient one."""
        gate = self.reachable if patient else self.ready
        if not gate.is_set():
            raise StoreUnavailable
        call = self._call(script, nonce, me or self.incarnation, args)
        return (await self._run_queued([call], gate))[0]

    async def probe(self, script: str, *args: Arg) -> tuple[Any, bool]:
        """Run one script whether or not Redis answers; return also if a caller could have waited.

        It is not queued: waiting behind other calls could cost the lease.
        """
        call = self._call(script, "", self.incarnation, args)
        spent = TimeSpent()
        [answer] = await self._bounded([call], spent, patient=True)
        return answer, spent.seconds <= self._settings.command_timeout_s

    async def run_many(self, script: str, calls: Iterable[Sequence[Arg]]) -> list[Any]:
        """Run one script several times in one round trip; raises StoreUnavailable."""
        if not self.ready.is_set():
            raise StoreUnavailable
        return await self._run_queued(
            [self._call(script, "", self.incarnation, args) for args in calls], self.ready
        )

    async def _run_queued(self, calls: list[tuple[Arg, ...]], gate: asyncio.Event) -> list[Any]:
        """Wait for a connection; after one call fails, all waiting calls are refused."""
        async with self._slots:
            if not gate.is_set():
                raise StoreUnavailable
            return await self._bounded(calls, patient=gate is self.reachable)

    def parse_row(self, row: Any) -> PresenceState:
        """Parse one row of a script's reply."""
        user_id, status, since, version, until, seen, text = text_of(row).split("\x1f", 6)
        found = PresenceState(
            user_id=int(user_id),
            status=cast("Status", status),
            since=_moment(since),
            text=text or None,
            version=int(version),
            until=_moment(until),
            last_seen=_moment(seen),
        )
        return found if self._settings.show_last_seen else without_times(found)

    def parse_rows(self, rows: Sequence[Any]) -> list[PresenceState]:
        """Parse all rows of a script's reply."""
        return [self.parse_row(row) for row in rows]

    def _call(self, script: str, nonce: str, me: str, args: Sequence[Arg]) -> tuple[Arg, ...]:
        own = self._settings
        return (
            script,
            f"{own.key_prefix}nodes",
            f"{own.key_prefix}graves",
            own.key_prefix,
            milliseconds(own.grace_s),
            milliseconds(own.call_max_s),
            milliseconds(own.forget_s),
            me,
            nonce,
            *args,
        )

    async def _bounded(
        self, calls: list[tuple[Arg, ...]], spent: TimeSpent | None = None, *, patient: bool
    ) -> list[Any]:
        cancelled_before = _cancellations()
        own = self._settings
        try:
            timeout_s = own.patience_s if patient else own.command_timeout_s
            async with stall_safe_timeout(timeout_s, spent):
                answers = await self._evaluate(calls)
        except TimeoutError as error:
            # A caller gave up: those for whom nobody waits may still get their answers.
            (self.fail if patient else self._too_slow)(repr(error))
            _raise_swallowed_cancellation(cancelled_before)
            raise StoreUnavailable(str(error)) from error
        except (RedisError, OSError) as error:
            self.fail(repr(error))
            _raise_swallowed_cancellation(cancelled_before)
            raise StoreUnavailable(str(error)) from error
        _raise_swallowed_cancellation(cancelled_before)
        return answers

    async def _evaluate(self, calls: list[tuple[Arg, ...]]) -> list[Any]:
        answers = await self._pipeline(calls)
        if any(isinstance(one, NoScriptError) for one in answers):
            for name in {str(call[0]) for call in calls}:
                await self._redis.script_load(_source(name)[1])
            answers = await self._pipeline(calls)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _pipeline(self, calls: list[tuple[Arg, ...]]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for name, *args in calls:
            pipeline.execute_command("EVALSHA", _source(str(name))[0], 2, *args)
        return await pipeline.execute(raise_on_error=False)


def milliseconds(seconds: float) -> int:
    """Return milliseconds, the unit of the scripts."""
    return round(seconds * 1000)


def text_of(value: Any) -> str:
    """Return a string, whether or not the client decodes replies."""
    return value.decode() if isinstance(value, bytes) else str(value)


def epoch_ms(moment: datetime) -> int:
    """Return a time as the scripts store it: ms since 1970."""
    return round(moment.timestamp() * 1000)


def _moment(ms: str) -> datetime | None:
    return datetime.fromtimestamp(int(ms) / 1000, UTC) if ms else None


def _raise_swallowed_cancellation(before: int) -> None:
    """Raise it if this task was cancelled since its count of cancellations was `before`.

    Python 3.11's wait_for, in which redis-py writes, swallows a cancellation that meets the end of
    its work, or its failure (github.com/python/cpython/issues/86296); the count remembers it.
    """
    if _cancellations() > before:
        raise asyncio.CancelledError


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task else 0


@cache
def _source(name: str) -> tuple[str, str]:
    scripts = resources.files("presence") / "scripts"
    text = "\n".join((scripts / f"{file}.lua").read_text("utf-8") for file in ("_people", name))
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), text
