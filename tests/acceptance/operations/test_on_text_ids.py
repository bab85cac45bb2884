"""The tests of chat and calls once more, on a CRM with uuids, quoted names and a Nest's tokens.

In processes of their own: which CRM tests run on is decided when they start. What is slow on the
demo runs there alone; a test that is about the demo's numbers says so.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ACCEPTANCE = Path(__file__).parents[1]
OWN_DATABASES = {"test_text_crm"}
"""Modules that make their CRM themselves."""
MODULES = [
    path
    for room in ("chat", "telephony")
    for path in sorted((ACCEPTANCE / room).glob("test_*.py"))
    if path.stem not in OWN_DATABASES
]
PARTS = 8
"""Each starts its own servers, which takes 5 s; one alone would run for minutes."""
SLOW = [
    ACCEPTANCE / "telephony" / "test_huge_calls.py",
    ACCEPTANCE / "telephony" / "test_callbacks_without_views.py",
    ACCEPTANCE / "telephony" / "test_watch_cost.py",
]
"""Slow ones that read the CRM. Benchmarks and counts of recordings are of the demo's numbers."""
OUTPUT_LINES = 80


@pytest.mark.slow
@pytest.mark.timeout(620)
@pytest.mark.parametrize("part", range(PARTS))
def test_chat_and_calls_work_on_text_ids(part: int) -> None:
    """All of their first ring passes; nothing is skipped without a reason of its own."""
    _pass_on_text_ids("not slow", MODULES[part::PARTS])


@pytest.mark.slow
@pytest.mark.timeout(620)
def test_what_is_slow_works_on_text_ids() -> None:
    """Calls of thousands of legs, call-backs without views, and what watching costs."""
    _pass_on_text_ids("slow", SLOW)


def _pass_on_text_ids(which: str, modules: list[Path]) -> None:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", which,
         "-p", "no:cacheprovider", *map(str, modules)],
        env=ours | {"GATEWAY_TEST_CRM": "text"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )  # fmt: skip

    assert done.returncode == 0, "\n".join(done.stdout.splitlines()[-OUTPUT_LINES:])
    counts = {what: int(n) for n, what in re.findall(r"(\d+) (passed|skipped)", done.stdout)}
    assert counts["passed"] > 10 * counts.get("skipped", 0)
