"""`python -m tests.faults`: a gateway of its own under faults for some minutes, and the verdict.

Exit code 0 when nothing is violated, 1 when something is; with --broken it is the other way round.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import uvloop

from loadtests.fleet import allow_files
from tests.faults import namespaces, report
from tests.faults.broken import VARIANTS
from tests.faults.laboratory import BOUNDS, Outcome, Plan, run
from tests.faults.schedule import KINDS, make
from tests.faults.stage import Set
from tests.faults.workers import PRODUCT

CALM_S = 6.0
"""Longer than a delivery may take: what is late in it is late for no excuse."""
AIMED_S = 30.0
NOTHING = "-"


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    allow_files(options.clients * 4)
    if options.all_broken:
        return _all_broken(options)
    plan = _plan(options)
    for fault in plan.faults:
        _say(str(fault))
    if options.schedule:
        return 0
    outcome = _carry_out(plan, json=options.json)
    found = any(outcome.findings.values())
    if options.broken:
        _say(f"{options.broken} was {'' if found else 'NOT '}found")
    return int(found != bool(options.broken))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1, help="chooses the faults, and when")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second, of all")
    parser.add_argument("--calm", type=float, default=CALM_S, help="seconds after each fault")
    parser.add_argument("--only", help="kinds of faults, separated by commas")
    parser.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    parser.add_argument("--logs", type=Path, help="keep what workers and servers wrote here")
    parser.add_argument("--schedule", action="store_true", help="print the faults, and end")
    parser.add_argument("--broken", choices=sorted(VARIANTS), help="run a broken product instead")
    parser.add_argument(
        "--all-broken", action="store_true", help="each of them, and beside it the whole product"
    )
    return parser


def _plan(options: Any) -> Plan:
    variant = VARIANTS.get(options.broken or "")
    seconds = AIMED_S if variant else options.minutes * 60
    kinds = set(options.only.split(",") if options.only else variant.kinds if variant else KINDS)
    if unknown := kinds - KINDS.keys():
        sys.exit(f"no such faults: {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    inside = _in_namespaces(options.workers, kinds)
    faults = make(
        options.seed,
        seconds=seconds,
        workers=options.workers,
        calm_s=options.calm,
        kinds=kinds,
        in_namespaces=inside,
    )
    stage = Set(options.workers, inside, logs=options.logs)
    if variant:
        stage = replace(
            stage, module=("tests.faults.broken", options.broken), settings=variant.settings
        )
    return Plan(stage, faults, options.clients, options.rate, seconds, options.seed, BOUNDS)


def _in_namespaces(workers: int, kinds: set[str]) -> tuple[int, ...]:
    """Return which workers get a network of their own; leave such faults out where none can."""
    wanted = {kind for kind in kinds if KINDS[kind].where == "namespace"}
    why_not = namespaces.why_not() if wanted else None
    if why_not:
        _say(f"left out: {', '.join(sorted(wanted))}: {why_not}")
        kinds -= wanted
        wanted = set()
    return tuple(range(workers)[-2:]) if wanted else ()


def _carry_out(plan: Plan, *, json: bool) -> Outcome:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(run(plan, _say))
    said = report.figures(plan, outcome)
    if json:
        evidence = {name: found for name, found in outcome.findings.items() if found}
        _print(orjson.dumps({**said, "evidence": evidence}, option=orjson.OPT_INDENT_2).decode())
    else:
        _print(report.text(said, outcome))
    return outcome


def _all_broken(options: Any) -> int:
    """Run each variant, and the whole product under the same faults; print what was found."""
    rows: list[tuple[str, str, str]] = []
    for name in VARIANTS:
        options.broken = name
        plan = _plan(options)
        whole = replace(plan, stage=replace(plan.stage, module=PRODUCT))
        rows.append((name, _verdict(plan, options), _verdict(whole, options)))
        _say(f"{name}: {rows[-1][1]}; the whole product: {rows[-1][2]}")
    _print(f"\n{'variant':<14}{'found':<60}the whole product, same faults")
    for name, broken, sound in rows:
        _print(f"{name:<14}{broken:<60}{sound}")
    return int(any(broken == NOTHING or sound != NOTHING for _, broken, sound in rows))


def _verdict(plan: Plan, options: Any) -> str:
    outcome = _carry_out(plan, json=options.json)
    found = {rule: len(lines) for rule, lines in outcome.findings.items() if lines}
    return ", ".join(f"{rule} {times}" for rule, times in found.items()) or NOTHING


def _print(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
