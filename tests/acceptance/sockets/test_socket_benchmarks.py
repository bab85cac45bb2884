"""The benchmarks find what there is to find: small crowds at one gateway that they share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from loadtests import busy_loops, fleet, subscribers
from loadtests.fleet import NO_LIMITS, FleetClient
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.report import Result
from loadtests.rivals import RIVALS
from loadtests.scenarios import (
    churn,
    connect,
    costs,
    fanout,
    idle,
    mass_disconnect,
    presence,
    roundtrip,
    scale,
    slow,
    storm,
)

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="CPU time and memory are read from /proc"),
    pytest.mark.slow,
]

Figures = dict[str, float]


@pytest.fixture(scope="module")
def gateway() -> Iterator[OwnGateway]:
    """Give a gateway with two workers that pings often enough for `churn`."""
    with own_gateway(settings={**NO_LIMITS, **churn.SETTINGS}) as started:
        yield started


def measured(
    measure: Callable[[OwnGateway, Options], Result], gateway: OwnGateway, options: Options
) -> Figures:
    """Measure; nothing may have failed."""
    result = measure(gateway, options)
    assert result.failures == []
    return {name: value for name, value in result.figures.items() if isinstance(value, int | float)}


def test_every_server_of_a_fan_out_delivers_everything(gateway: OwnGateway) -> None:
    """Gateway, rivals and floor each have a cost, and each client got every byte."""
    result = fanout.measure(gateway, Options(users=20, seconds=1))

    assert result.failures == []
    costs = result.figures["us_per_delivery"]
    assert isinstance(costs, dict)
    assert {"gateway_1", "gateway_4", "gateway_10", "websockets", "fastapi", "send_floor"} <= {
        *costs
    }
    assert {*RIVALS} == ({*costs} | {*result.skipped}) - {"gateway_1", "gateway_4", "gateway_10"}
    assert all(result.skipped.values()), "a reason for each"
    assert all(0 < cost < 10_000 for cost in costs.values())
    assert result.figures["not_delivered"] == 0
    assert result.figures["gateway_1_per_fastapi"] == pytest.approx(
        costs["gateway_1"] / costs["fastapi"], rel=0.01
    )


def test_idle_connections_cost_memory_and_no_redis_commands(gateway: OwnGateway) -> None:
    """Each connection weighs something, and Redis does not hear of any of them."""
    found = measured(idle.measure, gateway, Options(users=40, seconds=2))

    assert found["kib_per_conn"] < 1_000  # of so few, what the worker frees may outweigh it
    assert found["worker_cpu_us_per_s"] > 0
    assert found["redis_cmds_per_s"] < 80  # one a second from each would be 80 more


def test_what_workers_and_nodes_add_is_measured(gateway: OwnGateway) -> None:
    """Events reach both workers, every simulated node hears all that Redis is told."""
    result = scale.measure(gateway, Options(users=20, seconds=1))

    assert result.failures == []
    assert result.figures["not_delivered"] == 0
    for name in ("one_worker", "two_workers"):
        costs = result.figures[f"{name}_us_per_delivery"]
        assert isinstance(costs, dict)
        assert costs.keys() == {"in_2", "in_20"}
        assert all(0 < cost < 10_000 for cost in costs.values())
    sent = result.figures["redis_bytes_out_per_publish"]
    assert isinstance(sent, dict)
    assert sent["10"] > 8 * sent["1"] > 8 * 237


def test_a_node_that_hears_nothing_is_a_failure(
    gateway: OwnGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Subscribers of other topics are found out."""
    monkeypatch.setattr(scale, "ARRIVE_S", 0.2)
    monkeypatch.setattr(subscribers, "PREFIX", "elsewhere:")

    result = scale.measure(gateway, Options(users=2, seconds=1))

    assert result.failures == ["one of 1 nodes did not receive everything"]


def test_everyone_who_connects_is_counted(gateway: OwnGateway) -> None:
    """Thirty hellos have a rate, a cost and latencies."""
    found = measured(connect.measure, gateway, Options(users=30))

    assert found["connected"] == 30
    assert found["hellos_per_core_s"] == pytest.approx(1e6 / found["cpu_us_per_hello"], rel=0.05)
    assert found["welcome_bytes"] > 1_000
    assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]


def test_another_checkout_is_measured_in_turn(gateway: OwnGateway) -> None:
    """A hello, a return and a lone message have a cost each, and the same gateway twice a ratio."""
    result = costs.measure([gateway, gateway], Options(users=20, seconds=1))

    found = result.figures
    assert result.failures == []
    for name in ("hello", "return", "return_alone", "message_alone"):
        for part in ("worker", "database"):
            ours, before = found[f"{name}_{part}_us"], found[f"before_{name}_{part}_us"]
            assert isinstance(ours, int)
            assert isinstance(before, int)
            assert min(ours, before) > 0
            assert found[f"{name}_{part}_ratio"] == pytest.approx(ours / before, rel=0.05)


def test_busy_loops_end_with_the_measurement(gateway: OwnGateway) -> None:
    """They run while messages are timed, and not afterwards."""
    with busy_loops.busy_loops(2, gateway.directory) as loops:
        assert all(loop.alive for loop in loops)
    assert not any(loop.alive for loop in loops)

    result = roundtrip.measure(gateway, Options(rate=50, seconds=1, busy=1))

    assert result.figures["lost"] == 0
    assert result.figures["p99_per_floor"] == pytest.approx(
        result.figures["p99_ms"] / result.figures["floor_p99_ms"],  # type: ignore[operator]
        rel=0.05,
    )


def test_a_storm_loses_and_repeats_nothing(gateway: OwnGateway) -> None:
    """Forty clients cut at once come back and have every message exactly once."""
    found = measured(storm.measure, gateway, Options(users=40, seconds=0.3))

    assert (found["lost"], found["duplicated"]) == (0, 0)
    assert found["messages"] > 0
    assert found["events_received"] == 40 * found["messages"]
    assert 0 <= found["database_busy_max"] <= found["database_connections_max"] <= 20
    assert found["database_connections_max"] > 0


def test_everyone_is_shown_as_they_are_to_whoever_watches(gateway: OwnGateway) -> None:
    """Forty come and choose, each watched by 39: a change costs Redis no command for a watcher."""
    found = measured(presence.measure, gateway, Options(users=40, seconds=0.4))

    assert (found["wrong"], found["refused"]) == (0, 0)
    assert found["choices"] == 40
    assert 0 < found["redis_cmds_per_change"] < 39  # one for each of the watched would be more
    assert 0 < found["choice_redis_cmds"] < 39
    assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]
    assert found["news_per_frame"] >= 1


def test_a_client_that_reads_nothing_is_let_go(gateway: OwnGateway) -> None:
    """Twenty readers miss nothing while two who stall are let go, one after the other."""
    found = measured(slow.measure, gateway, Options(users=20, seconds=0.4))

    assert (found["lost"], found["let_go"]) == (0, 2)
    assert found["delivered"] == 2 * 2 * 10 * 20
    assert found["p99_ms"] > 0
    assert found["stalled_p99_ms"] > 0


def test_those_who_stay_lose_nothing_when_a_crowd_leaves(gateway: OwnGateway) -> None:
    """Sixty are cut; the others' messages arrive, and the worker holds nothing of the sixty."""
    found = measured(mass_disconnect.measure, gateway, Options(users=60, seconds=0.5))

    assert found["clients"] == 60
    assert found["lost"] == 0
    assert found["before_delivered"] > 20
    assert found["delivered"] > 20
    assert 0 < found["longest_gap_ms"] < 5_000


def test_visitors_of_every_manner_leave_nothing_behind(gateway: OwnGateway) -> None:
    """Sixty come and go, and everything counted is as before."""
    found = measured(churn.measure, gateway, Options(users=60))

    assert found["visits"] == 60
    assert (found["connections_after"], found["topics_after"], found["streams_after"]) == (0, 0, 0)
    assert found["tasks_after"] <= found["tasks_before"]


def test_what_a_worker_keeps_is_a_failure(
    gateway: OwnGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that stays after the visits is found, and the result is not ok."""
    friends: list[FleetClient] = []
    look = churn._quiet

    async def bring_a_friend(member: FleetClient) -> None:
        """Leave somebody behind."""
        friends.append(FleetClient(member.player))
        await friends[-1].connect(0)

    async def look_and_fetch_them(*arguments: Any) -> Any:
        found = await look(*arguments)
        await fleet.dismiss(friends)
        return found

    monkeypatch.setattr(churn, "MANNERS", (bring_a_friend,))
    monkeypatch.setattr(churn, "QUIET_S", 0.5)
    monkeypatch.setattr(churn, "_quiet", look_and_fetch_them)

    result = churn.measure(gateway, Options(users=2))

    assert not result.ok
    assert "gateway_connections stayed at 1" in result.failures
