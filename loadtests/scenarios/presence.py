"""Everyone comes online within ten seconds, and everyone watches fifty others.

On all workers. Measured are the cost to Redis, the frames that reach a watcher, and the time from a
user's welcome until the others see that user online. Then, with all connected, the same for users
who choose a status, and the commands to Redis while nothing happens.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field

import uvloop
from redis import Redis

from loadtests import fleet
from loadtests.fleet import NO_LIMITS, allow_files
from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.process_cost import require_proc
from loadtests.redis_watch import CommandCounts, command_counts
from loadtests.report import Figure, Result
from loadtests.test_users import SignedInUser
from loadtests.watcher import PresenceWatcher

CLIENTS = 10_000
WATCHED = 50
WITHIN_S = 10.0
CHOICES = 1_000
IDLE_S = 15.0
"""Three renewals of each worker's lease."""
SETTLE_S = 30.0
AT_ONCE = 64


@dataclass(slots=True)
class ChangeTimer:
    """When users changed, and how much later each watcher received it."""

    wanted: str
    changed: dict[int, float] = field(default_factory=dict)
    late: Latencies = field(default_factory=Latencies)

    def on_status(self, employee_id: int, status: str, at: float) -> None:
        began = self.changed.get(employee_id)
        if status == self.wanted and began is not None:
            self.late.add(at - began)


@dataclass(slots=True)
class PresenceRun:
    """Everyone, and what is being timed."""

    gateway: OwnGateway
    redis: Redis
    watchers: list[PresenceWatcher]
    clock: ChangeTimer

    @property
    def frames(self) -> int:
        return sum(one.frames for one in self.watchers)

    @property
    def news(self) -> int:
        return sum(one.news for one in self.watchers)


def run(options: Options) -> Result:
    """Start a gateway, have everyone come, choose and do nothing, stop it."""
    with own_gateway(workers=2, settings=NO_LIMITS) as gateway:
        return measure(gateway, options)


def measure(gateway: OwnGateway, options: Options) -> Result:
    """Have everyone come to its workers, in turn."""
    require_proc()
    clients, within_s = options.users or CLIENTS, options.seconds or WITHIN_S
    allow_files(clients)
    players = gateway.cast(clients)
    with (
        Redis.from_url(gateway.redis_url) as redis,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_measure(gateway, redis, players, within_s))


async def _measure(
    gateway: OwnGateway, redis: Redis, players: list[SignedInUser], within_s: float
) -> Result:
    stage = PresenceRun(gateway, redis, [], ChangeTimer("online"))
    ids = [player.employee_id for player in players]
    dice = random.Random(7)

    def on_status(employee_id: int, status: str, at: float) -> None:
        stage.clock.on_status(employee_id, status, at)

    for player in players:
        others = dice.sample(ids, min(WATCHED + 1, len(ids)))
        watched = [one for one in others if one != player.employee_id][:WATCHED]
        stage.watchers.append(PresenceWatcher(player, watched, on_status))
    idle_s = min(IDLE_S, 1.5 * within_s)
    try:
        alone = await _idle(redis, idle_s)
        arrivals = await _arrivals(stage, within_s)
        crowded = await _idle(redis, idle_s)
        choices = await _choices(stage, within_s)
    finally:
        await fleet.dismiss(one.member for one in stage.watchers if one.member is not None)
    wrong = _wrong(stage, choosers=_choosers(stage))
    refused = sum(one.refused for one in stage.watchers)
    figures: dict[str, Figure] = {
        "clients": len(players),
        "watched_by_each": min(WATCHED, len(players) - 1),
        "workers": len(gateway.worker_ports),
        **arrivals,
        **choices,
        "idle_cmds_per_s_0": round(alone.commands_per_s, 2),
        "idle_cmds_per_s_10k": round(crowded.commands_per_s, 2),
        "refused": refused,
        "wrong": wrong,
    }
    failures = [f"{wrong} people are shown other than they are"] if wrong else []
    failures += [f"{refused} commands were refused"] if refused else []
    return Result(
        "presence",
        f"{len(players)} clients within {within_s:g} s, each watches {min(WATCHED, len(ids) - 1)}",
        figures,
        failures,
    )


async def _idle(redis: Redis, seconds: float) -> CommandCounts:
    before = command_counts(redis)
    await asyncio.sleep(seconds)
    return command_counts(redis) - before


async def _arrivals(stage: PresenceRun, within_s: float) -> dict[str, Figure]:
    """Have them come at an even pace, or as fast as they are let in."""
    before, began = command_counts(stage.redis), time.perf_counter()
    cpu = [-worker.cpu_s() for worker in stage.gateway.workers]
    pace_s = within_s / len(stage.watchers)

    async def come(index: int) -> None:
        await asyncio.sleep(began + index * pace_s - time.perf_counter())
        watcher = stage.watchers[index]
        arrived = await watcher.arrive(index)
        stage.clock.changed[watcher.player.employee_id] = arrived

    await fleet.run_limited(len(stage.watchers), come, at_once=AT_ONCE)
    took_s = time.perf_counter() - began
    await _until_known(stage, lambda _: "online")
    spent = command_counts(stage.redis) - before
    used_s = sum(cpu) + sum(worker.cpu_s() for worker in stage.gateway.workers)
    count = len(stage.watchers)
    return {
        "arrived_s": round(took_s, 1),
        "redis_cmds_per_change": round(spent.commands / count, 2),
        "redis_steps_per_change": round(spent.steps / count, 1),
        **stage.clock.late.figures(),
        "news": stage.news,
        "frames_per_watcher": round(stage.frames / count, 1),
        "news_per_frame": round(stage.news / max(1, stage.frames), 2),
        "worker_cpu_us_per_change": round(used_s * 1e6 / count),
    }


def _choosers(stage: PresenceRun) -> list[PresenceWatcher]:
    return stage.watchers[:: max(1, len(stage.watchers) // CHOICES)][:CHOICES]


async def _choices(stage: PresenceRun, within_s: float) -> dict[str, Figure]:
    """With everyone in, have some choose a status at an even pace."""
    choosers = _choosers(stage)
    stage.clock = ChangeTimer("busy")
    before, frames, news = command_counts(stage.redis), stage.frames, stage.news
    began, pace_s = time.perf_counter(), within_s / len(choosers)
    for number, chooser in enumerate(choosers):
        await asyncio.sleep(began + number * pace_s - time.perf_counter())
        stage.clock.changed[chooser.player.employee_id] = time.perf_counter()
        chooser.watch({"type": "presence.set", "id": 3, "status": "busy"})
    busy = {chooser.player.employee_id for chooser in choosers}
    await _until_known(stage, lambda one: "busy" if one in busy else "online")
    spent = command_counts(stage.redis) - before
    return {
        "choices": len(choosers),
        "choice_redis_cmds": round(spent.commands / len(choosers), 2),
        **stage.clock.late.figures("choice_"),
        "choice_news_per_frame": round((stage.news - news) / max(1, stage.frames - frames), 2),
    }


async def _until_known(stage: PresenceRun, status: object) -> None:
    """Wait until every watcher has the state of all it watches, with a time limit."""
    assert callable(status)
    deadline = time.perf_counter() + SETTLE_S
    waiting = list(stage.watchers)
    while waiting and time.perf_counter() < deadline:
        waiting = [
            one
            for one in waiting
            if any(one.known.get(who, (0, ""))[1] != status(who) for who in one.watched)
        ]
        await asyncio.sleep(0.05)


def _wrong(stage: PresenceRun, *, choosers: list[PresenceWatcher]) -> int:
    """Count what watchers believe of people and is not so, at the end."""
    busy = {chooser.player.employee_id for chooser in choosers}
    return sum(
        one.known.get(who, (0, ""))[1] != ("busy" if who in busy else "online")
        for one in stage.watchers
        for who in one.watched
    )
