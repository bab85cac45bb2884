"""How many messages one worker stores, in one conversation, in ten, in a hundred.

All users of these conversations are connected; one user in each writes the next message as soon as
the last one is answered, which is after its COMMIT. In turn with it, on the same server and with
the same concurrency: a bare BEGIN, INSERT, COMMIT.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import orjson
import uvloop

from gateway.db import Conn
from loadtests import fleet
from loadtests.fleet import NO_LIMITS, FleetClient, allow_files
from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.process_cost import require_proc
from loadtests.queries import floor, statements
from loadtests.raw_socket import masked
from loadtests.report import Figure, Result
from loadtests.test_users import SignedInUser

SIZES = (1, 10, 100)
TURNS = 3
TURN_S = 2.0
WARM_S = 0.5
REPLY_S = 10.0
CONNECTIONS = 10
"""To PostgreSQL, of the worker and of the floor."""
TEXT = "Чи можемо передзвонити клієнту сьогодні?"

Store = Callable[[int], Awaitable[None]]
"""Store one message in the conversation that stands at this place."""


@dataclass(slots=True)
class Side:
    """What came of the gateway's turns, or of the floor's."""

    rates: list[float] = field(default_factory=list)
    latencies: Latencies = field(default_factory=Latencies)
    messages: int = 0
    statements: int = 0
    worker_cpu_s: float = 0.0

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


class BenchWriter(FleetClient):
    """Somebody who sends and waits for the reply."""

    __slots__ = ("_number", "_replied", "conversation_id")

    def __init__(self, player: SignedInUser, conversation_id: int) -> None:
        super().__init__(player, on_text=self._on_reply)
        self.conversation_id = conversation_id
        self._number = 1  # the hello's
        self._replied: asyncio.Future[bytes] | None = None

    async def send(self) -> None:
        """Send a message; RuntimeError when the reply is a refusal or does not come."""
        self._number += 1
        self._replied = asyncio.get_running_loop().create_future()
        frame = {
            "type": "message.send",
            "id": self._number,
            "conversation_id": self.conversation_id,
            "client_key": uuid.uuid4(),
            "text": TEXT,
        }
        self.write(masked(orjson.dumps(frame)))
        try:
            async with asyncio.timeout(REPLY_S):
                reply = await self._replied
        except TimeoutError:
            raise RuntimeError(f"no reply within {REPLY_S:g} s") from None
        if not reply.startswith(b'{"id":%d,"ok"' % self._number):
            raise RuntimeError(reply.decode())

    def _on_reply(self, payload: bytes) -> None:
        if payload.startswith(b'{"id":') and self._replied and not self._replied.done():
            self._replied.set_result(payload)


def run(options: Options) -> Result:
    """Start a gateway with one worker, measure, stop it."""
    settings = {**NO_LIMITS, "GATEWAY_DATABASE_POOL": str(CONNECTIONS)}
    with own_gateway(workers=1, settings=settings) as gateway:
        return measure(gateway, options)


def measure(gateway: OwnGateway, options: Options) -> Result:
    """Measure each size; `--users` is the largest one."""
    require_proc()
    largest = options.users or SIZES[-1]
    sizes = sorted({size for size in SIZES if size < largest} | {largest})
    seconds = options.seconds or TURN_S
    players = gateway.cast(2 * largest, worker=0)
    rooms = gateway.rooms(players, 2)
    allow_files(2 * largest)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(_measure(gateway, players, rooms, sizes=sizes, seconds=seconds))
    return Result(
        "send",
        f"{TURNS} turns of {seconds:g} s, one writer in each conversation, one worker, "
        f"{CONNECTIONS} connections to PostgreSQL",
        figures,
    )


async def _measure(
    gateway: OwnGateway,
    players: Sequence[SignedInUser],
    rooms: Sequence[int],
    *,
    sizes: Sequence[int],
    seconds: float,
) -> dict[str, Figure | dict[str, Figure]]:
    writers = [BenchWriter(one, room) for one, room in zip(players[::2], rooms, strict=True)]
    others = [FleetClient(player) for player in players[1::2]]
    figures: dict[str, Figure | dict[str, Figure]] = {}
    async with AsyncExitStack() as stack:
        conn = await asyncpg.connect(gateway.database_url)
        stack.push_async_callback(conn.close)
        counted = await statements.can_count(conn)
        bare = await stack.enter_async_context(_bare(gateway.database_url))
        stack.push_async_callback(fleet.dismiss, [*writers, *others])
        await fleet.arrive([*writers, *others])

        async def through_the_gateway(place: int) -> None:
            await writers[place].send()

        for size in sizes:
            ours, ground = Side(), Side()
            await _turn(Side(), through_the_gateway, size, seconds=WARM_S)
            await _turn(Side(), bare, size, seconds=WARM_S)
            for _ in range(TURNS):
                cpu = gateway.workers[0].cpu_s()
                await _turn(
                    ours, through_the_gateway, size, seconds=seconds, count=counted and conn
                )
                ours.worker_cpu_s += gateway.workers[0].cpu_s() - cpu
                await _turn(ground, bare, size, seconds=seconds, count=counted and conn)
            figures[f"conversations_{size}"] = _figures(ours, ground)
    return figures


def _figures(ours: Side, ground: Side) -> dict[str, Figure]:
    return {
        "messages_per_s": round(ours.rate),
        **ours.latencies.figures(),
        "floor_per_s": round(ground.rate),
        **ground.latencies.figures("floor_"),
        "per_floor": round(ours.rate / ground.rate, 3),
        "worker_cpu_us": round(ours.worker_cpu_s * 1e6 / ours.messages),
        "statements_per_send": _per(ours.statements, ours.messages),
        "floor_statements_per_send": _per(ground.statements, ground.messages),
    }


def _per(count: int, messages: int) -> float:
    return round(count / messages, 2) if count else math.nan


async def _turn(
    side: Side, store: Store, size: int, *, seconds: float, count: Conn | bool = False
) -> None:
    """Store one message after the other, in this many connections, for this many seconds."""
    before = await statements.count(count) if not isinstance(count, bool) else 0
    began = time.perf_counter()
    stored = 0

    async def write(place: int) -> None:
        nonlocal stored
        while (at := time.perf_counter()) < began + seconds:
            await store(place)
            side.latencies.add(time.perf_counter() - at)
            stored += 1

    async with asyncio.TaskGroup() as group:
        for place in range(size):
            group.create_task(write(place), name=f"write.{place}")
    side.rates.append(stored / (time.perf_counter() - began))
    side.messages += stored
    if not isinstance(count, bool):
        side.statements += await statements.count(count) - before


@asynccontextmanager
async def _bare(database_url: str) -> AsyncIterator[Store]:
    """Give what stores a message and keeps no promise but the COMMIT's.

    Over as many connections as the worker has, lent without the reset that asyncpg's pool adds.
    """
    async with AsyncExitStack() as stack:
        free: list[asyncpg.Connection[asyncpg.Record]] = []
        for _ in range(CONNECTIONS):
            free.append(await asyncpg.connect(database_url))
            stack.push_async_callback(free[-1].close)
        await floor.make_table(free[0])
        turn = asyncio.Semaphore(CONNECTIONS)  # fair: the longest wait is served next

        async def store(_place: int) -> None:
            async with turn:
                conn = free.pop()
                try:
                    async with conn.transaction():
                        await floor.insert(conn, client_key=uuid.uuid4(), text=TEXT)
                finally:
                    free.append(conn)

        yield store
