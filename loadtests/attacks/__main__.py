"""`python -m loadtests.attacks PLAN.json`: attack until standard input ends, then say what came.

"in" on standard output reports that it begins; at the end an AttackTally as JSON.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import uvloop

from loadtests.attacks import requests, sockets
from loadtests.attacks.plan import AttackPlan, AttackTally
from loadtests.fleet import allow_files

ATTACKS: dict[str, Callable[[AttackPlan, AttackTally, asyncio.Event], Awaitable[None]]] = {
    "search": sockets.search,
    "openapi": requests.openapi,
    "unread_pages": requests.unread_pages,
    "uploads": requests.uploads,
    "queue_watch": sockets.queue_watch,
    "busy": requests.busy,
}
FILES = 1_000
POLL_S = 0.01
LOWEST = 19
"""Nice: an attacker's machine is another one, so that its CPU is not the worker's."""


async def main(plan: AttackPlan) -> AttackTally:
    """Attack until standard input ends; the attack's own failure ends it, too."""
    ended, started, tally = asyncio.Event(), asyncio.Event(), AttackTally()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    attacking = asyncio.ensure_future(ATTACKS[plan.kind](plan, tally, started))
    waiting = [
        asyncio.ensure_future(_begun(plan, tally, started)),
        asyncio.ensure_future(ended.wait()),
    ]
    await asyncio.wait([attacking, waiting[0]], return_when=asyncio.FIRST_COMPLETED)
    print("in", flush=True)
    began = time.process_time()
    await asyncio.wait([attacking, waiting[1]], return_when=asyncio.FIRST_COMPLETED)
    tally.cpu_s = time.process_time() - began
    if attacking.done():
        await attacking
    attacking.cancel()
    await asyncio.gather(attacking, return_exceptions=True)
    return tally


async def _begun(plan: AttackPlan, tally: AttackTally, started: asyncio.Event) -> None:
    """Wait until the gateway has answered something: only then is it under attack."""
    await started.wait()
    while plan.kind != "busy" and not (tally.done or tally.refused):  # noqa: ASYNC110 - a plain count
        await asyncio.sleep(POLL_S)


if __name__ == "__main__":
    os.nice(LOWEST)
    allow_files(FILES)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(
            orjson.dumps(runner.run(main(AttackPlan.read(Path(sys.argv[1]))))).decode(), flush=True
        )
