"""The socket benchmarks run, small: figures that can be, nobody left out, nothing left behind."""

from __future__ import annotations

import sys
from typing import Any

import orjson
import pytest

from tests.acceptance.test_loadtests import run

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="CPU time and memory are read from /proc"
)


def figures(*arguments: str) -> dict[str, Any]:
    """Run one benchmark that must succeed; return what it found."""
    done = run(*arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = orjson.loads(done.stdout)
    assert found["failures"] == []
    return found


def test_every_server_of_a_fan_out_delivers_everything() -> None:
    """Gateway, rivals and floor each have a cost, and each client got every byte."""
    found = figures("fanout", "--users", "20")

    costs = found["us_per_delivery"]
    assert {"gateway_1", "gateway_4", "gateway_10", "websockets", "fastapi", "send_floor"} <= {
        *costs
    }
    assert all(0 < cost < 10_000 for cost in costs.values())
    assert costs["gateway_10"] < costs["gateway_1"]  # frames of one turn leave in one write
    assert found["not_delivered"] == 0


def test_idle_connections_cost_memory_and_no_redis_commands() -> None:
    """Each connection weighs something, and Redis does not hear of any of them."""
    found = figures("idle", "--users", "40", "--seconds", "3")

    assert found["kib_per_conn"] > 0
    assert found["worker_cpu_us_per_s"] > 0
    assert found["redis_cmds_per_s"] < 10  # one in three seconds from each would be 46


def test_everyone_who_connects_is_counted() -> None:
    """Thirty hellos have a rate, a cost and latencies."""
    found = figures("connect", "--users", "30")

    assert found["connected"] == 30
    assert found["hellos_per_core_s"] > 0
    assert found["welcome_bytes"] > 1_000
    assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]


def test_a_storm_loses_and_repeats_nothing() -> None:
    """Forty clients cut at once come back and have every message exactly once."""
    found = figures("storm", "--users", "40")

    assert (found["lost"], found["duplicated"]) == (0, 0)
    assert found["messages"] > 0
    assert found["events_received"] == 40 * found["messages"]


def test_a_client_that_reads_nothing_is_let_go() -> None:
    """Twenty readers miss nothing while two who stall are let go, one after the other."""
    found = figures("slow", "--users", "20")

    assert (found["lost"], found["let_go"]) == (0, 2)
    assert found["delivered"] == 2 * 2 * 100 * 20
    assert found["p99_ms"] > 0
    assert found["stalled_p99_ms"] > 0
