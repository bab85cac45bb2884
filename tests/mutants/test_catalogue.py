"""The catalogue of mutants fits the code, and the way to their tests finds the right statements."""

from __future__ import annotations

import ast
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.catalogue import DoesNotApply, Mutant, mutants
from tests.mutants.reach import instrument, reaching_tests

ROOT = Path(__file__).parents[2]


def a_mutant(old: str, new: str) -> Mutant:
    return Mutant("room", "id", "gateway/some.py", old, new, "wrong")


def test_every_mutant_applies_to_the_code() -> None:
    """Whoever changes the code that a mutant changes writes the mutant anew."""
    chosen = list(mutants())

    for mutant in chosen:
        mutant.apply((ROOT / mutant.file).read_text(encoding="utf-8"))

    assert len(chosen) >= 80
    assert [
        each for each, times in Counter(mutant.id for mutant in chosen).items() if times > 1
    ] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [("absent", "x"), ("1", "2"), ("a = 1", "a =  1")],
    ids=["not there", "there twice", "means the same"],
)
def test_a_mutant_that_changes_nothing_is_refused(old: str, new: str) -> None:
    """Or else it would survive for ever, or be killed by a syntax error."""
    with pytest.raises(DoesNotApply):
        a_mutant(old, new).apply("a = 1\nb = 11\n")


CODE = '''
"""A module."""
from __future__ import annotations

LIMIT = 5

def plain(a):
    """Say something."""
    if a:
        return LIMIT
    elif a is None:
        a = 2
    return a

def user():
    return 1 + LIMIT
'''


@pytest.mark.parametrize(
    ("old", "new", "before"),
    [
        ("return a\n", "return -a\n", ["return a"]),
        ("if a:", "if not a:", ["if a:"]),
        ("elif a is None", "elif a is 3", ["if a:"]),
        ("a = 2", "a = 3", ["a = 2"]),
        ("LIMIT = 5", "LIMIT = 6", ["if a:", "return 1 + LIMIT"]),
    ],
)
def test_a_statement_tells_that_it_is_reached(
    tmp_path: Path, old: str, new: str, before: list[str]
) -> None:
    """An elif is reached with its if, a constant with the functions that use it."""
    (tmp_path / "gateway").mkdir()
    file = tmp_path / "gateway" / "some.py"
    file.write_text(textwrap.dedent(CODE).lstrip(), encoding="utf-8")

    instrument(tmp_path, {7: a_mutant(old, new)})

    lines = file.read_text(encoding="utf-8").splitlines()
    ast.parse("\n".join(lines))
    told = [number for number, line in enumerate(lines) if line.strip() == "_reach(7)"]
    assert [lines[number + 1].strip() for number in told] == before


def test_the_fastest_test_of_a_mutant_comes_first(tmp_path: Path) -> None:
    """What no test was running for, such as an import, counts for none."""
    hits, durations = tmp_path / "hits", tmp_path / "durations"
    hits.write_text("1\ta::slow (call)\n1\ta::fast (setup)\n2\t\n1\ta::fast (call)\n")
    durations.write_text("2.0\ta::slow\n0.5\ta::fast\n0.1\ta::fast\n")

    assert reaching_tests(hits, durations) == {1: [("a::fast", 0.6), ("a::slow", 2.0)]}
