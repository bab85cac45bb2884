"""Load tests run from the command line: figures, an exit code, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from loadtests.__main__ import main
from loadtests.baselines import procrastinate_jobs
from loadtests.scenarios import LONG, SCENARIOS, jobs

ROOT = Path(__file__).parents[3]
BUSY_S = 100
"""5 s on an idle machine; the tests around this one may keep every core busy."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run load tests as a developer would; give them a directory that must be empty afterwards."""
    with tempfile.TemporaryDirectory(prefix="lt-") as directory:
        done = subprocess.run(
            [sys.executable, "-m", "loadtests", *arguments],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": directory},
            capture_output=True,
            text=True,
            timeout=BUSY_S,
            check=False,
        )
        assert list(Path(directory).iterdir()) == []
    return done


@pytest.mark.slow
def test_a_roundtrip_is_measured_beside_its_floor() -> None:
    """Every message of a second arrives, and the floor is measured as often as it can be."""
    done = run("roundtrip", "--seconds", "1", "--rate", "40", "--json")

    assert done.returncode == 0, done.stderr
    figures = orjson.loads(done.stdout)
    assert figures["lost"] == 0
    assert figures["delivered"] == 40
    assert 0 < figures["floor_samples"] <= 40
    assert 0 < figures["floor_p50_ms"] <= figures["floor_p99_ms"]
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]


@pytest.mark.parametrize(
    "asked", [["nonsense"], ["storm", "--users", "1"], ["idle", "--rate", "0"]]
)
def test_what_cannot_be_run_is_said_at_once(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name or a number that makes no sense starts no server."""
    monkeypatch.setattr(sys, "argv", ["loadtests", *asked])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "usage:" in said.err


def test_the_manual_describes_every_scenario() -> None:
    """loadtests/README.md has a section for each, and names those that run only by name."""
    manual = (ROOT / "loadtests" / "README.md").read_text(encoding="utf-8")

    assert [name for name in SCENARIOS if f"\n## {name}\n" not in manual] == []
    assert set(SCENARIOS) >= LONG


@pytest.mark.slow
async def test_jobs_are_measured_beside_procrastinate() -> None:
    """Every job is done, on both; the figures are there, whatever a busy machine makes of them."""
    result = await jobs.measure(jobs=400, jobs_a_turn=100, idle_s=4)

    assert not [failure for failure in result.failures if "left" in failure]
    rates = result.figures["jobs_per_s"]
    assert isinstance(rates, Mapping)
    assert rates["gateway"] > 0
    assert (rates["procrastinate"] > 0) == procrastinate_jobs.is_installed()
    assert result.figures["jobs_under_snapshot"] == 400
    for name in (
        "jobs_mb_after_million", "jobs_mb_highest", "idle_statements_per_s", "relay_per_s",
        "publish_per_insert", "keyed_publish_per_insert", "publish_executor_per_insert",
    ):  # fmt: skip
        figure = result.figures[name]
        assert isinstance(figure, float)
        assert figure > 0
