"""A pytest plugin that writes down how long each test took, and which failed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.mutants.reach import DURATIONS, FAILED


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:  # the process that gathers the reports
        with Path(os.environ[DURATIONS]).open("a", encoding="utf-8") as file:
            said = FAILED if report.failed else report.duration
            file.write(f"{said}\t{report.nodeid}\n")
