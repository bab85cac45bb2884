"""Run the mutants, print which survive. Exit status: 0 none did, 1 some did, 2 could not be run."""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.mutants.catalogue import DoesNotApply, Mutant, mutants
from tests.mutants.reach import DURATIONS, HITS, fastest, instrument, reaching_tests

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "var", "dist")
IGNORED = ("tests/browser", "tests/docs", "tests/mutants", "tests/unit/test_shape.py")
"""Tests that start a browser, or that read the code instead of running it."""
BUDGET_S = 90.0
"""Of a mutant's tests, the fastest that fit are run: what they do not notice survives."""
HANGS = 4
"""After so many budgets a mutant has made a test hang."""
COPIES = 2
NO_TEST_FAILED, A_TEST_FAILED = 0, 1

_RUNNING: set[subprocess.Popen[str]] = set()

Fate = Literal["killed", "survived", "not reached", "hung"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one mutant."""

    mutant: Mutant
    fate: Fate
    tests: int
    """How many were to be run."""
    seconds: float
    killer: str = ""


def main() -> int:
    """Choose mutants, find their tests, run them."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--room", help="only this one of tests/mutants/catalogue")
    parser.add_argument("--only", metavar="ID", nargs="+", help="only these mutants")
    parser.add_argument("--json", action="store_true", help="print one JSON object a mutant")
    parser.add_argument("--reach", type=Path, help="keep there which tests execute what")
    parser.add_argument(
        "--budget", type=float, default=BUDGET_S, help="seconds for a mutant's tests"
    )
    parser.add_argument(
        "--tests", nargs=argparse.REMAINDER, default=[], help="pytest's arguments, at the end"
    )
    options = parser.parse_args()
    chosen = [
        mutant
        for mutant in mutants()
        if options.room in (None, mutant.room)
        and (options.only is None or mutant.id in options.only)
    ]
    if not chosen:
        parser.error("no mutant is so called")
    try:
        for mutant in chosen:
            mutant.apply((ROOT / mutant.file).read_text(encoding="utf-8"))
    except DoesNotApply as error:
        print(error, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="gateway-mutants-") as directory:
        reach = options.reach or Path(directory, "reach.json")
        if not reach.exists():
            every = list(mutants()) if options.reach else chosen
            reach.write_text(json.dumps(_reach(Path(directory), every, options.tests)))
        found = json.loads(reach.read_text())
        run = _Run(Path(directory), found, options.budget, as_json=options.json)
        outcomes = run.all(chosen)
    killed = sum(each.fate in ("killed", "hung") for each in outcomes)
    print(f"{killed} of {len(outcomes)} mutants were noticed", file=sys.stderr)
    return 0 if killed == len(outcomes) else 1


def _copy(directory: Path, name: str) -> Path:
    tree = directory / name
    shutil.copytree(ROOT, tree, ignore=LEFT_OUT, symlinks=True)
    return tree


def _pytest(
    tree: Path,
    *arguments: str,
    timeout: float | None = None,
    environment: dict[str, str] | None = None,
) -> tuple[int | None, str]:
    """Run tests of a copy; return the exit status, None if they did not end, and the output."""
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=tree,
        env={**inherited, "PYTHONPATH": str(tree), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _RUNNING.add(process)
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return None, output
    except BaseException:  # this command is told to end
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        _RUNNING.discard(process)
    return process.returncode, output


def _kill_tests() -> None:
    """Kill the tests that run: in their own sessions, they outlive Ctrl-C and this command."""
    for process in tuple(_RUNNING):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _reach(
    directory: Path, every: list[Mutant], tests: list[str]
) -> dict[str, list[tuple[str, float]]]:
    """Run all tests once, and return which of them execute which mutant."""
    tree = _copy(directory, "reach")
    instrument(tree, every)
    hits, durations = directory / "hits", directory / "durations"
    ignored = [f"--ignore={path}" for path in IGNORED]
    print("Looking which tests execute what ...", file=sys.stderr)
    _, output = _pytest(
        tree,
        *("-n", str(COPIES + 1), "--dist", "worksteal", "-p", "tests.mutants.durations"),
        *ignored,
        *tests,
        environment={HITS: str(hits), DURATIONS: str(durations)},
    )
    print(output.splitlines()[-1], file=sys.stderr)
    return reaching_tests(hits, durations)


class _Run:
    """Some mutants, each run in one of a few copies of the tree."""

    def __init__(
        self,
        directory: Path,
        found: dict[str, list[tuple[str, float]]],
        budget: float,
        *,
        as_json: bool,
    ) -> None:
        self._found = found
        self._budget = budget
        self._as_json = as_json
        self._free: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(COPIES):
            self._free.put(_copy(directory, f"copy{number}"))

    def all(self, chosen: list[Mutant]) -> list[Outcome]:
        """Run them, and print what becomes of each."""
        with ThreadPoolExecutor(COPIES) as pool:
            try:
                return list(pool.map(self._one, chosen))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                _kill_tests()
                raise

    def _one(self, mutant: Mutant) -> Outcome:
        tree = self._free.get()
        try:
            outcome = self._fate(tree, mutant)
        finally:
            self._free.put(tree)
        _print(outcome, as_json=self._as_json)
        return outcome

    def _fate(self, tree: Path, mutant: Mutant) -> Outcome:
        chosen = fastest(self._found.get(mutant.id, []), self._budget)
        if not chosen:
            return Outcome(mutant, "not reached", 0, 0)
        path = tree / mutant.file
        source = path.read_text(encoding="utf-8")
        began = time.monotonic()
        names = tree / "chosen-tests"
        names.write_text("\n".join(chosen), encoding="utf-8")
        _replace(path, mutant.apply(source))
        try:
            status, output = _pytest(tree, "-x", f"@{names}", timeout=HANGS * self._budget)
        finally:
            _replace(path, source)
        took = time.monotonic() - began
        if status is None:
            return Outcome(mutant, "hung", len(chosen), took)
        if status == NO_TEST_FAILED:
            return Outcome(mutant, "survived", len(chosen), took)
        failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
        if status != A_TEST_FAILED and not failed:
            raise SystemExit(f"{mutant.id}: pytest ended with {status}:\n{output}")
        return Outcome(mutant, "killed", len(chosen), took, failed[0] if failed else output[-300:])


def _replace(path: Path, source: str) -> None:
    """Write a module. Bytecode of another text may have the same size and second."""
    path.write_text(source, encoding="utf-8")
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def _print(outcome: Outcome, *, as_json: bool) -> None:
    mutant = outcome.mutant
    if as_json:
        told = {
            "room": mutant.room,
            "id": mutant.id,
            "fate": outcome.fate,
            "tests": outcome.tests,
            "seconds": round(outcome.seconds, 1),
            "killer": outcome.killer,
        }
        print(json.dumps(told), flush=True)
    else:
        print(f"{outcome.fate:12}{outcome.seconds:6.1f} s  {mutant.room}/{mutant.id}", flush=True)
        if outcome.fate in ("survived", "not reached"):
            print(f"            {mutant.file}: {mutant.fault}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
