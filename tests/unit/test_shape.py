"""Rules of shape: file size, base classes, stubs, hidden imports, one meaning per class name."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "ingest", "presence", "loadtests", "tests")
Trees = Mapping[str, ast.Module]

LONGEST = 400
LONG = {
    # Its cases share one fake Asterisk and the connector's start.
    "tests/integration/test_ami_connector.py",
}
"""Files that may have more lines, and why."""

SINGLE_SUBCLASS = {
    # Connects to baselines as it is; FleetClient adds the gateway's hello.
    "loadtests/raw_socket.py LeanSocket",
    # Fields of settings are inherited: gateway/settings.py would have more lines than it may.
    "gateway/event_settings.py EventSettings",
    "gateway/file_settings.py FileSettings",
    "gateway/oidc_settings.py OidcSettings",
    "gateway/token_settings.py TokenSettings",
    "gateway/connection_settings.py ConnectionSettings",
    "gateway/audit_settings.py AuditSettings",
    # Starts servers of its own; BorrowedServers uses those that a test session already has.
    "tests/faults/servers.py Servers",
}
"""Base classes with one subclass in their folder, which are also used themselves, and why."""

TYPE_CHECKING = {
    # asyncpg.Connection takes a type parameter only in its stubs.
    "gateway/db/connection.py",
}
"""Modules that may hide a statement from the interpreter."""

SAME_NAME: dict[str, str] = {}
"""Class names with more than one meaning → why."""


def trees() -> dict[str, ast.Module]:
    """Return path → syntax tree of every module."""
    paths = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
    return {
        str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in paths
    }


@pytest.fixture(scope="module")
def modules() -> Trees:
    return trees()


# --- the rules: what they find in some sources ---------------------------------------------------


def too_long(sources: Mapping[str, str]) -> set[str]:
    """Return the files with more than LONGEST lines."""
    return {path for path, text in sources.items() if len(text.splitlines()) > LONGEST}


def base_names(node: ast.ClassDef) -> Iterator[str]:
    """Return the names of a class's bases, without module and type parameters."""
    for base in node.bases:
        named = base.value if isinstance(base, ast.Subscript) else base
        if isinstance(named, ast.Name):
            yield named.id
        elif isinstance(named, ast.Attribute):
            yield named.attr


def single_subclasses(modules: Trees) -> set[str]:
    """Return the classes that are no interface and have one subclass, in their own folder.

    Protocols, generic classes and exceptions are interfaces or families: they are left out.
    """
    families = {"Protocol", "Generic", "typing.Protocol", "typing.Generic"}
    declared: dict[str, list[tuple[str, ast.ClassDef]]] = defaultdict(list)
    derived: dict[str, list[str]] = defaultdict(list)
    for path, tree in modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                declared[node.name].append((path, node))
                for name in base_names(node):
                    derived[name].append(path)
    errors = _descendants({"Exception", "BaseException"}, declared)
    return {
        f"{path} {name}"
        for name, users in derived.items()
        if len(users) == 1 and name not in errors
        for path, node in declared[name]
        if Path(path).parent == Path(users[0]).parent
        and not families & {ast.unparse(base).partition("[")[0] for base in node.bases}
    }


def _descendants(
    roots: set[str], declared: Mapping[str, list[tuple[str, ast.ClassDef]]]
) -> set[str]:
    """Return the names of all classes that derive from these, directly or not."""
    found = set(roots)
    while True:
        more = {
            name
            for name, nodes in declared.items()
            for _, node in nodes
            if name not in found
            and any(base in found or base.endswith("Error") for base in base_names(node))
        }
        if not more:
            return found
        found |= more


def stubs(modules: Trees) -> set[str]:
    """Return the modules that leave a method to a subclass by NotImplementedError."""
    return {
        path
        for path, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        and any(
            isinstance(part, ast.Name) and part.id == "NotImplementedError"
            for part in ast.walk(node)
        )
    }


def hidden(modules: Trees) -> set[str]:
    """Return the modules with statements for type checkers only, where circles can hide."""
    return {
        path
        for path, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    }


def ambiguous(modules: Trees) -> dict[str, list[str]]:
    """Return public class names that are defined more than once → where."""
    found: dict[str, list[str]] = defaultdict(list)
    for path, tree in modules.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(path)
    return {name: paths for name, paths in found.items() if len(paths) > 1}


# --- the tree ------------------------------------------------------------------------------------


def test_files_fit_four_hundred_lines(modules: Trees) -> None:
    """A longer file has two subjects; the exceptions are still needed."""
    sources = {path: (ROOT / path).read_text(encoding="utf-8") for path in modules}

    assert too_long(sources) == LONG


def test_no_class_is_half_of_its_only_subclass(modules: Trees) -> None:
    """What one class needs from another it has, and does not inherit."""
    assert single_subclasses(modules) == SINGLE_SUBCLASS


def test_nothing_is_left_to_a_subclass(modules: Trees) -> None:
    """No method raises NotImplementedError."""
    assert stubs(modules) == set()


def test_no_import_is_hidden_from_the_interpreter(modules: Trees) -> None:
    """What types need is imported, so import-linter sees every circle."""
    assert hidden(modules) == TYPE_CHECKING


def test_a_class_name_has_one_meaning(modules: Trees) -> None:
    """A search for `class X` finds one."""
    assert set(ambiguous(modules)) == set(SAME_NAME)


# --- that the rules can fail ---------------------------------------------------------------------


def of(**sources: str) -> dict[str, ast.Module]:
    """Return the trees of sources; two underscores in a name stand for a folder."""
    return {f"{name.replace('__', '/')}.py": ast.parse(text) for name, text in sources.items()}


def test_a_long_file_is_found() -> None:
    """400 lines fit, 401 do not."""
    assert too_long({"a.py": "x\n" * 400, "b.py": "x\n" * 401}) == {"b.py"}


def test_half_a_class_is_found() -> None:
    """One subclass in the same folder, also by way of a module; not two, nor one elsewhere."""
    half = "class Half:\n    pass\n"

    assert single_subclasses(of(a__x=half, a__y="class Whole(Half):\n    pass\n")) == {
        "a/x.py Half"
    }
    assert single_subclasses(of(a__x=half, a__y="class Whole(x.Half[int]):\n    pass\n")) == {
        "a/x.py Half"
    }
    assert single_subclasses(of(a__x=half, b__y="class Whole(Half):\n    pass\n")) == set()
    two = "class One(Half):\n    pass\nclass Two(Half):\n    pass\n"
    assert single_subclasses(of(a__x=half, a__y=two)) == set()


def test_interfaces_and_errors_are_no_halves() -> None:
    """A Protocol, a generic class and an exception may have one subclass; not asyncio.Protocol."""
    for base in ("Protocol", "Generic[T]", "Exception", "RedisError"):
        source = f"class Base({base}):\n    pass\nclass Only(Base):\n    pass\n"
        assert single_subclasses(of(a__x=source)) == set(), base
    transport = "class Base(asyncio.Protocol):\n    pass\nclass Only(Base):\n    pass\n"
    assert single_subclasses(of(a__x=transport)) == {"a/x.py Base"}


def test_a_stub_is_found() -> None:
    """With parentheses, with a message, or bare; catching one is none."""
    for raised in ("NotImplementedError", "NotImplementedError()", "NotImplementedError('x')"):
        assert stubs(of(a=f"def f():\n    raise {raised}\n")) == {"a.py"}
    assert stubs(of(a="try:\n    f()\nexcept NotImplementedError:\n    pass\n")) == set()


def test_a_hidden_import_is_found() -> None:
    """By name, and by way of the module."""
    for test in ("TYPE_CHECKING", "typing.TYPE_CHECKING", "t.TYPE_CHECKING and x"):
        assert hidden(of(a=f"if {test}:\n    import b\n")) == {"a.py"}
    assert hidden(of(a="if True:\n    import b\n")) == set()


def test_a_name_with_two_meanings_is_found() -> None:
    """Two modules, or one; private classes and those inside functions have no such meaning."""
    held = "class Held:\n    pass\n"

    assert ambiguous(of(a=held, b=held)) == {"Held": ["a.py", "b.py"]}
    assert ambiguous(of(a="class _Held:\n    pass\n", b="class _Held:\n    pass\n")) == {}
    assert ambiguous(of(a=held, b=f"def f():\n    {held.replace(chr(10), chr(10) + '    ')}")) == {}
