"""Lines that strangers cause are bounded, and none is lost without being counted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.ops import bounded_log
from gateway.ops.bounded_log import MOST, BoundedLog
from tests.support.desk import eventually


class KeptLines:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append(("info", event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append(("warning", event, fields))


async def test_so_many_lines_of_a_kind_are_written_and_then_their_number() -> None:
    """Each kind by itself; the next interval begins anew."""
    kept, now = KeptLines(), 0.0
    log = BoundedLog(kept, now=lambda: now)

    for number in range(MOST + 5):
        log.warning("webhook.refused", number=number)
    log.info("http.cut")
    now = bounded_log.EVERY_S
    log.warning("webhook.refused", number=99)

    refused = [fields for level, event, fields in kept.lines if event == "webhook.refused"]
    assert [fields.get("number") for fields in refused] == [*range(MOST), None, 99]
    assert refused[MOST] == {"left_out": 5, "within_s": bounded_log.EVERY_S}
    assert ("info", "http.cut", {}) in kept.lines


async def test_the_number_is_written_though_nothing_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the end of the interval, once."""
    monkeypatch.setattr(bounded_log, "EVERY_S", 0.05)
    kept = KeptLines()
    log = BoundedLog(kept)
    for _ in range(MOST + 3):
        log.info("http.cut")
    assert len(kept.lines) == MOST

    await eventually(lambda: len(kept.lines) > MOST)

    assert kept.lines[MOST:] == [("info", "http.cut", {"left_out": 3, "within_s": 0.05})]


async def test_few_lines_are_followed_by_no_number() -> None:
    """Nothing was left out, so nothing is said."""
    kept, now = KeptLines(), 0.0
    log = BoundedLog(kept, now=lambda: now)
    for _ in range(5):
        log.info("http.cut")
        now += bounded_log.EVERY_S
    await asyncio.sleep(0)

    assert [fields for _, _, fields in kept.lines] == [{}] * 5
