"""`python -m tests.faults.calls`: run telephony under faults for minutes, and check the result.

Exit status 0 when no rule is violated, 1 when one is; with --broken it is the other way round.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import uvloop

from loadtests.fleet import allow_files
from tests.faults import command_line, telephony_faults
from tests.faults.broken_calls import VARIANTS
from tests.faults.command_line import Findings, show
from tests.faults.report import NAMED
from tests.faults.telephony import MODULE, TelephonyPlan, TelephonyResult, run

EACH_S = 7.0
"""About so long takes a fault, with what comes after it."""
AIMED = 4


def main(arguments: Sequence[str]) -> int:
    parser = command_line.parser(
        "python -m tests.faults.calls", __doc__, minutes=3.0, workers=2, variants=VARIANTS
    )
    options = parser.parse_args(arguments)
    allow_files(1_000)
    if options.all_broken:
        return command_line.compare(VARIANTS, lambda name: _judge(options, name))
    outcome = _carry_out(_plan(options, options.broken), json=options.json)
    return command_line.exit_code(options.broken, outcome.findings)


def _judge(options: Any, name: str) -> tuple[Findings, Findings]:
    broken = _carry_out(_plan(options, name), json=options.json)
    plan = replace(_plan(options, name), module=MODULE)
    return broken.findings, _carry_out(plan, json=options.json).findings


def _plan(options: Any, broken: str | None) -> TelephonyPlan:
    if broken:
        kinds, count = set(VARIANTS[broken].kinds), AIMED
    else:
        known = telephony_faults.FAULT_ACTIONS
        kinds = command_line.kinds_of(options.only, known, known)
        count = max(1, round(options.minutes * 60 / EACH_S))
    module = (MODULE[0], broken) if broken else MODULE
    faults = tuple(islice(telephony_faults.choose(options.seed, kinds), count))
    return TelephonyPlan(faults, options.seed, workers=options.workers, module=module)


def _carry_out(plan: TelephonyPlan, *, json: bool) -> TelephonyResult:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(run(plan, _say))
    said = _figures(plan, outcome)
    if json:
        command_line.show_json(said, outcome.findings)
    else:
        show("\n".join(f"  {name}: {value}" for name, value in said.items()))
        for name, found in outcome.findings.items():
            for line in found[:NAMED]:
                show(f"  VIOLATED {name}: {line}")
    return outcome


def _say(what: str) -> None:
    command_line.say(f"{time.strftime('%H:%M:%S')} {what}")


def _figures(plan: TelephonyPlan, outcome: TelephonyResult) -> dict[str, Any]:
    told, stored = outcome.told, outcome.stored
    recovered: dict[str, float] = {}
    for one in told.recoveries:
        kind = one.fault.rpartition(" ")[2]
        recovered[kind] = max(recovered.get(kind, 0.0), one.took_s or 0.0)
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
        "heard_again_s": {kind: round(took, 1) for kind, took in sorted(recovered.items())},
        "grown_mib": {f"worker_{one + 1}": round(mib) for one, mib in told.grown_mib.items()},
        "violations": {name: len(found) for name, found in outcome.findings.items()},
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
