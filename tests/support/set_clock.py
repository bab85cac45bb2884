"""A clock that stands still until a test moves it."""

from __future__ import annotations


class SetClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def __call__(self) -> float:
        return self.at
