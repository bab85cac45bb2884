"""The permissions in docs/crm-contract.md are those of the code, and have one home."""

from __future__ import annotations

import ast
import re

from gateway.auth import permissions, scopes
from tests.docs.pages import OPERATIONS, ROOT

CONTRACT = (ROOT / "docs" / "crm-contract.md").read_text(encoding="utf-8")
HOME = ROOT / "gateway" / "auth" / "permissions.py"


def test_the_table_of_permissions_is_the_list_in_the_code() -> None:
    """Each row is a name and a text of the list, in its order, and says what is only reserved."""
    section = CONTRACT.split("### `crm.permissions`")[1].split("\n### ")[0]
    table = section.split("| permission | allows |\n|---|---|\n")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `(.+?)` \| (.+) \|$", table, re.MULTILINE)

    reserved = [
        (name, f"reserved, no effect yet: {text}") for name, text in permissions.RESERVED.items()
    ]
    assert rows == [*permissions.ALLOWS.items(), *reserved]
    assert len(table.splitlines()) == len(rows)


def test_every_permission_of_the_module_is_listed() -> None:
    """A constant that is added to the module is added to the list, too."""
    constants = {
        name: value
        for name, value in vars(permissions).items()
        if name.isupper() and isinstance(value, str)
    }
    assert set(constants.values()) == set(permissions.ALLOWS)
    assert all(name == value.replace(".", "_").upper() for name, value in constants.items())
    assert permissions.TOPICS.keys() <= permissions.ALLOWS.keys()
    assert permissions.RESERVED.keys().isdisjoint(permissions.ALLOWS)


def test_a_permission_that_is_not_reserved_is_checked() -> None:
    """One that no module imports has no effect: it is reserved."""
    used = {
        alias.name
        for path in (ROOT / "gateway").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "gateway.auth.permissions"
        for alias in node.names
    }
    unused = {name.replace(".", "_").upper() for name in permissions.ALLOWS} - used
    assert unused == set()


def test_the_table_of_scopes_is_the_list_in_the_code() -> None:
    """Each scope of the module, with its text, in its order; none is a permission, too."""
    table = OPERATIONS.split("| scope | allows |\n|---|---|\n")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `(.+?)` \| (.+) \|$", table, re.MULTILINE)
    constants = {
        name: value
        for name, value in vars(scopes).items()
        if name.isupper() and isinstance(value, str)
    }

    assert rows == list(scopes.ALLOWS.items())
    assert set(constants.values()) == set(scopes.ALLOWS)
    assert all(name == value.replace(".", "_").upper() for name, value in constants.items())
    assert scopes.ALLOWS.keys().isdisjoint(permissions.ALLOWS)


def test_a_permission_is_written_in_no_other_module() -> None:
    """Whoever checks a permission imports it, so that a search for its name finds every check.

    One that is reserved has no name to import: it must move to those that are checked first.
    """
    written = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value}"
        for path in sorted((ROOT / "gateway").rglob("*.py"))
        if path != HOME
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value in {*permissions.ALLOWS, *permissions.RESERVED}
    ]
    assert written == []
