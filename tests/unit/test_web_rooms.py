"""The rooms of gateway/web: sdk stands alone, state uses its public face, view draws state."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "gateway" / "web"
MODULES = sorted(path.relative_to(WEB).as_posix() for path in WEB.rglob("*.js"))
LONGEST = 400
GENERATED = "sdk/protocol.js"

PUBLIC = {"sdk/client.js", "sdk/protocol.js"}
ALLOWED = {
    "": {"sdk", "state", "view"},
    "sdk": {"sdk"},
    "state": {"sdk", "state"},
    "view": {"state", "view"},
}
"""room → the rooms that its modules may import from; "" is the page itself, beside index.html."""

IMPORT = re.compile(r"""(?:^|\s)(?:import|export)\s[^;]*?from\s+'([^']+)'|\bimport\('([^']+)'\)""")
COMMENT = re.compile(r"/\*.*?\*/|^\s*//.*?$", re.DOTALL | re.MULTILINE)


def imports(module: str, *, types: bool) -> list[str]:
    """Return the modules that one names; with types, also those that its comments name."""
    source = (WEB / module).read_text()
    found = IMPORT.findall(source if types else COMMENT.sub("", source))
    named = [(WEB / module).parent / (code or doc) for code, doc in found]
    return [path.resolve().relative_to(WEB).as_posix() for path in named]


def room(module: str) -> str:
    return module.rpartition("/")[0]


def test_the_rooms_are_these() -> None:
    """No module stands in a folder that has no rule."""
    assert {room(module) for module in MODULES} == set(ALLOWED)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_what_exists(module: str) -> None:
    """A wrong path would show only when a browser loads the page; in a type, never."""
    assert [path for path in imports(module, types=True) if path not in MODULES] == []


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_from_those_below(module: str) -> None:
    """The SDK loads without the page; views get everything from the page's state."""
    needed = {room(path) for path in imports(module, types=False)}
    assert needed <= ALLOWED[room(module)]


@pytest.mark.parametrize("module", [one for one in MODULES if room(one) != "sdk"])
def test_the_page_uses_the_public_face_of_the_sdk(module: str) -> None:
    """What is inside the SDK may change without the page."""
    used = [path for path in imports(module, types=True) if room(path) == "sdk"]
    assert set(used) <= PUBLIC


@pytest.mark.parametrize("module", [one for one in MODULES if one != GENERATED])
def test_no_module_is_long(module: str) -> None:
    """The rule of the Python modules."""
    assert len((WEB / module).read_text().splitlines()) <= LONGEST
