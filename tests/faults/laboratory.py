"""One run from beginning to end: users, faults, calm, and the database's content afterwards.

schedule, StageOptions ─▶ run ─▶ FaultResult (history, truth, findings). Everything is stopped,
whatever fails.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtests.messenger import truth as database
from loadtests.messenger.truth import Truth
from loadtests.queries import crowds, messenger, people
from tests.faults import checker
from tests.faults.busy_loops import busy_loops
from tests.faults.case import Case, CheckLimits
from tests.faults.checker import Findings
from tests.faults.history import History
from tests.faults.injector import inject
from tests.faults.schedule import Fault
from tests.faults.simulated_users import SimulatedUser
from tests.faults.stage import GRACE_S, LEASE_S, FaultStage, StageOptions, open_stage
from tests.faults.starvation import StarvationWatch

ROOM = 8
"""People in a conversation in which much is written."""
CIRCLE = 3
"""People in a quiet one; everybody is in so many of them."""
VISITED = 2
COMMUTERS = 2
DELIVERED_S, SETTLED_S = 10.0, 20.0
"""Every message must have come, and every count be right, so long after the last fault; presence
within as much again."""
HOMING_S = 2.0
WIND_UP_S = 45.0
LOOK_S = 0.25

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What is to be done."""

    stage: StageOptions
    faults: Sequence[Fault]
    clients: int
    rate: float
    """Messages a second, of all together."""
    seconds: float
    seed: int
    bounds: CheckLimits
    busy: int = 0
    """Processes that only compute, beside everything."""


@dataclass(slots=True)
class FaultResult:
    """What came of it."""

    history: History
    truth: Truth
    findings: Findings
    healed: int
    """Changes that workers read from the database because the bus did not bring them."""
    reconnects: int
    reconnects_during: dict[int, int] = field(default_factory=dict)
    """fault → how many clients lost their connection while it lasted, and in the calm after it."""
    presence_s: dict[int, float] = field(default_factory=dict)
    """fault → how long after its end everybody saw everybody's presence as it is."""


async def run(plan: FaultPlan, say: Say) -> FaultResult:
    """Carry it out."""
    async with open_stage(plan.stage) as stage, busy_loops(plan.busy):
        return await _Run(plan, stage, say).run()


class _Run:
    def __init__(self, plan: FaultPlan, stage: FaultStage, say: Say) -> None:
        self._plan, self._stage, self._say = plan, stage, say
        self._dice = random.Random(plan.seed)
        self._history = History()
        self._people: dict[int, SimulatedUser] = {}
        self._quiet: list[int] = []
        self._outside: list[tuple[SimulatedUser, int]] = []
        self._commuters: list[SimulatedUser] = []
        self._commuting: set[int] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._reconnects: dict[int, int] = {}
        self._presence_s: dict[int, float] = {}

    async def run(self) -> FaultResult:
        starvation = StarvationWatch(self._history.starved, self._stage.pids)
        starving = asyncio.create_task(starvation.run(), name="faults.starvation")
        await self._seat()
        try:
            await self._arrive()
            self._history.began_at = time.monotonic()
            await self._live()
            return await self._judge()
        finally:
            starving.cancel()
            await asyncio.gather(*(one.leave() for one in self._people.values()))

    # --- before ----------------------------------------------------------------------------

    async def _seat(self) -> None:
        """Hire everybody, and put them into conversations."""
        history = self._history
        async with self._stage.database() as conn:
            ids = await people.hire(conn, self._plan.clients)
            rooms = await crowds.seat_in_rooms(conn, ids, ROOM)
            circles = await crowds.seat_in_circles(conn, ids, CIRCLE)
            for number in range(VISITED):
                owner, talker, visitor = (ids[number * 3 + one] for one in range(3))
                cid = await messenger.seat(conn, [owner, talker, visitor], f"Visited {number}")
                await conn.execute(
                    "UPDATE realtime.conversations SET history = 'joined' WHERE id = $1", cid
                )
                history.members[cid] = owner, talker
                history.visitors[cid] = (visitor,)
        for index, room in enumerate(rooms):
            history.members[room] = tuple(ids[index * ROOM : (index + 1) * ROOM])
        for index, circle in enumerate(circles):
            history.members[circle] = tuple(ids[(index + n) % len(ids)] for n in range(CIRCLE))
        self._quiet = circles
        ways = [(url, worker) for worker, url in enumerate(self._stage.urls)]
        for index, employee_id in enumerate(ids):
            first = index % len(ways)
            person = self._people[employee_id] = SimulatedUser(
                employee_id,
                dict([*ways[first:], *ways[:first]]),
                self._stage.tokens.issue(employee_id),
                history=history,
                seed=self._dice.randrange(2**32),
            )
            person.rooms = [rooms[index // ROOM]]
        for cid, visitors in history.visitors.items():
            self._people[history.members[cid][1]].rooms.append(cid)
            self._outside.append((self._people[ids[-3]], cid))
            assert ids[-3] not in visitors
        self._commuters = [self._people[one] for one in ids[-COMMUTERS:]]

    async def _arrive(self) -> None:
        ids = list(self._people)
        async with asyncio.TaskGroup() as group:
            for person in self._people.values():
                group.create_task(person.arrive(), name="faults.arrive")
        for index, person in enumerate(self._people.values()):
            others = [ids[(index + step) % len(ids)] for step in range(1, min(11, len(ids)))]
            person.watch([*others, *(one.employee_id for one in self._commuters)])
        await self._commuters[0].leave()

    # --- meanwhile -------------------------------------------------------------------------

    async def _live(self) -> None:
        per_s = self._plan.rate / len(self._people)
        for person in self._people.values():
            self._spawn(person.write(per_s))
        for cid, (visitor,) in self._history.visitors.items():
            owner, talker = (self._people[one] for one in self._history.members[cid])
            self._spawn(owner.let_in_and_out(cid, visitor, 1.0))
            self._spawn(_talk(talker, cid))
        watching = asyncio.create_task(self._watch_presence(), name="faults.presence")
        try:
            for fault in self._plan.faults:
                await self._until(fault.at_s - HOMING_S)
                await self._go_home()
                await self._until(fault.at_s)
                await self._strike(fault)
            await self._until(self._plan.seconds)
        finally:
            for person in self._people.values():
                person.finish()
            if self._sending:
                await asyncio.wait(self._sending, timeout=WIND_UP_S)
            for task in [watching, *self._sending]:
                task.cancel()
            await asyncio.gather(watching, *self._sending, return_exceptions=True)

    async def _strike(self, fault: Fault) -> None:
        before = self._count_reconnects()
        quiet = asyncio.create_task(self._write_quietly(fault), name="faults.quiet")
        struck = await inject(self._stage, fault, self._history)
        await quiet
        self._history.faults.append(struck)
        for worker in self._stage.workers:
            await asyncio.to_thread(worker.read_metrics)
        self._reconnects[fault.number] = self._count_reconnects() - before
        self._say(f"{fault}: {struck.trace} felt it, {self._reconnects[fault.number]} reconnects")

    async def _go_home(self) -> None:
        """Have everybody on their own worker: a fault of one that nobody is on would be none."""
        for person in self._people.values():
            if person.socket is not None:
                await person.socket.go_home()

    async def _write_quietly(self, fault: Fault) -> None:
        """Write once in each of some conversations; somebody leaves, somebody comes back."""
        began = time.monotonic()
        for index, after_s in enumerate(fault.quiet):
            await asyncio.sleep(max(0.0, began + after_s - time.monotonic()))
            room = self._quiet[(fault.number * len(fault.quiet) + index) % len(self._quiet)]
            writers = [self._people[one] for one in self._history.members[room]]
            present = [one for one in writers if one not in self._commuters]
            self._spawn(self._dice.choice(present).say(room, during=fault.name))
            if index == len(fault.quiet) // 2:
                self._spawn(self._commute(fault.number))
        person, room = self._outside[fault.number % len(self._outside)]
        self._spawn(person.say(room, outsider=True))

    async def _commute(self, turn: int) -> None:
        first, second = self._commuters[turn % 2], self._commuters[1 - turn % 2]
        for person, coming in ((first, True), (second, False)):
            if coming == (person.connection is None) and person.employee_id not in self._commuting:
                self._commuting.add(person.employee_id)
                try:
                    await (person.arrive() if coming else person.leave())
                except TimeoutError:
                    pass  # it goes on trying
                finally:
                    self._commuting.discard(person.employee_id)

    async def _watch_presence(self) -> None:
        """Note when, after each fault, everybody saw everybody as they are."""
        while True:
            await asyncio.sleep(LOOK_S)
            faults = self._history.faults
            if faults and faults[-1].number not in self._presence_s and not any(self._strays()):
                ended_at = faults[-1].ended_at
                self._presence_s[faults[-1].number] = time.monotonic() - ended_at

    def _strays(self) -> list[tuple[int, int]]:
        return [
            (person.employee_id, one)
            for person in self._people.values()
            if person.present
            for one, seen in person.presences.items()
            if (seen.status == "offline") == self._people[one].present
        ]

    # --- afterwards ------------------------------------------------------------------------

    async def _judge(self) -> FaultResult:
        """Wait until nothing is missing, or too long; have some leave; then look at everything."""
        await self._settle(DELIVERED_S, _is_delivered)
        for person in list(self._people.values())[::10]:
            await person.leave()
        for worker in self._stage.workers:
            await asyncio.to_thread(worker.read_metrics)
        # Judged at once: what happens after the database was read is not in it.
        truth = await self._settle(SETTLED_S, _is_shown)
        history = self._history
        history.ended_at = time.monotonic()
        return FaultResult(
            history,
            truth,
            checker.check(history, truth, self._plan.bounds),
            sum(worker.healed for worker in self._stage.workers),
            self._count_reconnects(),
            self._reconnects,
            self._presence_s,
        )

    async def _settle(self, within_s: float, settled: Callable[[Case], bool]) -> Truth:
        history, began_at = self._history, time.monotonic()
        while True:
            history.read_at = time.monotonic()
            truth = await self._read()
            self._history.present = frozenset(
                one.employee_id for one in self._people.values() if one.present
            )
            self._history.shown = {
                one.employee_id: {who: seen.status for who, seen in one.presences.items()}
                for one in self._people.values()
                if one.present
            }
            case = Case(self._history, truth, self._plan.bounds)
            now = time.monotonic()
            if settled(case) or now - began_at - history.starved.held_up(began_at, now) > within_s:
                return truth
            await asyncio.sleep(LOOK_S)

    async def _read(self) -> Truth:
        async with self._stage.database() as conn:
            return await database.read(conn, list(self._history.members), list(self._people))

    # --- pieces ----------------------------------------------------------------------------

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, self._history.began_at + at_s - time.monotonic()))

    def _count_reconnects(self) -> int:
        return sum(person.reconnects for person in self._people.values())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="faults.act")
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


def _is_delivered(case: Case) -> bool:
    return not any(checker.unread(case)) and not any(
        line for room in case.rooms() for line in checker.undelivered(room)
    )


def _is_shown(case: Case) -> bool:
    return not any(checker.presence(case)) and not any(checker.unread(case))


async def _talk(person: SimulatedUser, conversation_id: int) -> None:
    """Say something twice a second, until done."""
    while not person.done:
        await person.rest(0.5)
        await person.say(conversation_id)


BOUNDS = CheckLimits(lease_s=LEASE_S, grace_s=GRACE_S)
