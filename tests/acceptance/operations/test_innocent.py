"""The benchmark of who is hurt by others' attacks measures what it says: a small one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from loadtests import instrument
from loadtests.options import Options
from loadtests.own_gateway import own_gateway
from loadtests.scenarios import innocent

pytestmark = pytest.mark.slow


@pytest.mark.skipif(sys.platform != "linux", reason="poll(2) reports POLLRDHUP on Linux alone")
def test_each_attack_reaches_the_worker_and_is_compared_in_turns() -> None:
    """Every attack is answered; times, ratios and the worker's callbacks are there."""
    with TemporaryDirectory(prefix="gwi-") as made:
        directory = Path(made)
        with own_gateway(workers=1, settings=instrument.environment(directory)) as gateway:
            result = innocent.measure(gateway, directory, Options(seconds=0.5), rounds=1)

    lost = result.figures["lost"]
    assert result.failures == ([f"{lost} messages were refused or not answered"] if lost else [])
    longest = result.figures["longest_callback_ms"]
    assert isinstance(longest, float)
    assert longest > 0
    for name in ("p99_ratio", "p99_ratio_beside_equal_cpu", "longest_callback_ms_of"):
        ratios = result.figures[name]
        assert isinstance(ratios, Mapping)
        assert set(ratios) == set(innocent.KINDS)
        assert all(value > 0 for value in ratios.values())
    for kind in innocent.KINDS:
        figures = result.figures[kind]
        assert isinstance(figures, Mapping)
        assert figures["served"] + figures["refused"] > 0, kind
        assert figures["p99_ms"] >= figures["p50_ms"] > 0
