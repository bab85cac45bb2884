"""The catalogue of mutants fits the code, and the way to their tests finds the right statements."""

from __future__ import annotations

import ast
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.catalogue import DoesNotApply, Mutant, mutants
from tests.mutants.reach import fastest, instrument, reaching_tests

ROOT = Path(__file__).parents[2]


def a_mutant(old: str, new: str) -> Mutant:
    return Mutant("room", "id", "gateway/some.py", old, new, "wrong")


def test_every_mutant_applies_to_the_code() -> None:
    """Whoever changes the code that a mutant changes writes the mutant anew."""
    chosen = list(mutants())

    for mutant in chosen:
        mutant.apply((ROOT / mutant.file).read_text(encoding="utf-8"))

    assert len(chosen) >= 100
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

    instrument(tmp_path, [a_mutant(old, new)])

    lines = file.read_text(encoding="utf-8").splitlines()
    ast.parse("\n".join(lines))
    told = [number for number, line in enumerate(lines) if line.strip() == "_reach('id')"]
    assert [lines[number + 1].strip() for number in told] == before


def test_the_fastest_test_of_a_mutant_comes_first(tmp_path: Path) -> None:
    """What no test was running for, such as an import, counts for none; nor does who fails."""
    hits, durations = tmp_path / "hits", tmp_path / "durations"
    hits.write_text("one\ta::slow (call)\none\ta::fast (setup)\ntwo\t\none\ta::fast (call)\n")
    with hits.open("a") as file:
        file.write("one\ta::broken (call)\n")
    durations.write_text("2.0\ta::slow\n0.5\ta::fast\n0.1\ta::fast\n0.1\ta::broken\n")
    with durations.open("a") as file:
        file.write("failed\ta::broken\n")

    assert reaching_tests(hits, durations) == {"one": [("a::fast", 0.6), ("a::slow", 2.0)]}


def test_tests_of_one_file_run_together() -> None:
    """As many of the fastest as fit, and one in any case."""
    reached = [("a::1", 1.0), ("b::1", 2.0), ("a::2", 3.0), ("b::2", 4.0)]

    assert fastest(reached, 7) == ["a::1", "a::2", "b::1"]
    assert fastest(reached, 0.5) == ["a::1"]
