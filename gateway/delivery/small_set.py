"""A set that is a list while it is small.

A busy worker has half a million of these: the listeners of a topic, the topics of a session. A list
of 20 takes 0.2 KiB where a set takes 2; searching it takes 0.2 µs, whenever somebody joins or
leaves. Beyond SMALL items it becomes a set, and stays one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

SMALL = 48


class SmallSet(Generic[T]):
    """Each item once; in order of insertion while it is small."""

    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items: list[T] | set[T] = []
        """For reading and iterating; do not keep it."""

    def __contains__(self, item: object) -> bool:
        return item in self.items

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def add(self, item: T) -> bool:
        """Add it; return whether it was new."""
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
        """Remove it; return whether it was there."""
        if item not in self.items:
            return False
        self.items.remove(item)
        return True
