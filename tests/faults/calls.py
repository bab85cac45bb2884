"""`python -m tests.faults.calls`: telephony under faults for some minutes, and the verdict.

Exit code 0 when nothing is violated, 1 when something is; with --broken it is the other way round.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from itertools import islice
from typing import Any

import orjson
import uvloop

from loadtests.fleet import allow_files
from tests.faults import telephony_blows
from tests.faults.broken_calls import VARIANTS
from tests.faults.telephony import MODULE, Outcome, Plan, run

EACH_S = 7.0
"""About so long takes a fault, with what comes after it."""
AIMED = 4
NAMED = 5
NOTHING = "-"


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    allow_files(1_000)
    if options.all_broken:
        return _all_broken(options)
    plan = _plan(options, options.broken)
    outcome = _carry_out(plan, json=options.json)
    found = any(outcome.findings.values())
    if options.broken:
        _say(f"{options.broken} was {'' if found else 'NOT '}found")
    return int(found != bool(options.broken))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.calls", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1, help="chooses the faults, and how long")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", help="kinds of faults, separated by commas")
    parser.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    parser.add_argument("--broken", choices=sorted(VARIANTS), help="run a broken product instead")
    parser.add_argument(
        "--all-broken", action="store_true", help="each of them, and beside it the whole product"
    )
    return parser


def _plan(options: Any, broken: str | None, *, whole: bool = False) -> Plan:
    variant = VARIANTS.get(broken or "")
    kinds = set(options.only.split(",") if options.only else telephony_blows.BLOWS)
    if variant:
        kinds = set(variant.kinds)
    if unknown := kinds - telephony_blows.BLOWS.keys():
        there = ", ".join(telephony_blows.BLOWS)
        sys.exit(f"no such faults: {', '.join(sorted(unknown))}; there are {there}")
    count = AIMED if variant else max(1, round(options.minutes * 60 / EACH_S))
    module = (MODULE[0], broken) if broken and not whole else MODULE
    faults = tuple(islice(telephony_blows.choose(options.seed, kinds), count))
    return Plan(faults, options.seed, workers=options.workers, module=module)


def _carry_out(plan: Plan, *, json: bool) -> Outcome:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(run(plan, _say))
    said = _figures(plan, outcome)
    if json:
        evidence = {name: found for name, found in outcome.findings.items() if found}
        _print(orjson.dumps({**said, "evidence": evidence}, option=orjson.OPT_INDENT_2).decode())
    else:
        _print("\n".join(f"  {name}: {value}" for name, value in said.items()))
        for name, found in outcome.findings.items():
            for line in found[:NAMED]:
                _print(f"  VIOLATED {name}: {line}")
    return outcome


def _figures(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    told, stored = outcome.told, outcome.stored
    recovered = {
        kind: max(one.took_s or 0.0 for one in told.recoveries if one.fault.endswith(f" {kind}"))
        for kind in sorted({kind for kind, _ in plan.faults})
        if any(one.fault.endswith(f" {kind}") for one in told.recoveries)
    }
    return {
        "seed": plan.seed,
        "seconds": round(outcome.seconds),
        "faults": len(told.recoveries),
        "posted": {
            "acknowledged": len(told.acknowledged),
            "posted_again": told.again,
            "stored": sum(stored.web.values()),
        },
        "listened": {
            "calls": len(told.rung),
            "events_heard": sum(stored.office.values()),
            "events_unheard": sum(
                not stored.office[fact] for one in told.rung for fact, _ in one.facts()
            ),
            "gaps": len(stored.gaps),
        },
        "heard_again_s": {kind: round(took, 1) for kind, took in recovered.items()},
        "grown_mib": {f"worker_{one + 1}": round(mib) for one, mib in told.grown_mib.items()},
        "violations": {name: len(found) for name, found in outcome.findings.items()},
    }


def _all_broken(options: Any) -> int:
    rows = []
    for name in VARIANTS:
        verdicts = [
            _verdict(_carry_out(_plan(options, name, whole=whole), json=options.json))
            for whole in (False, True)
        ]
        rows.append((name, *verdicts))
    _print(f"\n{'variant':<14}{'found':<60}the whole product, same faults")
    for name, broken, sound in rows:
        _print(f"{name:<14}{broken:<60}{sound}")
    return int(any(broken == NOTHING or sound != NOTHING for _, broken, sound in rows))


def _verdict(outcome: Outcome) -> str:
    found = {rule: len(lines) for rule, lines in outcome.findings.items() if lines}
    return ", ".join(f"{rule} {times}" for rule, times in found.items()) or NOTHING


def _print(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def _say(what: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {what}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
