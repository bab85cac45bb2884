"""Which cases of a test belong to the first ring, before each commit, when nobody says so.

A case that starts a gateway costs a hundred times what one of a plain function does, and tables of
cases grow. Of a test on a database or in a browser the first ring runs the first few of its
parameters; the second runs all.
"""

from __future__ import annotations

from collections import Counter

import pytest

COSTLY = frozenset({"databases", "chromium"})
"""Fixtures, also behind others, of which each case has its own share."""
FEW = 3


@pytest.hookimpl(tryfirst=True)  # before -m "not slow" looks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what is beyond the first few cases; `cases(8)` says how many are few."""
    counted: Counter[str] = Counter()
    for item in items:
        if not hasattr(item, "callspec") or COSTLY.isdisjoint(getattr(item, "fixturenames", ())):
            continue
        if item.get_closest_marker("slow"):
            continue
        test = item.nodeid.partition("[")[0]
        counted[test] += 1
        said = item.get_closest_marker("cases")
        if counted[test] > (said.args[0] if said else FEW):
            item.add_marker("slow")
