"""Union-find: keys that belong together, transitively.

storing.identity joins native ids of one call with it, and fold.group_by_call does so without a
database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class UnionFind(Generic[K]):
    """Disjoint sets of keys; a key that was never mentioned is a set of its own."""

    __slots__ = ("_parent",)

    def __init__(self) -> None:
        self._parent: dict[K, K] = {}

    def root(self, key: K) -> K:
        """Return the key that stands for the whole set; shortens the way to it."""
        while (parent := self._parent.setdefault(key, key)) != key:
            self._parent[key] = self._parent[parent]
            key = parent
        return key

    def union(self, keys: Iterable[K]) -> None:
        """Put these keys, and all keys of their sets, into one set."""
        roots = [self.root(key) for key in keys]
        for root in roots:
            self._parent[root] = roots[0]

    def sets(self) -> list[list[K]]:
        """Return every set, its keys in the order in which they were first mentioned."""
        found: dict[K, list[K]] = defaultdict(list)
        for key in self._parent:
            found[self.root(key)].append(key)
        return list(found.values())
