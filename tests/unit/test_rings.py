"""Which cases of a costly test are run before each commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.rings import FEW, pytest_collection_modifyitems


@dataclass
class CollectedCase:
    """What pytest has collected of one case, as far as the rings look."""

    nodeid: str
    fixturenames: list[str]
    marks: dict[str, pytest.Mark] = field(default_factory=dict)
    callspec: object = field(default_factory=object)

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return self.marks.get(name)

    def add_marker(self, name: str) -> None:
        self.marks[name] = getattr(pytest.mark, name).mark


def cases(test: str, fixture: str, count: int = FEW + 2, *marks: pytest.MarkDecorator) -> list[Any]:
    found = {mark.name: mark.mark for mark in marks}
    return [CollectedCase(f"{test}[{n}]", ["request", fixture], dict(found)) for n in range(count)]


def first_ring(items: list[Any]) -> list[str]:
    pytest_collection_modifyitems(items)
    return [item.nodeid for item in items if not item.get_closest_marker("slow")]


@pytest.mark.parametrize("fixture", ["databases", "chromium"])
def test_a_costly_test_tries_a_few_of_its_cases(fixture: str) -> None:
    """Of each test by itself, in the order in which they are written."""
    items = cases("a.py::one", fixture) + cases("a.py::two", fixture)

    chosen = first_ring(items)

    assert chosen == [f"a.py::{test}[{n}]" for test in ("one", "two") for n in range(FEW)]


def test_a_test_may_say_how_many_are_few() -> None:
    """More than usual, or one; what is slow already is not counted."""
    many = pytest.mark.cases(FEW + 1)

    assert len(first_ring(cases("a.py::one", "databases", 9, many))) == FEW + 1
    assert len(first_ring(cases("a.py::one", "databases", 9, pytest.mark.cases(1)))) == 1
    slow = cases("a.py::one", "databases", 2, pytest.mark.slow)
    assert first_ring(slow + cases("a.py::one", "databases", 2)) == ["a.py::one[0]", "a.py::one[1]"]


def test_a_cheap_test_tries_all() -> None:
    """And what has no parameters is one case, however often its name begins alike."""
    items = cases("a.py::one", "tmp_path")
    single = [CollectedCase(f"a.py::test_{n}", ["databases"]) for n in range(FEW + 2)]
    for one in single:
        del one.callspec

    assert len(first_ring(items + single)) == 2 * (FEW + 2)
