"""What a page says of the tree, read from its text, and what of it is untrue.

Each function takes a text and returns its mistakes, so that a test can show that it finds one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from gateway.cli.reference import variable
from gateway.errors import catalogue
from gateway.settings import Settings
from tests.docs.pages import ROOT

PACKAGES = ("gateway", "ingest", "presence", "loadtests", "tests")
TOP = (*PACKAGES, "docs", ".github", ".ci")

CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(rf"(?:{'|'.join(re.escape(name) for name in TOP)})/[\w./-]*")
MODULE = re.compile(r"(?:gateway|ingest|presence|loadtests|tests)(?:\.\w+)+")
CAMEL = re.compile(r"[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]*)+")

FOREIGN = {"LimitNOFILE", "KillMode", "TimeoutStopSec", "BlindTransfer"}
"""Names in camel case that are another program's."""

SCALE = {
    "KiB": 1_024, "MiB": 1_024**2, "GiB": 1_024**3, "bytes": 1,
    "ms": 0.001, "s": 1, "min": 60, "minutes": 60,
}  # fmt: skip
"""Unit → how many of the unit in which a setting is given, bytes or seconds."""

QUANTITY = re.compile(
    r"(?<![\w.,])(\d[\d,]*(?:\.\d+)?)(?:\s?(KiB|MiB|GiB|bytes|ms|s|min|minutes)\b)?"
)

DEFAULTS: dict[str, float] = {
    variable(name): float(field.default)
    for name, field in Settings.model_fields.items()
    if isinstance(field.default, int | float) and not isinstance(field.default, bool)
}


def prose(page: str) -> str:
    """Return a page without its fenced blocks, which are programs and not statements."""
    return re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE)


# --- paths and names -----------------------------------------------------------------------------


def missing_paths(page: str) -> list[str]:
    """Return the paths of ours, written as code, that lead nowhere."""
    named = {code for code in CODE.findall(prose(page)) if PATH.fullmatch(code)}
    return sorted(path for path in named if "NNNN" not in path and not (ROOT / path).exists())


def missing_names(page: str) -> list[str]:
    """Return the modules, attributes and classes of ours, written as code, that do not exist."""
    codes = set(CODE.findall(prose(page)))
    errors = {error.code for error in catalogue()}
    modules = {code for code in codes - errors if MODULE.fullmatch(code)}
    classes = {code for code in codes if CAMEL.fullmatch(code)} - FOREIGN
    return sorted({name for name in modules if not _resolves(name)} | (classes - _classes()))


def missing_tables(page: str) -> list[str]:
    """Return what a page names in the schema `realtime` and no migration creates."""
    named = set(re.findall(r"\brealtime\.([a-z_]+[a-z])\b", page))
    return sorted(named - set(re.findall(r"\brealtime\.([a-z_]+)\b", _migrations())))


@cache
def _migrations() -> str:
    db = ROOT / "gateway" / "db"
    files = [*(db / "migrations").glob("*.sql"), db / "queries" / "migrations.py"]
    return "".join(file.read_text(encoding="utf-8") for file in files)


def _resolves(dotted: str) -> bool:
    """Say whether a dotted name is a package, a module, or something defined in one."""
    path = ROOT.joinpath(*dotted.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    module = path.parent.with_suffix(".py")
    module = module if module.is_file() else path.parent / "__init__.py"
    whole = re.compile(rf"\b{re.escape(path.name)}\b")
    return module.is_file() and whole.search(module.read_text(encoding="utf-8")) is not None


@cache
def _classes() -> frozenset[str]:
    """Return every class, and every name in camel case that a module assigns."""
    found: set[str] = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            found.update(_defined(ast.parse(path.read_text(encoding="utf-8"))))
    return frozenset(found)


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def missing_routes(page: str, served: set[tuple[str, str]]) -> list[str]:
    """Return the requests on a page, method and path, that the gateway does not serve."""
    patterns = [(method, re.sub(r"{\w+}", "[^/]+", path)) for method, path in served]
    wrong = []
    for method, path in _requests(page):
        if not any(method == one and re.fullmatch(pattern, path) for one, pattern in patterns):
            wrong.append(f"{method} {path}")
    return sorted(set(wrong))


def _requests(page: str) -> Iterator[tuple[str, str]]:
    """Yield (method, path); `{a,b}` in a path stands for both."""
    for method, path in re.findall(r"\b(GET|POST|PUT|PATCH|DELETE) (/v1/[\w/{},.-]*[\w}])", page):
        choice = re.search(r"{(\w+(?:,\w+)+)}", path)
        for one in choice[1].split(",") if choice else [""]:
            yield method, path.replace(choice[0], one) if choice else path


# --- numbers beside settings ---------------------------------------------------------------------


def wrong_numbers(page: str) -> list[str]:
    """Return the settings beside which another number stands than their default.

    Read are `SETTING` (25 s), 128 hellos (`SETTING`), and rows of a table with the columns
    "default" and "setting". The table of settings itself is generated.
    """
    text = re.sub(r"<!-- settings -->.*?<!-- end -->", "", prose(page), flags=re.DOTALL)
    wrong = [f"{name}: {number}" for name, number in _beside(text) if not _is_default(name, number)]
    for row in _limits(text):
        names = re.findall(r"GATEWAY_[A-Z_]+[A-Z]", row["setting"])
        given = _quantities(row["default"])
        wrong += [
            f"{n}: {row['default']}" for n in names if n in DEFAULTS and DEFAULTS[n] not in given
        ]
    return wrong


def numbers_read(page: str) -> int:
    """Return how many numbers of a page wrong_numbers compares."""
    text = prose(page)
    return len(list(_beside(text))) + sum(1 for _ in _limits(text))


def _beside(text: str) -> Iterator[tuple[str, str]]:
    """Yield (setting, number) where one stands in parentheses behind the other."""
    for found in re.finditer(r"`?(GATEWAY_[A-Z_]+[A-Z])`?,? \((\d[^)]*)\)", text):
        yield found[1], found[2]
    for found in re.finditer(r"\(`(GATEWAY_[A-Z_]+[A-Z])`\)", text):
        before = re.split(
            r"[|;:(]|\. |\n\n|\n\* ", text[max(0, found.start() - 200) : found.start()]
        )[-1]
        if numbers := list(QUANTITY.finditer(before)):
            yield found[1], numbers[-1][0]


def _is_default(name: str, number: str) -> bool:
    return name not in DEFAULTS or DEFAULTS[name] in _quantities(number)[:1]


def _quantities(text: str) -> list[float]:
    return [
        float(number.replace(",", "")) * SCALE.get(unit, 1)
        for number, unit in QUANTITY.findall(text)
    ]


def _limits(text: str) -> Iterator[dict[str, str]]:
    """Yield the rows of every table that has the columns "default" and "setting"."""
    columns: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            columns = []
        elif not columns:
            columns = cells
        elif {"default", "setting"} <= set(columns) and len(cells) == len(columns):
            yield dict(zip(columns, cells, strict=True))


# --- the glossary --------------------------------------------------------------------------------


def glossary_rows(page: str) -> list[tuple[str, str, str, str]]:
    """Return (section, word, meaning, where) of each row."""
    rows, section = [], ""
    for line in page.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 4 and cells[0] not in {"word", "---"}:
            rows.append((section, cells[0], cells[1], cells[2]))
    return rows


def twice(words: list[str]) -> list[str]:
    """Return the words that are defined more than once."""
    return sorted({word for word in words if words.count(word) > 1})


def text_of(path: Path) -> str:
    """Return a page's text."""
    return path.read_text(encoding="utf-8")
