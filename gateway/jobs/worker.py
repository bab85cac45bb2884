"""Claims jobs, runs them, and records how they ended; renews its leases meanwhile.

doorbell, or two seconds ─▶ claim ─▶ JobKind.run ─▶ finish. Every worker with the role `background`
has one. A lease is renewed until the end of its job is stored.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass

import asyncpg
import structlog

from gateway.db import AWAY_ERRORS, Conn
from gateway.errors import GatewayError
from gateway.jobs import backoff, schedules
from gateway.jobs.budgets import Queue, QueueSlots
from gateway.jobs.doorbell import Doorbell
from gateway.jobs.job import Again, Dead, Done, Failed, Job, JobKind, Outcome, Postponed, encode
from gateway.jobs.queries import claims
from gateway.jobs.queries import dead as dead_queries
from gateway.jobs.schedules import Schedule
from gateway.ops.histogram import Histogram

log = structlog.get_logger(__name__)

LEASE_S = 60.0
POLL_S = 2.0
"""Jobs whose doorbell was lost are found within this time."""
REFILL_S = 0.02
"""A queue that has more is asked again when half of its slots are free, or after this."""
STOP_S = 5.0
"""Jobs in work may end within this when the worker stops; others are given back."""
FORGIVEN_LEASES = 2
"""The next one that a job loses is its last: it kills its workers."""
AGAIN_S = 1.0

TEMPORARY = (*AWAY_ERRORS, GatewayError, asyncpg.LockNotAvailableError)
"""Errors after which the end of a job is stored a moment later."""

Connect = Callable[[], AbstractAsyncContextManager[Conn]]


@dataclass(slots=True, eq=False)
class InWork:
    """A claim of this worker whose end is not stored.

    One job may have two for a moment: the next one may come before the last knows of its end.
    """

    job: Job
    task: asyncio.Task[None] | None = None
    ended: bool = False
    """It has run: only its end is to be stored."""
    lost: bool = False
    """Another worker has it."""


class Worker:
    """Runs the jobs of one process."""

    def __init__(
        self,
        connect: Connect,
        doorbell: Doorbell,
        *,
        kinds: Sequence[JobKind],
        queues: Sequence[Queue],
        planned: Sequence[Schedule] = (),
        slots: int = 16,
        lease_s: float = LEASE_S,
    ) -> None:
        self._connect = connect
        self._doorbell = doorbell
        self._kinds = {kind.name: kind for kind in kinds}
        self._queues = {queue.name: QueueSlots(queue, slots) for queue in queues}
        assert {kind.queue for kind in kinds} <= self._queues.keys()
        assert lease_s <= claims.LONGEST_LEASE_S / 2
        self._schedules = [one for one in planned if one.name in self._kinds]
        self._declared = not self._schedules
        self._lease_s = lease_s
        self._in_work: set[InWork] = set()
        self._done: list[tuple[Job, asyncio.Future[None]]] = []
        self._has_done = asyncio.Event()
        self._stopping = False
        self._loops: list[asyncio.Task[None]] = []
        self.seconds: dict[tuple[str, str], Histogram] = defaultdict(Histogram)
        """kind and outcome → how long runs took."""
        self.dead: dict[str, int] = defaultdict(int)
        """kind → jobs that failed for good here."""

    @property
    def kinds(self) -> list[str]:
        """Names of the kinds that this worker runs."""
        return [*self._kinds]

    @property
    def queues(self) -> list[str]:
        """Names of its queues."""
        return [*self._queues]

    # --- starting and stopping -------------------------------------------------------------

    async def __aenter__(self) -> Worker:
        loops = {"claims": self._claim_all(), "ends": self._finish_all(), "leases": self._renew()}
        self._loops = [
            asyncio.create_task(loop, name=f"jobs.{name}") for name, loop in loops.items()
        ]
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Claim no more, let jobs end for a moment, give back the rest: no attempt is counted."""
        self._stopping = True
        self._doorbell.ring_here(0)
        await asyncio.wait(self._loops[:1], timeout=STOP_S)  # a claim under way brings jobs
        if tasks := [one.task for one in self._in_work if one.task is not None]:
            _, late = await asyncio.wait(tasks, timeout=STOP_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=STOP_S)
        for loop in self._loops:
            loop.cancel()
        await asyncio.wait(self._loops, timeout=STOP_S)

    # --- claiming --------------------------------------------------------------------------

    async def _claim_all(self) -> None:
        while not self._stopping:
            try:
                wait_s = await self._claim()
            except Exception as error:  # noqa: BLE001 - an outage: asked again
                log.warning("jobs.not_claimed", error=type(error).__name__)
                wait_s = POLL_S
            await self._doorbell.wait(wait_s)

    async def _claim(self) -> float:
        """Claim what there is room for; return the seconds until something may be due."""
        rooms = {name: queue.room() for name, queue in self._queues.items()}
        async with self._connect() as conn:
            if not self._declared:
                await schedules.declare(conn, self._schedules)
                self._declared = True
            found = await claims.claim(
                conn,
                rooms,
                kinds=self.kinds,
                schedules=[one.name for one in self._schedules],
                lease_s=self._lease_s,
            )
            for name, queue in self._queues.items():
                queue.claimed(sum(job.queue == name for job in found.jobs), rooms[name])
            for job in found.jobs:
                self._start(job)
            if found.next_schedule_s is not None and found.next_schedule_s <= 0:
                queues = {name: kind.queue for name, kind in self._kinds.items()}
                if await schedules.fire(conn, self._schedules, queues):
                    return 0.0
        waits = [POLL_S, found.next_s or POLL_S, found.next_schedule_s or POLL_S]
        waits += [
            queue.opens_in_s()
            for queue in self._queues.values()
            if queue.filled and queue.running < queue.most and queue.ending < queue.most
        ]
        return min(waits)

    def _start(self, job: Job) -> None:
        claim = InWork(job)
        self._in_work.add(claim)
        claim.task = asyncio.create_task(self._work(claim), name=f"job.{job.kind}")

    # --- running ---------------------------------------------------------------------------

    async def _work(self, claim: InWork) -> None:
        """Run a job, free its slot, and store how it ended."""
        job, began, ended_as = claim.job, time.monotonic(), "stopped"
        try:
            outcome = await self._run(job)
            ended_as = "expired" if job.expired else type(outcome).__name__.lower()
            if isinstance(outcome, Postponed):  # before anything more is claimed
                self._queues[job.queue].close(outcome.after_s)
            self._free_slot(claim)
            await self._until_stored(job, outcome)
        except asyncio.CancelledError:
            if not claim.lost:
                with suppress(*TEMPORARY):
                    await self._give_back(job)
        except Exception:
            log.exception("job.not_stored", job=job.id, kind=job.kind)  # its lease expires
        finally:
            ended_as = "lost" if claim.lost else ended_as
            self.seconds[job.kind, ended_as].observe(time.monotonic() - began)
            if not claim.ended:
                self._free_slot(claim)
            self._in_work.discard(claim)
            queue = self._queues[job.queue]
            queue.ending -= 1
            self._refill(queue)

    async def _run(self, job: Job) -> Outcome:
        kind = self._kinds[job.kind]
        if job.expired:
            return Done()
        if job.lost > FORGIVEN_LEASES:
            return Dead("lost")
        try:
            async with asyncio.timeout(kind.timeout_s):
                outcome = await kind.run(job) or Done()
            if isinstance(outcome, Again):
                encode(outcome.payload)
        except TimeoutError:
            outcome = Failed("timeout")
        except GatewayError as error:
            outcome = Failed(error.code)
        except Exception as error:
            log.exception("job.failed", job=job.id, kind=job.kind, failures=job.failures)
            outcome = Failed(type(error).__name__)
        if isinstance(outcome, Failed) and job.expires_at is None and job.failures >= kind.attempts:
            return Dead(outcome.code)
        return outcome

    async def _until_stored(self, job: Job, outcome: Outcome) -> None:
        """Store the end of a job, however long it takes: its work is done, its lease renewed."""
        while True:
            try:
                await self._store(job, outcome)
            except TEMPORARY as error:
                log.warning("job.not_stored", job=job.id, error=type(error).__name__)
                await asyncio.sleep(AGAIN_S)
            else:
                return

    async def _store(self, job: Job, outcome: Outcome) -> None:
        if isinstance(outcome, Done) and job.key is None:
            await self._finish(job)
            return
        async with self._connect() as conn:
            match outcome:
                case Done():
                    self._doorbell.ring(await claims.finish_keyed(conn, job))
                case Again(payload, after_s):
                    await claims.put_back(conn, job, after_s=after_s, payload=encode(payload))
                    self._doorbell.ring(after_s)
                case Failed(code, after_s):
                    wait_s = backoff.delay_s(job.failures) if after_s is None else after_s
                    await claims.put_back(conn, job, after_s=wait_s, counted=True)
                    log.warning("job.delayed", job=job.id, kind=job.kind, code=code, wait_s=wait_s)
                case Postponed(code, after_s):
                    await claims.put_back(conn, job, after_s=after_s)
                    log.warning("jobs.closed", queue=job.queue, code=code, wait_s=after_s)
                case Dead(code):
                    if await dead_queries.bury(conn, job, code):
                        self.dead[job.kind] += 1
                        log.error("job.dead", job=job.id, kind=job.kind, code=code)

    async def _finish(self, job: Job) -> None:
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._done.append((job, stored))
        self._has_done.set()
        await stored

    async def _finish_all(self) -> None:
        """Delete jobs that are done, all at once that are done meanwhile."""
        while True:
            await self._has_done.wait()
            self._has_done.clear()
            done, self._done = self._done, []
            error: BaseException | None = None
            try:
                async with self._connect() as conn:
                    await claims.finish(conn, [job for job, _ in done])
            except Exception as failed:  # noqa: BLE001 - each job stores its end again
                error = failed
            for _, stored in done:
                if not stored.done():
                    stored.set_exception(error) if error else stored.set_result(None)

    async def _give_back(self, job: Job) -> None:
        async with self._connect() as conn:
            await claims.put_back(conn, job, after_s=None)
        self._doorbell.ring(0)

    def _free_slot(self, claim: InWork) -> None:
        claim.ended = True
        queue = self._queues[claim.job.queue]
        queue.running -= 1
        queue.ending += 1
        self._refill(queue)

    def _refill(self, queue: QueueSlots) -> None:
        """Look for more jobs of a queue that had more, unless there is no room."""
        if queue.filled and not self._stopping:
            self._doorbell.ring_here(0 if queue.running <= queue.most // 2 else REFILL_S)

    # --- leases ----------------------------------------------------------------------------

    async def _renew(self) -> None:
        """Renew the leases of jobs in work; end those that another worker has by now."""
        while True:
            await asyncio.sleep(self._lease_s / 3)
            held = [*self._in_work]
            if not held:
                continue
            try:
                async with self._connect() as conn:
                    kept = await claims.renew(
                        conn, [one.job for one in held], lease_s=self._lease_s
                    )
            except Exception as error:  # noqa: BLE001 - two more tries before the lease ends
                log.warning("jobs.not_renewed", error=type(error).__name__)
                continue
            for one in held:
                if one.job.id not in kept and not one.ended and one.task is not None:
                    log.warning("job.lost", job=one.job.id, kind=one.job.kind)
                    one.lost = True
                    one.task.cancel()
