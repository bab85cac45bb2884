"""Receipt: what became of the events that a caller submitted.

storing.batcher ─▶ Receipt ─▶ the caller of Pipeline.submit(). A receipt means: committed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RejectedItem:
    """An event of a submission that is not stored, and why."""

    index: int
    """Its position in what the caller submitted."""
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a submission; it is committed."""

    accepted: int
    duplicates: int
    rejected: tuple[RejectedItem, ...] = ()
    overused: tuple[int, ...] = ()
    """Which of the accepted events belong to a call with too many of them, or over too long a time:
    its key looks like one that is used again and again."""
