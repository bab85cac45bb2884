"""Rates equal the published formulas, and are null where nothing can be divided."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.protocol.stats import Method
from gateway.telephony.stats.counts import TalkCounts, WaitCounts, talk_counts, wait_counts
from gateway.telephony.stats.rates import FORMULAS, handling, service

ICMI = WaitCounts(
    offered=1_060, answered=1_000, abandoned=60, answered_in_time=860, abandoned_in_time=20,
    short_abandoned=10, timeout=0, left_queue=0, voicemail=0, failed=0, answered_wait_ms=12_000_000,
    answered_waits=1_000, total_wait_ms=13_000_000, waits=1_060, wait_max_ms=90_000,
    wait=[10_000.0, 22_000.0, 30_000.0],
)  # fmt: skip
"""The example with which ICMI compares them."""

NOTHING = wait_counts(dict.fromkeys(WaitCounts.__slots__))
"""What PostgreSQL returns of no rows: NULL for every sum."""


@pytest.mark.parametrize(
    ("method", "percent"),
    [("sl1", 83.0), ("sl2", 86.0), ("sl3", 81.1), ("sl4", 82.7), ("sl5", 82.1), ("sl6", 81.9)],
)
def test_each_service_level_is_the_published_one(method: Method, percent: float) -> None:
    """Six formulas, six figures, and the answer names its own."""
    level = service(ICMI, method, 20_000).service_level

    assert level.value == pytest.approx(percent / 100, abs=0.0005)
    assert (level.method, level.formula, level.threshold_s) == (method, FORMULAS[method], 20.0)


def test_short_abandons_are_left_out_of_the_rate_and_kept_in_the_raw_one() -> None:
    """(60 - 10) / (1060 - 10), and 60 / 1060."""
    waited = service(ICMI, "sl6", 20_000)

    assert waited.abandonment_rate == pytest.approx(50 / 1_050, abs=1e-6)
    assert waited.abandonment_rate_raw == pytest.approx(60 / 1_060, abs=1e-6)
    assert waited.answer_rate == pytest.approx(1_000 / 1_060, abs=1e-6)
    assert waited.asa_ms == 12_000.0


@pytest.mark.parametrize("method", list(FORMULAS))
def test_nothing_divided_by_nothing_is_null(method: Method) -> None:
    """An hour without calls has no rates, not bad ones."""
    waited = service(NOTHING, method, 20_000)
    row = {"talked": 0, "talk_ms": None, "hold_ms": None, "transferred": 0}
    handled = handling(talk_counts(row), wrap_ms=0)

    rates = (waited.service_level.value, waited.answer_rate, waited.abandonment_rate,
             waited.abandonment_rate_raw, waited.asa_ms, waited.wait_avg_ms, waited.wait_p50_ms,
             waited.wait_max_ms, handled.aht_ms, handled.talk_avg_ms,
             handled.transfer_rate)  # fmt: skip
    assert set(rates) == {None}


def test_only_short_abandons_leave_nothing_to_divide_by() -> None:
    """All callers gave up at once: the service was neither bad nor good."""
    waits = replace(NOTHING, offered=3, abandoned=3, short_abandoned=3, abandoned_in_time=3)

    waited = service(waits, "sl6", 20_000)

    assert waited.service_level.value is None
    assert waited.abandonment_rate is None
    assert waited.abandonment_rate_raw == 1.0


def test_handling_counts_wrap_up_and_holds() -> None:
    """Talk time includes holds; wrap-up is added."""
    talks = TalkCounts(talked=4, talk_ms=40_000, hold_ms=4_000, transferred=1)

    handled = handling(talks, wrap_ms=8_000, answered=5)

    assert (handled.aht_ms, handled.talk_avg_ms) == (12_000.0, 10_000.0)
    assert handled.transfer_rate == 0.2
