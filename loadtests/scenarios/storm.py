"""All clients disconnect and reconnect at once while messages continue: nothing may be missing.

All on one worker. One user in each room stays connected and writes all the time. The others lose
their connection, reconnect at once, and resume from the last change they received; when asked to
come back later, they do. Each lists every change it received, live or on resume.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvloop

from loadtests import fleet
from loadtests.database_watch import DatabaseConnections, database_watched
from loadtests.fleet import NO_LIMITS, FleetClient, allow_files
from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.process_cost import CpuMeter, require_proc
from loadtests.raw_socket import UpgradeRefused, masked
from loadtests.report import Figure, Result
from loadtests.test_users import SignedInUser

CLIENTS = 5_000
ROOM = 50
MESSAGES_PER_S = 40.0
AROUND_S = 1.0
"""How long messages continue before and after the storm."""
CATCH_UP_S = 20.0
PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
"""Before dialling again where the server does not say when."""
TEXT = "Чи можемо передзвонити клієнту сьогодні?"


@dataclass(slots=True)
class ReturningClient:
    """Someone in a room, through all of their connections."""

    player: SignedInUser
    conversation_id: int
    changes: list[int] = field(default_factory=list)
    """Every change as it was given, so a repetition shows."""
    position: int = 0
    member: FleetClient | None = None
    put_off: int = 0
    """Hellos that were postponed."""
    dialled_again: int = 0
    """Connections that were refused, or ended before the welcome."""

    async def come_back(self, index: int) -> None:
        """Connect, as often as it takes."""
        pause_s = PAUSE_S
        while True:
            try:
                await self.arrive(index)
            except UpgradeRefused as no:
                wait_s = no.retry_after_s or pause_s
            except OSError:
                wait_s = pause_s
            else:
                return
            finally:
                self.put_off += self.member.put_off if self.member else 0
            self.dialled_again += 1
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            await asyncio.sleep(wait_s * random.uniform(1.0, 1.5))

    async def arrive(self, index: int) -> None:
        """Connect; with a position, resume from it."""
        member = FleetClient(self.player, self._hear)
        self.member = member
        known = {str(self.conversation_id): self.position} if self.position else None
        welcome = orjson.loads(await member.arrive(index, known))["ok"]
        for missed in welcome["changes"].get(str(self.conversation_id), ()):
            self._take(missed)
        if not self.position:
            listed = {c["id"]: c["last_change"] for c in welcome["conversations"]}
            self.position = listed[self.conversation_id]

    def missing(self, first: int, last: int) -> int:
        """How many of these changes never came."""
        return last - first + 1 - len({c for c in self.changes if first <= c <= last})

    @property
    def repeated(self) -> int:
        return len(self.changes) - len(set(self.changes))

    def _hear(self, payload: bytes) -> None:
        frame = orjson.loads(payload)
        for item in frame if isinstance(frame, list) else [frame]:
            if item.get("type") == "message.created":
                self._take(item)

    def _take(self, event: dict[str, Any]) -> None:
        self.changes.append(event["change"])
        self.position = max(self.position, event["change"])


@dataclass(slots=True)
class StormWriter:
    """Who writes in one room, and never leaves it."""

    player: SignedInUser
    conversation_id: int
    member: FleetClient | None = None
    sent: int = 0
    refused: int = 0
    last_change: int = 1

    async def arrive(self, index: int) -> None:
        self.member = FleetClient(self.player, self._hear)
        await self.member.arrive(index)

    def write(self) -> None:
        """Send a message without waiting for the answer."""
        assert self.member is not None
        self.sent += 1
        frame = {
            "type": "message.send",
            "id": self.sent + 1,
            "conversation_id": self.conversation_id,
            "client_key": str(uuid.uuid4()),
            "text": TEXT,
        }
        self.member.write(masked(orjson.dumps(frame)))

    @property
    def answered(self) -> bool:
        return self.last_change - 1 + self.refused >= self.sent

    def _hear(self, payload: bytes) -> None:
        frame = orjson.loads(payload)
        if "error" in frame:
            self.refused += 1
        elif "ok" in frame:
            self.last_change = max(self.last_change, frame["ok"]["message"]["change"])


def run(options: Options) -> Result:
    """Start a gateway, cut everyone, see them come back, stop it."""
    with own_gateway(workers=1, settings=NO_LIMITS) as gateway:
        return measure(gateway, options)


def measure(gateway: OwnGateway, options: Options) -> Result:
    """Have everyone at its first worker."""
    require_proc()
    clients = options.users or CLIENTS
    room = min(ROOM, clients)
    rooms = -(-clients // room)
    allow_files(2 * clients + rooms)
    players = gateway.cast(rooms * (room + 1), worker=0)
    found = gateway.rooms(players, room + 1)
    residents: list[ReturningClient] = []
    writers: list[StormWriter] = []
    for index, player in enumerate(players):
        conversation_id = found[index // (room + 1)]
        if index % (room + 1) == 0:
            writers.append(StormWriter(player, conversation_id))
        elif len(residents) < clients:
            residents.append(ReturningClient(player, conversation_id))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(gateway, residents, writers, options.seconds or AROUND_S))


async def _measure(
    gateway: OwnGateway,
    residents: list[ReturningClient],
    writers: list[StormWriter],
    around_s: float,
) -> Result:
    await fleet.run_limited(len(writers), lambda index: writers[index].arrive(index))
    await fleet.run_limited(len(residents), lambda index: residents[index].arrive(index))
    done = asyncio.Event()
    try:
        async with (
            database_watched(gateway.database_url) as connections,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(_write(writers, done), name="write")
            await asyncio.sleep(around_s)
            cost = CpuMeter(gateway.workers[0])
            back = await _storm(residents)
            cost.stop()
            await asyncio.sleep(around_s)
            done.set()
        await _settle(residents, writers)
    finally:
        sockets = [resident.member for resident in residents]
        sockets += [writer.member for writer in writers]
        await fleet.dismiss(socket for socket in sockets if socket is not None)
    return _result(
        residents, writers, back, {**cost.figures(len(back), "return"), **_used(connections)}
    )


async def _write(writers: list[StormWriter], done: asyncio.Event) -> None:
    """Write on a fixed schedule, room after room, whatever happens."""
    begin = time.perf_counter()
    number = 0
    while not done.is_set():
        writers[number % len(writers)].write()
        number += 1
        await asyncio.sleep(max(0.0, begin + number / MESSAGES_PER_S - time.perf_counter()))


async def _storm(residents: list[ReturningClient]) -> Latencies:
    """Cut everyone, and return how long each was away."""
    back = Latencies()
    cut = [resident.member for resident in residents if resident.member is not None]
    began = time.perf_counter()
    await fleet.dismiss(cut)

    async def come_back(index: int) -> None:
        await residents[index].come_back(index)
        back.add(time.perf_counter() - began)

    await fleet.run_limited(len(residents), come_back, at_once=len(residents))
    return back


async def _settle(residents: list[ReturningClient], writers: list[StormWriter]) -> None:
    """Wait until everything written has been answered and received, with a time limit."""
    deadline = time.perf_counter() + CATCH_UP_S
    while time.perf_counter() < deadline:
        last = _last_changes(writers)
        if all(writer.answered for writer in writers) and all(
            resident.position >= last[resident.conversation_id] for resident in residents
        ):
            return
        await asyncio.sleep(0.05)


def _last_changes(writers: list[StormWriter]) -> dict[int, int]:
    return {writer.conversation_id: writer.last_change for writer in writers}


def _used(connections: DatabaseConnections) -> dict[str, Figure]:
    return {
        "database_connections_max": connections.open,
        "database_busy_max": connections.busy,
    }


def _result(
    residents: list[ReturningClient],
    writers: list[StormWriter],
    back: Latencies,
    costs: dict[str, Figure],
) -> Result:
    last = _last_changes(writers)
    lost = sum(each.missing(2, last[each.conversation_id]) for each in residents)
    repeated = sum(each.repeated for each in residents)
    unanswered = sum(writer.sent - writer.refused - writer.last_change + 1 for writer in writers)
    times = back.figures("back_")
    figures: dict[str, Figure] = {
        "clients": len(residents),
        "all_back_ms": times.pop("back_max_ms"),
        **times,
        "put_off": sum(each.put_off for each in residents),
        "dialled_again": sum(each.dialled_again for each in residents),
        **costs,
        "messages": sum(writer.sent for writer in writers),
        "events_received": sum(len(each.changes) for each in residents),
        "lost": lost,
        "duplicated": repeated,
    }
    failures = [
        f"{count} {what}"
        for count, what in (
            (lost, "events never came"),
            (repeated, "events came twice"),
            (unanswered, "messages were not answered"),
            (sum(writer.refused for writer in writers), "messages were refused"),
        )
        if count
    ]
    return Result(
        "storm",
        f"{len(residents)} clients of one worker cut at once, {MESSAGES_PER_S:g} messages/s"
        " meanwhile",
        figures,
        failures,
    )
