"""Many users do everything at once, with connections cut at random; then everything is checked.

plan ─▶ run ─▶ check (loadtests/messenger). Two workers; a client that reconnects uses the other
one.
"""

from __future__ import annotations

import asyncio
import secrets

import uvloop

from loadtests.fleet import NO_LIMITS
from loadtests.messenger.check import CHECKS
from loadtests.messenger.plan import MessengerPlan, make
from loadtests.messenger.run import MessengerRun, MessengerSetup, play
from loadtests.options import Options
from loadtests.own_gateway import own_gateway
from loadtests.report import Figure, Result

CLIENTS = 50
SECONDS = 60.0
NAMED = 3
"""Violations of each kind that are shown."""


def run(options: Options) -> Result:
    """Start a gateway, carry the plan out, stop it."""
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    clients, seconds = options.users or CLIENTS, options.seconds or SECONDS
    plan = make(seed, clients=clients, seconds=seconds)
    with own_gateway(settings=NO_LIMITS) as gateway:
        urls = [gateway.socket_url(worker) for worker in range(len(gateway.worker_ports))]
        stage = MessengerSetup(gateway.database_url, urls, gateway.cast(plan.people))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            played = runner.run(play(stage, plan))
    setting = (
        f"{clients} devices of {plan.people} people in {len(plan.pools)} conversations for "
        f"{seconds:g} s; --seed {seed} plans the same"
    )
    return Result("messenger", setting, figures(plan, played), failures(played))


def figures(plan: MessengerPlan, played: MessengerRun) -> dict[str, Figure | dict[str, Figure]]:
    """Return what was done, and how often each check failed."""
    return {
        "actions": sum(map(len, plan.actions)),
        "acknowledged": sum(len(one.acknowledged) for one in played.witnesses),
        "heard": played.events,
        "cuts": played.cuts,
        "reconnects": played.reconnects,
        "refused": dict(sorted(played.refusals.items())),
        "violations": {name: len(played.report[name]) for name in CHECKS},
    }


def failures(played: MessengerRun) -> list[str]:
    """Name the first violations of each check."""
    return [
        f"{name} ({CHECKS[name]}), {len(problems)} times: " + "; ".join(problems[:NAMED])
        for name, problems in played.report.items()
        if problems
    ]
