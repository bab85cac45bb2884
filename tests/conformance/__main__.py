"""`python -m tests.conformance`: Autobahn|Testsuite against the gateway's own protocol classes.

Exit codes: 0 as expected, 1 not, 77 it cannot run here (no CPython 2.7, nothing to install from).
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
import tempfile
from pathlib import Path

import structlog
import uvloop

from tests.conformance import autobahn, summary
from tests.conformance.autobahn import SuiteUnavailable
from tests.conformance.echo_server import echo_settings, echoing, serving
from tests.conformance.summary import Expected, Summary

EXPECTED = Path(__file__).with_name("expected.json")

SKIPPED = 77  # what automake, meson and others call a skipped test

SECTIONS = {
    1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 9: 54, 10: 1, 12: 90, 13: 126,
}  # fmt: skip
"""Section → how many cases Autobahn has in it. There is no 8 and no 11."""


def sections(text: str) -> list[int]:
    """Read `1-10`, `12,13`, `6`."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None:
            raise argparse.ArgumentTypeError(f"not sections: {text!r}; say 1-10 or 12,13")
        found |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    known = sorted(found & SECTIONS.keys())
    if not known:
        raise argparse.ArgumentTypeError(f"Autobahn has no section {text}")
    return known


async def check(wstest: Path, chosen: list[int], out: Path) -> Summary:
    """Serve, run, judge."""
    with echoing():
        async with serving(echo_settings()) as (_node, port):
            cases = [f"{section}.*" for section in chosen]
            index = await autobahn.run(wstest, port, cases, out)
    wanted = sum(SECTIONS[section] for section in chosen)
    return summary.read(index, Expected.read(EXPECTED), wanted=wanted)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--cases", type=sections, default=sections("1-10"), metavar="1-10")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument("--reports", type=Path, help="keep Autobahn's reports in this folder")
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        wstest = autobahn.install()
    except SuiteUnavailable as reason:
        print(f"SKIPPED: {reason}", file=sys.stderr)  # noqa: T201
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="conformance-") as scratch:
        out = options.reports or Path(scratch)
        out.mkdir(parents=True, exist_ok=True)
        found = uvloop.run(check(wstest, options.cases, out.resolve()))
    said = json.dumps(found.as_json(), indent=2) if options.json else summary.text_of(found)
    print(said)  # noqa: T201
    return 0 if found.passed else 1


if __name__ == "__main__":
    sys.exit(main())
