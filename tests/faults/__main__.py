"""`python -m tests.faults`: run a gateway under faults for some minutes, and check the result.

Exit status 0 when no rule is violated, 1 when one is; with --broken it is the other way round.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from loadtests.fleet import allow_files
from tests.faults import command_line, namespaces, report
from tests.faults.broken import VARIANTS
from tests.faults.command_line import Findings, say, show
from tests.faults.laboratory import BOUNDS, FaultPlan, FaultResult, run
from tests.faults.schedule import KINDS, make
from tests.faults.stage import StageOptions
from tests.faults.workers import PRODUCT

CALM_S = 6.0
"""Longer than a delivery may take: a delivery that is late in the calm has no excuse."""
AIMED_S = 30.0


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    allow_files(options.clients * 4)
    if options.all_broken:
        return command_line.compare(VARIANTS, lambda name: _judge(options, name))
    plan = _plan(options, options.broken)
    for fault in plan.faults:
        say(str(fault))
    if options.schedule:
        return 0
    outcome = _carry_out(plan, json=options.json)
    return command_line.exit_code(options.broken, outcome.findings)


def _parser() -> argparse.ArgumentParser:
    parser = command_line.parser(
        "python -m tests.faults", __doc__, minutes=10.0, workers=4, variants=VARIANTS
    )
    parser.add_argument(
        "--clients", type=int, default=500, help="simulated users (default: %(default)s)"
    )
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second, of all users")
    parser.add_argument(
        "--calm", type=float, default=CALM_S, help="seconds without faults after each fault"
    )
    parser.add_argument(
        "--busy", type=int, default=0, help="busy loops that run beside it (default: 0)"
    )
    parser.add_argument("--logs", type=Path, help="directory for the logs of workers and servers")
    parser.add_argument(
        "--schedule", action="store_true", help="print the planned faults, and exit"
    )
    return parser


def _judge(options: Any, name: str) -> tuple[Findings, Findings]:
    plan = _plan(options, name)
    broken = _carry_out(plan, json=options.json)
    whole = replace(plan, stage=replace(plan.stage, module=PRODUCT))
    return broken.findings, _carry_out(whole, json=options.json).findings


def _plan(options: Any, broken: str | None) -> FaultPlan:
    variant = VARIANTS.get(broken or "")
    seconds = AIMED_S if variant else options.minutes * 60
    kinds = command_line.kinds_of(options.only, KINDS, variant.kinds if variant else KINDS)
    inside = _in_namespaces(options.workers, kinds)
    faults = make(
        options.seed,
        seconds=seconds,
        workers=options.workers,
        calm_s=options.calm,
        kinds=kinds,
        in_namespaces=inside,
    )
    stage = StageOptions(options.workers, inside, logs=options.logs)
    if broken and variant:
        stage = replace(stage, module=("tests.faults.broken", broken), settings=variant.settings)
    return FaultPlan(
        stage,
        faults,
        options.clients,
        options.rate,
        seconds,
        options.seed,
        BOUNDS,
        busy=options.busy,
    )


def _in_namespaces(workers: int, kinds: set[str]) -> tuple[int, ...]:
    """Return which workers get their own network; drop such faults where it is impossible."""
    wanted = {kind for kind in kinds if KINDS[kind].where == "namespace"}
    why_not = namespaces.why_not() if wanted else None
    if why_not:
        say(f"left out: {', '.join(sorted(wanted))}: {why_not}")
        kinds -= wanted
        wanted = set()
    return tuple(range(workers)[-2:]) if wanted else ()


def _carry_out(plan: FaultPlan, *, json: bool) -> FaultResult:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(run(plan, say))
    said = report.figures(plan, outcome)
    if json:
        command_line.show_json(said, outcome.findings)
    else:
        show(report.text(said, outcome))
    return outcome


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
