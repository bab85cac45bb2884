"""What both command lines share: arguments, output, and the exit status.

tests.faults, tests.faults.calls ─▶ command_line ─▶ standard output; progress to standard error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import orjson

NOTHING = "-"

Findings = Mapping[str, list[str]]
"""Rule → evidence."""


def parser(
    prog: str, description: str | None, *, minutes: float, workers: int, variants: Collection[str]
) -> argparse.ArgumentParser:
    """Return the parser of the options that both command lines have."""
    made = argparse.ArgumentParser(prog=prog, description=description)
    made.add_argument(
        "--minutes", type=float, default=minutes, help="duration of the run (default: %(default)s)"
    )
    made.add_argument(
        "--seed", type=int, default=1, help="seed that chooses the faults (default: 1)"
    )
    made.add_argument(
        "--workers", type=int, default=workers, help="worker processes (default: %(default)s)"
    )
    made.add_argument("--only", help="only these kinds of faults, separated by commas")
    made.add_argument("--json", action="store_true", help="print the figures as JSON")
    made.add_argument("--broken", choices=sorted(variants), help="run a product with this defect")
    made.add_argument(
        "--all-broken",
        action="store_true",
        help="run every defect, and the product itself under the same faults",
    )
    return made


def kinds_of(only: str | None, known: Collection[str], otherwise: Iterable[str]) -> set[str]:
    """Return the requested kinds of faults; exit when one does not exist."""
    kinds = set(only.split(",") if only else otherwise)
    if unknown := kinds - set(known):
        sys.exit(f"unknown faults: {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    return kinds


def show_json(said: Mapping[str, Any], findings: Findings) -> None:
    """Print the figures, and all evidence."""
    evidence = {name: found for name, found in findings.items() if found}
    show(orjson.dumps({**said, "evidence": evidence}, option=orjson.OPT_INDENT_2).decode())


def exit_code(broken: str | None, findings: Findings) -> int:
    """Return 0 when no rule is violated; for a broken product, when one is."""
    found = any(findings.values())
    if broken:
        say(f"{broken} was {'' if found else 'NOT '}detected")
    return int(found != bool(broken))


def compare(variants: Iterable[str], judge: Callable[[str], tuple[Findings, Findings]]) -> int:
    """Judge each variant, and the product itself under the same faults; print the findings."""
    rows: list[tuple[str, str, str]] = []
    for name in variants:
        broken, sound = map(_verdict, judge(name))
        rows.append((name, broken, sound))
        say(f"{name}: {broken}; the product itself: {sound}")
    show(f"\n{'variant':<14}{'findings':<60}the product itself, same faults")
    for name, broken, sound in rows:
        show(f"{name:<14}{broken:<60}{sound}")
    return int(any(broken == NOTHING or sound != NOTHING for _, broken, sound in rows))


def _verdict(findings: Findings) -> str:
    found = {rule: len(lines) for rule, lines in findings.items() if lines}
    return ", ".join(f"{rule} {times}" for rule, times in found.items()) or NOTHING


def show(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def say(what: str) -> None:
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()
