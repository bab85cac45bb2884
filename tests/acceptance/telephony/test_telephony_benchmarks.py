"""The benchmarks of telephony measure what they claim: small ones, at one shared gateway."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import pytest
import uvloop

from loadtests.fleet import NO_LIMITS
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.scenarios import calls, ingest
from tests.fakes.asterisk import FakeAsterisk

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
    pytest.mark.slow,
]


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as opened:
        yield opened


@pytest.fixture
def pbx(runner: asyncio.Runner) -> Iterator[FakeAsterisk]:
    asterisk = FakeAsterisk()
    runner.run(asterisk.start())
    yield asterisk
    runner.run(asterisk.stop())


@pytest.fixture
def gateway(pbx: FakeAsterisk) -> Iterator[OwnGateway]:
    """Yield a gateway that is connected to the PBX and receives the benchmark's posts."""
    settings = {**NO_LIMITS, **ingest.SETTINGS, **calls.listening(pbx)}
    with own_gateway(settings=settings) as started:
        yield started


def test_calls_and_events_are_measured(
    gateway: OwnGateway,
    pbx: FakeAsterisk,
    runner: asyncio.Runner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some calls are timed to an agent's socket, and every way of storing events has a rate.

    One test, so that one gateway is started for it wherever it runs.
    """
    monkeypatch.setattr(calls, "WARM_S", 0.1)
    monkeypatch.setattr(calls, "TALK_S", 0.2)
    monkeypatch.setattr(ingest, "BATCHES", (100, 1_000))
    monkeypatch.setattr(ingest, "POSTED", 50)
    monkeypatch.setattr(ingest, "AT_ONCE", 2)
    monkeypatch.setattr(ingest, "TURNS", 1)

    timed = calls.measure(gateway, pbx, runner, Options(users=4, rate=130, seconds=0.5))
    stored = ingest.measure(gateway, Options(rows=10_000, seconds=0.02))

    assert timed.failures == []
    assert timed.figures["calls"] in {4, 5}
    assert timed.figures["not_told"] == 0
    for part in ("", "answered_", "ended_"):
        p50, p99 = timed.figures[f"{part}p50_ms"], timed.figures[f"{part}p99_ms"]
        assert isinstance(p50, float)
        assert isinstance(p99, float)
        assert 0 < p50 <= p99
    assert stored.failures == []
    rates, memory = stored.figures["events_per_s"], stored.figures["memory"]
    assert isinstance(rates, dict)
    assert isinstance(memory, dict)
    assert rates.keys() == {
        "raw_copy", "store_100", "store_1000", "webhook", "webhook_two_pbxs", "query_per_event"
    }  # fmt: skip
    assert all(rate > 0 for rate in rates.values())
    assert stored.figures["growth"] > 0  # type: ignore[operator]
    assert memory["events"] == 2_000
    grown = memory["after_mib"] - memory["before_mib"]
    assert memory["growth_mib"] == pytest.approx(grown, abs=0.2)
