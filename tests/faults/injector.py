"""Causes one fault, keeps it for its duration, and ends it.

schedule ─▶ inject ─▶ InjectedFault. Each fault records a trace of its effect: a fault without
effect proves nothing.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tests.faults.history import History, InjectedFault
from tests.faults.proxy import Mode, Proxy
from tests.faults.schedule import Fault
from tests.faults.stage import FaultStage

Trace = list[int]
"""What it did, counted while it does it."""
FaultAction = Callable[[FaultStage, Fault, Trace], AbstractAsyncContextManager[None]]


async def inject(stage: FaultStage, fault: Fault, history: History) -> InjectedFault:
    """Strike, wait, heal; return what happened once the cause is gone."""
    trace: Trace = []
    began_at = time.monotonic()
    async with FAULT_ACTIONS[fault.kind](stage, fault, trace):
        if fault.kind.startswith("client_"):
            _doubt(history, fault, began_at)
        await asyncio.sleep(fault.lasts_s)
    return InjectedFault(
        fault.number,
        fault.name,
        fault.kind,
        None if fault.where == "everything" else fault.worker,
        began_at,
        time.monotonic(),
        sum(trace),
        fault.recovery_s,
    )


def _doubt(history: History, fault: Fault, at: float) -> None:
    """Note whose connections this strikes, and whether for good."""
    for session in history.sessions:
        if session.worker == fault.worker and session.ended_at is None:
            session.in_doubt_from = session.in_doubt_from or at
            if fault.kind in {"client_blackhole", "client_mute"}:
                session.silent_from = session.silent_from or at


# --- one worker ----------------------------------------------------------------------------


@asynccontextmanager
async def _kill_worker(stage: FaultStage, fault: Fault, trace: Trace) -> AsyncIterator[None]:
    worker = stage.workers[fault.worker]
    await asyncio.to_thread(worker.read_metrics)
    before = worker.pid
    worker.kill()
    yield
    worker.start()
    await worker.until_ready()
    trace.append(int(worker.pid != before))


@asynccontextmanager
async def _stop_worker(stage: FaultStage, fault: Fault, trace: Trace) -> AsyncIterator[None]:
    worker = stage.workers[fault.worker]
    worker.signal(signal.SIGSTOP)
    try:
        yield
        trace.append(int(worker.stopped))
    finally:
        worker.signal(signal.SIGCONT)


def _bad(ways: Callable[[FaultStage], list[Proxy]], mode: Mode) -> FaultAction:
    @asynccontextmanager
    async def fault_action(stage: FaultStage, fault: Fault, trace: Trace) -> AsyncIterator[None]:
        proxy = ways(stage)[fault.worker]
        before = proxy.touched
        proxy.set(mode)
        try:
            yield
        finally:
            trace.append(proxy.touched - before)
            proxy.set("open")

    return fault_action


def _unplugged(*links: str) -> FaultAction:
    @asynccontextmanager
    async def fault_action(stage: FaultStage, fault: Fault, trace: Trace) -> AsyncIterator[None]:
        inside = stage.namespaces[fault.worker]
        for link in links:
            inside.set(link, up=False)
        try:
            yield
            trace.extend(inside.lost(link) for link in links)
        finally:
            for link in links:
                inside.set(link, up=True)

    return fault_action


# --- everything ----------------------------------------------------------------------------


@asynccontextmanager
async def _terminate_backends(stage: FaultStage, fault: Fault, trace: Trace) -> AsyncIterator[None]:
    async with stage.database() as conn:
        trace.append(
            await conn.fetchval(
                """
                -- faults.terminate_backends
                SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
                  FROM pg_stat_activity
                 WHERE application_name LIKE 'gateway %' AND datname = current_database()
                """
            )
        )
    yield


@asynccontextmanager
async def _lock_table(stage: FaultStage, fault: Fault, trace: Trace) -> AsyncIterator[None]:
    async with stage.database() as conn, conn.transaction():
        await conn.execute("LOCK TABLE realtime.messages IN ACCESS EXCLUSIVE MODE")
        yield
        trace.append(
            await conn.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
                " AND relation = 'realtime.messages'::regclass"
            )
        )


@asynccontextmanager
async def _restart_postgres(stage: FaultStage, fault: Fault, trace: Trace) -> AsyncIterator[None]:
    before = stage.servers.postgres.pid
    await asyncio.to_thread(stage.servers.crash_postgres)
    yield
    await asyncio.to_thread(stage.servers.start_postgres)
    trace.append(int(stage.servers.postgres.pid != before))


def _restart_redis(*, forget: bool) -> FaultAction:
    @asynccontextmanager
    async def fault_action(stage: FaultStage, fault: Fault, trace: Trace) -> AsyncIterator[None]:
        before = await asyncio.to_thread(stage.servers.redis_run)
        await asyncio.to_thread(stage.servers.crash_redis, forget=forget)
        yield
        await asyncio.to_thread(stage.servers.start_redis)
        trace.append(int(await asyncio.to_thread(stage.servers.redis_run) != before))

    return fault_action


@asynccontextmanager
async def _kill_pubsub(stage: FaultStage, fault: Fault, trace: Trace) -> AsyncIterator[None]:
    trace.append(await asyncio.to_thread(_ask_redis, stage, "CLIENT", "KILL", "TYPE", "pubsub"))
    yield


@asynccontextmanager
async def _pause_redis(stage: FaultStage, fault: Fault, trace: Trace) -> AsyncIterator[None]:
    pause_ms = str(round(fault.lasts_s * 1_000))
    asked_at = time.monotonic()
    await asyncio.to_thread(_ask_redis, stage, "CLIENT", "PAUSE", pause_ms, "ALL")
    yield
    await asyncio.to_thread(_ask_redis, stage, "PING")
    trace.append(int(time.monotonic() - asked_at >= fault.lasts_s))


def _ask_redis(stage: FaultStage, *command: str) -> int:
    with stage.servers.redis() as client:
        said = client.execute_command(*command)
    return said if isinstance(said, int) else 0


def _doors(stage: FaultStage) -> list[Proxy]:
    return stage.doors


def _redis(stage: FaultStage) -> list[Proxy]:
    return stage.redis


def _postgres(stage: FaultStage) -> list[Proxy]:
    return stage.postgres


MODES: tuple[Mode, ...] = ("delay", "stall", "cut", "blackhole")

FAULT_ACTIONS: dict[str, FaultAction] = {
    "kill_worker": _kill_worker,
    "stop_worker": _stop_worker,
    **{f"client_{mode}": _bad(_doors, mode) for mode in MODES},
    "client_mute": _bad(_doors, "mute"),
    **{f"redis_{mode}": _bad(_redis, mode) for mode in MODES},
    **{f"postgres_{mode}": _bad(_postgres, mode) for mode in MODES},
    "terminate_backends": _terminate_backends,
    "kill_pubsub": _kill_pubsub,
    "pause_redis": _pause_redis,
    "restart_redis": _restart_redis(forget=False),
    "restart_redis_empty": _restart_redis(forget=True),
    "restart_postgres": _restart_postgres,
    "lock_table": _lock_table,
    "namespace_redis": _unplugged("redis"),
    "namespace_all": _unplugged("redis", "postgres"),
}
