"""The three files as rows: every time in microseconds since 1970, nothing interpreted.

queue_log, CDR (CSV) and CEL (CSV) ─▶ here ─▶ calls.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

SECOND = 1_000_000


@dataclass(frozen=True)
class QueueLogRow:
    """One line of queue_log. Its time is a whole second."""

    at: int
    channel: str
    """The caller's channel; NONE for what is about an agent alone."""
    queue: str
    member: str
    event: str
    data: tuple[str, ...]


@dataclass(frozen=True)
class CelRow:
    """One channel event."""

    event: str
    at: int
    number: str
    extension: str
    context: str
    channel: str
    application: str
    arguments: str
    unique_id: str
    linked_id: str
    extra: dict[str, Any]


@dataclass(frozen=True)
class CdrRow:
    """One call detail record."""

    channel: str
    dialled_channel: str
    duration_s: int
    talked_s: int
    disposition: str


@dataclass(frozen=True)
class Records:
    """All that the PBX wrote down."""

    queue_log: list[QueueLogRow]
    cdr: list[CdrRow]
    cel: list[CelRow]


def read(folder: Path, name: str) -> Records:
    """Read the three files of a recording."""
    return Records(
        list(_queue_log(folder / f"{name}.queue_log")),
        list(_cdr(folder / f"{name}.cdr.csv")),
        list(_cel(folder / f"{name}.cel.csv.gz")),
    )


def _queue_log(path: Path) -> Iterator[QueueLogRow]:
    for line in path.read_text(encoding="utf-8").splitlines():
        at, channel, queue, member, event, *data = line.split("|")
        yield QueueLogRow(int(at) * SECOND, channel, queue, member, event, tuple(data))


def _cdr(path: Path) -> Iterator[CdrRow]:
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.reader(lines):
            yield CdrRow(
                channel=row[5], dialled_channel=row[6], duration_s=int(row[12]),
                talked_s=int(row[13]), disposition=row[14],
            )  # fmt: skip


def _cel(path: Path) -> Iterator[CelRow]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.reader(lines):
            yield CelRow(
                event=row[0], at=int(Decimal(row[1]) * SECOND), number=row[3], extension=row[4],
                context=row[5], channel=row[6], application=row[7], arguments=row[8],
                unique_id=row[9], linked_id=row[10], extra=json.loads(row[12] or "{}"),
            )  # fmt: skip
