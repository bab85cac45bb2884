"""A worker is killed with everyone on it, and they do not reconnect.

Users on the surviving worker watch them and continue to write messages: every lost user must be
announced offline within lease and grace period, one batch at a time, without slowing the messages.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import orjson
import uvloop

from loadtests import fleet
from loadtests.fleet import NO_LIMITS, FleetClient, allow_files
from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.process_cost import require_proc
from loadtests.raw_socket import masked
from loadtests.report import Figure, Result
from loadtests.test_users import SignedInUser
from loadtests.watcher import PresenceWatcher

CLIENTS = 2_000
WATCHED = 500
WRITERS = 20
PAUSE_S = 0.1
"""Between two messages of one writer."""
BEFORE_S = 10.0
GRANTED_S = 60.0
AROUND_S = 0.3
"""How long the last batch may still be felt."""
PROMISED_S = 30.0
INSTANT_S = 0.05
"""News that come closer together than this count as one batch."""


@dataclass(slots=True)
class SurvivorWriter:
    """Someone on the surviving worker who writes one message after the other."""

    player: SignedInUser
    conversation_id: int
    times: Latencies = field(default_factory=Latencies)
    unanswered: int = 0
    _sent: dict[int, float] = field(default_factory=dict)
    _member: FleetClient | None = None

    async def arrive(self, index: int) -> None:
        self._member = FleetClient(self.player, self._hear)
        await self._member.arrive(index)

    async def write(self) -> None:
        """Write on a fixed schedule until cancelled."""
        number = 1
        while True:
            number += 1
            frame = {
                "type": "message.send",
                "id": number,
                "conversation_id": self.conversation_id,
                "client_key": str(uuid.uuid4()),
                "text": "Передзвоню пізніше.",
            }
            assert self._member is not None
            self._sent[number] = time.perf_counter()
            self._member.write(masked(orjson.dumps(frame)))
            await asyncio.sleep(PAUSE_S)

    def leave(self) -> None:
        self.unanswered = len(self._sent)
        if self._member is not None:
            self._member.abort()

    def _hear(self, payload: bytes) -> None:
        if payload.startswith(b'{"id":'):
            began = self._sent.pop(orjson.loads(payload)["id"], None)
            if began is not None:
                self.times.add(time.perf_counter() - began)


@dataclass(slots=True)
class OfflineTimes:
    """Users announced as offline, and when each was first."""

    offline_at: dict[int, float] = field(default_factory=dict)
    first: asyncio.Event = field(default_factory=asyncio.Event)

    def receive(self, employee_id: int, status: str, at: float) -> None:
        if status == "offline":
            self.offline_at.setdefault(employee_id, at)
            self.first.set()

    def batches(self) -> list[int]:
        """Return how many people each instant brought."""
        sizes: list[int] = []
        last = 0.0
        for at in sorted(self.offline_at.values()):
            if not sizes or at - last > INSTANT_S:
                sizes.append(0)
            sizes[-1] += 1
            last = at
        return sizes


def run(options: Options) -> Result:
    """Start a gateway, kill one of its workers, see what the other makes of it, stop it."""
    with own_gateway(workers=2, settings=NO_LIMITS) as gateway:
        return measure(gateway, options)


def measure(gateway: OwnGateway, options: Options) -> Result:
    """Kill its second worker."""
    require_proc()
    clients, before_s = options.users or CLIENTS, options.seconds or BEFORE_S
    allow_files(2 * clients)
    doomed = gateway.cast(clients, worker=1)
    watching = gateway.cast(-(-clients // WATCHED), worker=0)
    writing = gateway.cast(2 * WRITERS, worker=0)
    rooms = gateway.rooms(writing, 2)
    writers = [SurvivorWriter(writing[2 * number], room) for number, room in enumerate(rooms)]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(gateway, doomed, watching, writers, before_s))


async def _measure(
    gateway: OwnGateway,
    doomed: Sequence[SignedInUser],
    watching: Sequence[SignedInUser],
    writers: Sequence[SurvivorWriter],
    before_s: float,
) -> Result:
    ids, ends = [player.employee_id for player in doomed], OfflineTimes()
    watchers = [
        PresenceWatcher(player, ids[number * WATCHED : (number + 1) * WATCHED], ends.receive)
        for number, player in enumerate(watching)
    ]
    members = [FleetClient(player) for player in doomed]
    try:
        await fleet.arrive(members)
        for number, watcher in enumerate(watchers):
            await watcher.arrive(number)
        for number, writer in enumerate(writers):
            await writer.arrive(number)
        await _until(watchers, "online", GRANTED_S)
        ends.offline_at.clear()
        ends.first.clear()
        async with asyncio.TaskGroup() as group:
            writing = [group.create_task(writer.write()) for writer in writers]
            await asyncio.sleep(before_s)
            normal = _taken(writers)
            killed_at = time.perf_counter()
            os.kill(gateway.workers[1].pid, signal.SIGKILL)
            await _until_first(ends)
            waiting = _taken(writers)
            await _until(watchers, "offline", GRANTED_S)
            await asyncio.sleep(AROUND_S)
            telling = _taken(writers)
            for task in writing:
                task.cancel()
    finally:
        for writer in writers:
            writer.leave()
        sockets = [*members, *(one.member for one in watchers if one.member)]
        await fleet.dismiss(sockets)
    return _result(ends, killed_at, [normal, waiting, telling], people=len(ids))


def _taken(writers: Sequence[SurvivorWriter]) -> Latencies:
    """Return how long messages took since the last time this was asked."""
    found = Latencies()
    for writer in writers:
        found.extend_ms(writer.times.samples_ms)
        writer.times = Latencies()
    return found


async def _until_first(ends: OfflineTimes) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(GRANTED_S):
            await ends.first.wait()


async def _until(watchers: Sequence[PresenceWatcher], status: str, within_s: float) -> None:
    """Wait until everyone watched is so, as far as their watchers know."""
    deadline = time.perf_counter() + within_s
    while time.perf_counter() < deadline:
        if all(one.known.get(who, (0, ""))[1] == status for one in watchers for who in one.watched):
            return
        await asyncio.sleep(0.05)


def _result(
    ends: OfflineTimes, killed_at: float, spells: list[Latencies], *, people: int
) -> Result:
    sizes = ends.batches()
    times = sorted(at - killed_at for at in ends.offline_at.values())
    normal, waiting, telling = spells
    ratio = telling.percentile(0.99) / normal.percentile(0.99)
    figures: dict[str, Figure] = {
        "people": people,
        "told_offline": len(times),
        "first_offline_s": round(times[0], 2) if times else float("nan"),
        "all_offline_s": round(times[-1], 2) if times else float("nan"),
        "batches": len(sizes),
        "largest_batch": max(sizes, default=0),
        "messages": sum(map(len, spells)),
        **normal.figures("before_"),
        **waiting.figures("killed_"),
        **telling.figures("telling_"),
        "telling_per_before": round(ratio, 2),
    }
    failures = []
    if len(times) < people:
        failures.append(f"{people - len(times)} people were never announced offline")
    elif times[-1] > PROMISED_S:
        failures.append(f"the last was announced offline after {times[-1]:.1f} s")
    return Result(
        "worker_crash",
        f"a worker with {people} people is killed; none comes back",
        figures,
        failures,
    )
