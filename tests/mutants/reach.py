"""Which tests execute what a mutant changes: found by running all of them once.

A copy of the tree gets one more statement before each that a mutant changes. It writes down the
mutant and the test that runs, also in processes that the test has started.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.mutants.catalogue import Mutant

PACKAGES = ("gateway", "ingest", "presence")
HITS, DURATIONS = "MUTANT_HITS", "MUTANT_DURATIONS"
"""Environment variables: files that the runs append to."""
FAILED = "failed"
"""Instead of the seconds of a test that failed without a mutant: it would notice each."""
WITNESS = (
    "def _reach(mutant, _seen=set(), _os=__import__('os')):\n"
    "    line = f\"{mutant}\\t{_os.environ.get('PYTEST_CURRENT_TEST', '')}\\n\"\n"
    f"    if line not in _seen and '{HITS}' in _os.environ:\n"
    "        _seen.add(line)\n"
    f"        file = _os.open(_os.environ['{HITS}'], _os.O_APPEND | _os.O_CREAT | _os.O_WRONLY)\n"
    "        _os.write(file, line.encode())\n"
    "        _os.close(file)\n"
)

Places = dict[Path, dict[int, set[str]]]
"""File → line before which a statement is put → ids of the mutants it tells of."""


def instrument(tree: Path, chosen: Iterable[Mutant]) -> None:
    """Let the code of a copy tell of each mutant that it would have executed."""
    places: Places = defaultdict(lambda: defaultdict(set))
    for mutant in chosen:
        path = tree / mutant.file
        source = path.read_text(encoding="utf-8")
        module = ast.parse(source)
        line = mutant.line(source)
        statement = _statement(module, source, line)
        if statement is not None:
            places[path][statement.lineno].add(mutant.id)
        else:
            for user, start in _users(tree, path, _names(module, line)):
                places[user][start].add(mutant.id)
    for path, lines in places.items():
        path.write_text(_with_witnesses(path.read_text(encoding="utf-8"), lines), encoding="utf-8")


def _statement(module: ast.Module, source: str, line: int) -> ast.stmt | None:
    """Return the innermost statement of a function at a line that one can be put before."""
    text = source.splitlines()
    found: ast.stmt | None = None

    def look(node: ast.AST, in_function: bool) -> None:
        nonlocal found
        for child in ast.iter_child_nodes(node):
            inside = in_function
            if isinstance(child, ast.stmt):
                if not child.lineno <= line <= (child.end_lineno or child.lineno):
                    continue
                before = text[child.lineno - 1][: child.col_offset]
                is_elif = text[child.lineno - 1].lstrip().startswith("elif")
                is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
                if in_function and not before.strip() and not is_elif and not is_function:
                    found = child
                inside = in_function or (is_function and line >= child.body[0].lineno)  # type: ignore[attr-defined]
            look(child, inside)

    look(module, in_function=False)
    return found


def _names(module: ast.Module, line: int) -> set[str]:
    """Return what the statement of a module or a class at a line defines."""
    names: set[str] = set()
    for node in ast.walk(module):
        if not isinstance(node, ast.stmt) or not node.lineno <= line <= (node.end_lineno or 0):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {each.id for each in targets if isinstance(each, ast.Name)}
    return names


def _users(tree: Path, home: Path, names: set[str]) -> Iterator[tuple[Path, int]]:
    """Give each function that uses one of these names, and where its body begins."""
    for path in sorted(p for package in PACKAGES for p in (tree / package).rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if not any(name in source for name in names):
            continue
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} | {
                each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)
            }
            own = path == home and node.name in names
            if own or used & names:
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                if body and body[0].lineno > node.lineno:
                    yield path, body[0].lineno


def _with_witnesses(source: str, lines: dict[int, set[str]]) -> str:
    text = source.splitlines(keepends=True)
    for line in sorted(lines, reverse=True):
        margin = text[line - 1][: len(text[line - 1]) - len(text[line - 1].lstrip())]
        told = "; ".join(f"_reach({mutant!r})" for mutant in sorted(lines[line]))
        text.insert(line - 1, f"{margin}{told}\n")
    module = ast.parse(source)
    start = 0
    for node in module.body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not is_docstring and not (
            isinstance(node, ast.ImportFrom) and node.module == "__future__"
        ):
            break
        start = node.end_lineno or start
    text.insert(start, WITNESS)
    return "".join(text)


def reaching_tests(hits: Path, durations: Path) -> dict[str, list[tuple[str, float]]]:
    """Return, for each mutant, the tests that execute it with their seconds, the fastest first."""
    took: dict[str, float] = defaultdict(float)
    failed = set()
    for line in _lines(durations):
        seconds, _, test = line.partition("\t")
        if seconds == FAILED:
            failed.add(test)
        else:
            took[test] += float(seconds)
    found: dict[str, set[str]] = defaultdict(set)
    for line in _lines(hits):
        mutant, _, said = line.partition("\t")
        test = said.rpartition(" (")[0]
        if test in took and test not in failed:
            found[mutant].add(test)
    return {
        mutant: sorted(((test, took[test]) for test in tests), key=lambda each: each[1])
        for mutant, tests in found.items()
    }


def fastest(reached: Iterable[tuple[str, float]], budget: float) -> list[str]:
    """Return the tests that fit into these seconds, those of a file together: they share fixtures.

    The fastest one is run however long it takes.
    """
    by_file: dict[str, list[str]] = defaultdict(list)
    for number, (test, seconds) in enumerate(reached):
        budget -= seconds
        if number and budget < 0:
            break
        by_file[test.partition("::")[0]].append(test)
    return [test for tests in by_file.values() for test in tests]


def _lines(path: Path) -> Iterable[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
