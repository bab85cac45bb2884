"""The progress of a long command, on a terminal and in a file."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest

from gateway.cli.progress import ProgressDisplay, describe, duration


class HandClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(output: io.StringIO, *, seconds: int, total: int = 100) -> str:
    """Show a call done each second, then another stage."""
    clock = HandClock()
    display = ProgressDisplay(output, clock)
    for second in range(seconds + 1):
        clock.now = float(second)
        display.show("calls", 20 + second, total, "3 changed")
    display.show("telephones", 1, 0, "")
    display.end()
    return output.getvalue()


def test_a_file_gets_a_line_every_ten_seconds_and_at_the_end_of_a_stage() -> None:
    """With the rate of this process: the first twenty were done before."""
    assert shown(io.StringIO(), seconds=25).splitlines() == [
        "calls: 30/100 (30%), 1.0/s, 1 min 10 s left, 3 changed",
        "calls: 40/100 (40%), 1.0/s, 1 min 0 s left, 3 changed",
        "calls: 45/100 (45%), 1.0/s, 55 s left, 3 changed",
        "telephones: 1",
    ]


def test_a_terminal_gets_a_bar_that_is_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """It never takes more than one line, and what was longer is wiped out."""
    monkeypatch.setenv("COLUMNS", "200")
    first, second = shown(Terminal(), seconds=80).split("\n")[:2]
    bars = first.split("\r")[1:]

    assert bars[0] == "calls: [####................] 20/100 (20%), 3 changed"
    assert bars[-1].rstrip() == "calls: [####################] 100/100 (100%), 1.0/s, 3 changed"
    assert all(len(new) >= len(old.rstrip()) for old, new in pairwise(bars))
    assert second.split("\r")[-1] == "telephones: 1"
    monkeypatch.setenv("COLUMNS", "30")
    assert max(map(len, shown(Terminal(), seconds=80).replace("\n", "\r").split("\r"))) == 29


@pytest.mark.parametrize(
    ("done", "total", "rate", "line"),
    [
        (0, 0, None, "calls: 0"),
        (0, 2_000, None, "calls: 0/2,000 (0%)"),
        (500, 2_000, 800.4, "calls: 500/2,000 (25%), 800/s, 2 s left"),
        (2_010, 2_000, 12.0, "calls: 2,010/2,000 (100%), 12/s"),
        (7, 0, 0.25, "calls: 7, 0.2/s"),
    ],
)
def test_a_line_says_only_what_is_known(
    done: int, total: int, rate: float | None, line: str
) -> None:
    """Neither a share nor an end without a total; calls may have come since they were counted."""
    assert describe("calls", done, total, rate=rate, note="", bar=False) == line


def test_durations_are_read_at_a_glance() -> None:
    """In two units."""
    assert [duration(s) for s in (0.2, 59.4, 59.6, 725, 12_000)] == [
        "0 s", "59 s", "1 min 0 s", "12 min 5 s", "3 h 20 min",
    ]  # fmt: skip
