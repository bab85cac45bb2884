"""A set that is a list while it is small.

Half a million of these are in a busy worker: who hears a topic, and what a session hears. A list
of 20 takes 0.2 KiB where a set takes 2; looking through it takes 0.2 µs, as often as someone
comes or goes. Beyond SMALL it becomes a set, and stays one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

SMALL = 48


class SmallSet(Generic[T]):
    """Each item once; in order of coming while it is small."""

    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items: list[T] | set[T] = []
        """Read it, go through it; do not keep it."""

    def __contains__(self, item: object) -> bool:
        return item in self.items

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def add(self, item: T) -> bool:
        """Say whether it was new."""
        items = self.items
        if item in items:
            return False
        if isinstance(items, set):
            items.add(item)
        elif len(items) < SMALL:
            items.append(item)
        else:
            self.items = {*items, item}
        return True

    def discard(self, item: T) -> bool:
        """Say whether it was there."""
        if item not in self.items:
            return False
        self.items.remove(item)
        return True
