"""The tests of chat and calls once more, on a CRM with uuids, quoted names and a Nest's tokens.

Each module in a process of its own: which CRM the tests run on is decided when one starts. What is
slow on the demo runs there alone; a test that is about the demo's numbers says so.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ACCEPTANCE = Path(__file__).parents[1]
WITHOUT_A_DESK = {"test_chat_benchmarks", "test_telephony_benchmarks", "test_text_crm"}
"""They start processes on databases of their own."""
MODULES = [
    path
    for room in ("chat", "telephony")
    for path in sorted((ACCEPTANCE / room).glob("test_*.py"))
    if path.stem not in WITHOUT_A_DESK
]
OUTPUT_LINES = 60


@pytest.mark.slow
@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_chat_and_calls_work_on_text_ids(path: Path) -> None:
    """All of its first ring passes; nothing is skipped without a reason of its own."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "not slow",
         "-p", "no:cacheprovider", str(path)],
        env=ours | {"GATEWAY_TEST_CRM": "text"},
        capture_output=True,
        text=True,
        check=False,
        timeout=220,
    )  # fmt: skip

    assert done.returncode == 0, "\n".join(done.stdout.splitlines()[-OUTPUT_LINES:])
    counts = {what: int(n) for n, what in re.findall(r"(\d+) (passed|skipped)", done.stdout)}
    assert counts["passed"] > counts.get("skipped", 0)
