"""The progress of a long command: a bar on a terminal, else a line every ten seconds.

rebuild ─▶ ProgressDisplay.show ─▶ the output.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TextIO

BAR_S = 0.1
"""A terminal gets a new bar at most this often."""
LINE_S = 10.0
"""A file, a pipe or a journal gets a new line at most this often."""
BAR_CELLS = 20


class ProgressDisplay:
    """Writes how many of how many are done, how fast, and how long the rest takes."""

    def __init__(self, output: TextIO, now: Callable[[], float]) -> None:
        self._output = output
        self._now = now
        self._terminal = output.isatty()
        self._stage = ""
        self._began = self._shown_at = now()
        self._first = 0
        self._latest = ""
        self._drawn = 0

    def show(self, stage: str, done: int, total: int, note: str) -> None:
        """Take the progress of a stage, and write it if the last one was long enough ago.

        Total 0: it is not known. The rate is that of this process, whatever was done before it.
        """
        now = self._now()
        if stage != self._stage:
            self.end()
            self._stage, self._began, self._first = stage, now, done
            self._shown_at = now if not self._terminal else now - BAR_S
        self._latest = describe(
            stage, done, total, rate=rate(done - self._first, now - self._began), note=note,
            bar=self._terminal,
        )  # fmt: skip
        if now - self._shown_at >= (BAR_S if self._terminal else LINE_S):
            self._write()
            self._shown_at = now

    def end(self) -> None:
        """Write the last progress of a stage, which stays."""
        if self._latest:
            self._write()
            if self._terminal:
                self._output.write("\n")
                self._output.flush()
        self._latest, self._drawn = "", 0

    def _write(self) -> None:
        if self._terminal:
            text = self._latest[: shutil.get_terminal_size().columns - 1]
            self._output.write("\r" + text.ljust(self._drawn))
            self._drawn = len(text)
        else:
            self._output.write(self._latest + "\n")
        self._output.flush()


def rate(done: int, seconds: float) -> float | None:
    """Return the number done in a second; None when nothing can be said yet."""
    return done / seconds if done > 0 and seconds > 0 else None


def describe(stage: str, done: int, total: int, *, rate: float | None, note: str, bar: bool) -> str:
    """Return the line: `calls: 500/2,000 (25 %), 800/s, 2 s left, 12 changed`."""
    share = min(1.0, done / total) if total else 0.0
    counted = f"{done:,}"
    if total:
        counted = f"{done:,}/{total:,} ({share:.0%})"
        if bar:
            cells = int(share * BAR_CELLS)
            counted = f"[{'#' * cells}{'.' * (BAR_CELLS - cells)}] {counted}"
    parts = [f"{stage}: {counted}"]
    if rate is not None:
        parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
        if total > done:
            parts.append(f"{duration((total - done) / rate)} left")
    return ", ".join([*parts, note] if note else parts)


def duration(seconds: float) -> str:
    """Return `45 s`, `12 min 5 s`, `3 h 20 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60} min"
