"""`python -m loadtests [NAME] [--json]`: run one scenario, or all short ones."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from gateway.embedded import EmbeddedError
from loadtests import report
from loadtests.options import Options
from loadtests.scenarios import ALIASES, LONG, SCENARIOS


def main() -> int:
    """Return 0 when all checks passed, 1 when one failed, 2 when a scenario could not run."""
    given = _arguments().parse_args()
    # SIGTERM as Ctrl-C: the gateway is stopped and its data removed.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    options = Options(
        given.seconds,
        given.users,
        given.rate,
        given.seed,
        given.rows,
        given.processes,
        given.bound_ms,
        given.minutes,
        given.against,
        given.jobs,
        given.busy,
        quiet=given.json,
    )
    ok = True
    short = [name for name in SCENARIOS if name not in LONG]
    for name in [given.name] if given.name else short:
        try:
            result = SCENARIOS[name](options)
        except (EmbeddedError, RuntimeError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("Stopped.", file=sys.stderr)
            return 130
        print(report.to_json(result) if given.json else report.table(result), flush=True)
        ok = ok and result.ok
    return 0 if ok else 1


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests",
        description="Start a gateway, measure it, and stop it. loadtests/README.md explains each"
        " figure. Exit status: 0 all checks passed, 1 one failed, 2 a scenario could not run.",
    )
    parser.add_argument(
        "name",
        nargs="?",
        type=lambda name: ALIASES.get(name, name),
        choices=SCENARIOS,
        help="without a name: all scenarios but the long ones, about 5 minutes",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object per scenario, one per line, and nothing else",
    )
    parser.add_argument("--seconds", type=_positive, help="duration of the measurement in seconds")
    parser.add_argument(
        "--users",
        "--clients",
        type=_people,
        help="number of clients, 2 to 10,000",
    )
    parser.add_argument("--rate", type=_positive, help="roundtrip only: messages per second")
    parser.add_argument(
        "--seed",
        type=int,
        help="messenger only: seed of the plan; the same seed repeats the same plan",
    )
    parser.add_argument(
        "--rows",
        type=_rows,
        help="ingest only: number of events stored at the end, 20,000 to 100,000,000",
    )
    parser.add_argument(
        "--jobs",
        type=_jobs,
        help="jobs only: number of jobs under somebody else's snapshot, 100 to 10,000,000",
    )
    parser.add_argument(
        "--processes",
        type=int,
        choices=range(1, 17),
        metavar="1-16",
        help="locust and capacity only: number of Locust processes",
    )
    parser.add_argument(
        "--bound-ms", type=_positive, help="capacity only: p99 that must not be reached"
    )
    parser.add_argument(
        "--minutes", type=_positive, help="capacity only: no trial begins after this time"
    )
    parser.add_argument(
        "--against",
        type=_checkout,
        metavar="DIRECTORY",
        help="costs only: another checkout of the gateway, measured in turn with this one",
    )
    parser.add_argument(
        "--busy",
        type=int,
        choices=range(17),
        default=0,
        metavar="0-16",
        help="roundtrip only: processes that keep a core busy each meanwhile",
    )
    return parser


def _checkout(text: str) -> Path:
    found = Path(text).resolve()
    if not (found / "gateway/cli/worker.py").is_file():
        raise argparse.ArgumentTypeError("holds no gateway")
    return found


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 100_000:
        raise argparse.ArgumentTypeError("must be above 0 and at most 100,000")
    return value


def _rows(text: str) -> int:
    value = int(text)
    if not 20_000 <= value <= 100_000_000:
        raise argparse.ArgumentTypeError("must be from 20,000 to 100,000,000")
    return value


def _jobs(text: str) -> int:
    value = int(text)
    if not 100 <= value <= 10_000_000:
        raise argparse.ArgumentTypeError("must be from 100 to 10,000,000")
    return value


def _people(text: str) -> int:
    value = int(text)
    if not 2 <= value <= 10_000:
        raise argparse.ArgumentTypeError("must be from 2 to 10,000")
    return value


if __name__ == "__main__":
    sys.exit(main())
