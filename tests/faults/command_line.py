"""What the command lines of both laboratories share: arguments, what is printed, the exit code.

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
    """Return what every laboratory understands."""
    made = argparse.ArgumentParser(prog=prog, description=description)
    made.add_argument("--minutes", type=float, default=minutes)
    made.add_argument("--seed", type=int, default=1, help="chooses the faults")
    made.add_argument("--workers", type=int, default=workers)
    made.add_argument("--only", help="kinds of faults, separated by commas")
    made.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    made.add_argument("--broken", choices=sorted(variants), help="run a broken product instead")
    made.add_argument(
        "--all-broken", action="store_true", help="each of them, and beside it the whole product"
    )
    return made


def kinds_of(only: str | None, known: Collection[str], otherwise: Iterable[str]) -> set[str]:
    """Return the kinds of faults that are asked for; end when one is not known."""
    kinds = set(only.split(",") if only else otherwise)
    if unknown := kinds - set(known):
        sys.exit(f"no such faults: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return kinds


def show_json(said: Mapping[str, Any], findings: Findings) -> None:
    """Print the figures, and all evidence."""
    evidence = {name: found for name, found in findings.items() if found}
    show(orjson.dumps({**said, "evidence": evidence}, option=orjson.OPT_INDENT_2).decode())


def exit_code(broken: str | None, findings: Findings) -> int:
    """Return 0 when nothing is violated; of a broken product, when something is."""
    found = any(findings.values())
    if broken:
        say(f"{broken} was {'' if found else 'NOT '}found")
    return int(found != bool(broken))


def compare(variants: Iterable[str], judge: Callable[[str], tuple[Findings, Findings]]) -> int:
    """Judge each variant, and the whole product under the same faults; print what was found."""
    rows: list[tuple[str, str, str]] = []
    for name in variants:
        broken, sound = map(_verdict, judge(name))
        rows.append((name, broken, sound))
        say(f"{name}: {broken}; the whole product: {sound}")
    show(f"\n{'variant':<14}{'found':<60}the whole product, same faults")
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
