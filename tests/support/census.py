"""How much an object keeps: the size of every collection that can be reached from it.

A leak test that names the maps it looks at does not see the one that is added next year.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

OURS = ("gateway", "presence", "ingest")
COLLECTIONS = (dict, set, list, deque)


def census(root: object, *, without: frozenset[str] = frozenset()) -> dict[str, int]:
    """Return path → size of each collection that objects of ours hold, from root downwards.

    `without` are attributes that are left out: counters that are to grow. Collections of
    collections count their parts: a list of empty lists is empty.
    """
    found: dict[str, int] = {}
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [(type(root).__name__, root)]
    while waiting:
        path, one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        for name, value in _attributes(one):
            if name in without:
                continue
            if isinstance(value, COLLECTIONS):
                found[f"{path}.{name}"] = _size(value)
            elif type(value).__module__.partition(".")[0] in OURS:
                waiting.append((f"{path}.{name}", value))
    return found


def grown(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return what has become larger: path → (before, after)."""
    return {
        path: (before.get(path, 0), size)
        for path, size in after.items()
        if size > before.get(path, 0)
    }


def alive(*types: type) -> dict[str, int]:
    """Count the objects of these types that something still refers to."""
    gc.collect()
    kinds = [type(one) for one in gc.get_objects()]
    return {kind.__name__: sum(issubclass(one, kind) for one in kinds) for kind in types}


def _attributes(one: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(one, "__dict__", {}).items()
    for kind in type(one).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in {"__dict__", "__weakref__"} and hasattr(one, name):
                yield name, getattr(one, name)


def _size(value: Any) -> int:
    parts = value.values() if isinstance(value, dict) else value
    inner = [len(part) for part in parts if isinstance(part, COLLECTIONS)]
    return sum(inner) if inner and not isinstance(value, dict) else len(value) + sum(inner)
