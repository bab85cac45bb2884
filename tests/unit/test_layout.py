"""The layout of the tree: module docstrings, SQL in `queries/`, only agreed names at the top.

Sizes and classes are in test_shape.py.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "presence", "ingest")
MODULES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
QUERIES = [path for path in MODULES if path.parent.name == "queries"]

TOP = {
    "pyproject.toml", "uv.lock", "Makefile", "docker-compose.yml", "README.md", "CHANGELOG.md",
    "LICENSE", "gateway", "presence", "ingest", "loadtests", "tests", "docs",
}  # fmt: skip

STATEMENT = re.compile(
    r"\b(SELECT\s.+?\sFROM|INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|CREATE\s+(\w+\s+)?TABLE"
    r"|ALTER\s+\w+|WITH\s+\w+\s+AS\s*\()\b",
    re.DOTALL,
)
WHOLE = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER)\b")
NAME_LINE = re.compile(r"\s*-- ([a-z_]+)\.([a-z_]+)\n")

ELSEWHERE = {
    # Speaks PostgreSQL's own protocol to a server that is only starting: no asyncpg, no pool.
    "gateway/embedded/postgres.py",
}
"""Modules that may hold a statement although they are no queries."""


def strings(tree: ast.AST) -> Iterator[str]:
    """Return the string literals, f-strings as one with {} for their values; no docstrings."""
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr | ast.Expr)
        for part in (node.values if isinstance(node, ast.JoinedStr) else [node.value])
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield "".join(map(str, parts))
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in inside
        ):
            yield node.value


def statements(tree: ast.AST) -> list[str]:
    """Return the SQL in a function or a module."""
    return [text for text in strings(tree) if NAME_LINE.match(text) or STATEMENT.search(text)]


def fragments(tree: ast.Module) -> dict[str, str]:
    """Return the parts of statements that are constants of a module."""
    return {
        target.id: found
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
        for found in statements(node)
    }


def put_in(tree: ast.AST) -> Iterator[str]:
    """Return the names that stand in f-strings, as often as they do."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name):
            yield node.value.id


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_says_its_place(path: Path) -> None:
    """Each module opens with a docstring."""
    text = path.read_text(encoding="utf-8")

    assert not text or ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", [p for p in MODULES if p not in QUERIES], ids=relative)
def test_sql_lives_in_queries(path: Path) -> None:
    """No module outside a queries folder holds a statement."""
    if relative(path) in ELSEWHERE:
        return

    assert statements(tree_of(path)) == []


def test_the_exceptions_are_still_needed() -> None:
    """A module is on the list of exceptions only while it holds SQL."""
    for name in ELSEWHERE:
        assert any(re.search(r"\bSELECT\b", text) for text in strings(tree_of(ROOT / name)))


@pytest.mark.parametrize("path", QUERIES, ids=relative)
def test_every_statement_names_itself(path: Path) -> None:
    """The first line of a statement is `-- module.function`, as logs will show it.

    A function's second statement may have a name of its own, which no other function has. What
    several statements share is a constant, which is none by itself.
    """
    tree = tree_of(path)
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    names = {function.name.strip("_") for function in functions}
    for function in functions:
        for number, text in enumerate(statements(function)):
            found = NAME_LINE.match(text)
            assert found, f"{function.name}: {text.strip().splitlines()[0]}"
            own = function.name.strip("_")
            assert found[1] == path.stem
            assert found[2] == own or (number and found[2] not in names), found[0].strip()

    parts = fragments(tree)
    assert [text for text in parts.values() if WHOLE.match(text)] == []
    assert set(statements(tree)) == {text for one in functions for text in statements(one)} | set(
        parts.values()
    )


def test_every_part_of_a_statement_is_shared() -> None:
    """What only one statement needs stands in it."""
    used = Counter(name for path in QUERIES for name in put_in(tree_of(path)))

    for path in QUERIES:
        for name in fragments(tree_of(path)):
            assert used[name] > 1, f"{relative(path)}: {name}"


def test_the_search_for_sql_finds_it() -> None:
    """The pattern recognises what the queries folders are full of."""
    holding = [path for path in QUERIES if path.name != "__init__.py"]

    assert len(holding) >= 10
    assert [relative(path) for path in holding if not statements(tree_of(path))] == []


def test_nothing_lies_about_at_the_top() -> None:
    """The top of the repository has only what is agreed, and files whose name begins with a dot."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git work tree")
    top = {name.split("/", 1)[0] for name in listed}

    assert {name for name in top if not name.startswith(".")} <= TOP
    assert {"gateway", "ingest", "presence", "tests", "pyproject.toml"} <= top


@pytest.mark.parametrize("room", ["sockets", "delivery", "hello"])
def test_no_import_hides_a_circle(room: str) -> None:
    """An import for the type checker alone would let two modules of a room need each other."""
    for path in (ROOT / "gateway" / room).rglob("*.py"):
        assert "TYPE_CHECKING" not in path.read_text(), path
