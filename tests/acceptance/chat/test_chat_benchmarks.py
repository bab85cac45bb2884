"""The messenger's benchmarks measure what they say: small ones, with servers of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from loadtests.fleet import NO_LIMITS
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.scenarios import send, unread
from loadtests.scenarios.unread import UnreadVolume

pytestmark = pytest.mark.slow


@pytest.fixture
def gateway() -> Iterator[OwnGateway]:
    """Give a gateway with one worker."""
    with own_gateway(workers=1, settings=NO_LIMITS) as started:
        yield started


@pytest.mark.skipif(sys.platform != "linux", reason="CPU time is read from /proc")
def test_sending_is_measured_beside_its_floor(gateway: OwnGateway) -> None:
    """Two sizes have rates, latencies and a floor; a send is one statement, the floor three."""
    result = send.measure(gateway, Options(users=3, seconds=0.2))

    assert result.failures == []
    assert set(result.figures) == {"conversations_1", "conversations_3"}
    found = result.figures["conversations_3"]
    assert isinstance(found, dict)
    assert found["messages_per_s"] > 0
    assert found["worker_cpu_us"] > 0
    assert found["per_floor"] == pytest.approx(
        found["messages_per_s"] / found["floor_per_s"], rel=0.05
    )
    assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]
    assert 0 < found["floor_p50_ms"] <= found["floor_p99_ms"]


async def test_three_ways_of_counting_agree() -> None:
    """The same person is counted with a tenth of the messages and with all, index-only."""
    result = await unread.measure(
        UnreadVolume(messages=150_000, conversations=300, mine=30, runs=5)
    )

    assert result.failures == []
    ms = result.figures["ms"]
    assert isinstance(ms, dict)
    assert set(ms) == {"list", "total", "recipients", "n_plus_1", "unbounded"}
    assert all(value > 0 for value in ms.values())
    assert result.figures["heap_fetches"] == 0
    unread_messages = result.figures["unread"]
    assert isinstance(unread_messages, int)
    assert 400 < unread_messages <= sum(range(30))  # a few are my own
