"""`python -m loadtests [NAME] [--json]`: run one scenario, or all of them."""

from __future__ import annotations

import argparse
import signal
import sys

from gateway.embedded import EmbeddedError
from loadtests import report
from loadtests.options import Options
from loadtests.scenarios import LONG, SCENARIOS


def main() -> int:
    """Return 0 when everything that was sent arrived, 1 otherwise, 2 when nothing could run."""
    given = _arguments().parse_args()
    # SIGTERM as Ctrl-C: the gateway is stopped and its data removed.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    options = Options(
        given.seconds, given.users, given.rate, given.seed, given.rows, quiet=given.json
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
        description="Measure a gateway that is started for it. README.md says what figures mean.",
    )
    parser.add_argument(
        "name", nargs="?", choices=SCENARIOS, help="without it: all but the long ones, in 5 minutes"
    )
    parser.add_argument("--json", action="store_true", help="one object a line and nothing else")
    parser.add_argument("--seconds", type=_positive, help="how long to measure")
    parser.add_argument(
        "--users", "--clients", type=_people, help="how many clients; locust: in pairs"
    )
    parser.add_argument("--rate", type=_positive, help="roundtrip: messages per second")
    parser.add_argument("--seed", type=int, help="messenger: the same plan again")
    parser.add_argument("--rows", type=_rows, help="ingest: how many events there are in the end")
    return parser


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


def _people(text: str) -> int:
    value = int(text)
    if not 2 <= value <= 10_000:
        raise argparse.ArgumentTypeError("must be from 2 to 10,000")
    return value


if __name__ == "__main__":
    sys.exit(main())
