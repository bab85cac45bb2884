"""Load tests run: a gateway of their own, chat users, figures, and nothing left behind."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import orjson
import pytest

ROOT = Path(__file__).parents[2]
BUSY_S = 150
"""20 s on an idle machine; the tests around this one may keep every core busy."""

needs_locust = pytest.mark.skipif(
    importlib.util.find_spec("locust") is None, reason="Locust is not installed (group `load`)"
)


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


@needs_locust
def test_chat_users_hear_everything_they_are_sent() -> None:
    """Six Locust users on two workers lose nothing, and the figures say so."""
    done = run("locust", "--seconds", "10", "--users", "6", "--json")

    assert done.returncode == 0, done.stderr
    figures = orjson.loads(done.stdout)
    assert (figures["failed"], figures["failures"]) == (0, [])
    assert figures["connected"] == 6
    assert figures["delivered"] > 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]
    assert "deliver" in done.stderr  # Locust's own table


def test_a_roundtrip_is_measured_beside_its_floor() -> None:
    """Every message of two seconds arrives, and the floor is measured as often as it can be."""
    done = run("roundtrip", "--seconds", "2", "--rate", "20", "--json")

    assert done.returncode == 0, done.stderr
    figures = orjson.loads(done.stdout)
    assert figures["lost"] == 0
    assert figures["delivered"] == 40
    assert 0 < figures["floor_samples"] <= 40
    assert 0 < figures["floor_p50_ms"] <= figures["floor_p99_ms"]
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]
