"""How a wire type is declared: `@frame` above a class with annotated fields.

Commands and events are declared with the decorators of declaration.py, which use it. The docstring
below a field describes it in everything that is generated from the declaration.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import unicodedata
from dataclasses import MISSING, dataclass, field, fields
from dataclasses import Field as DataclassField
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, dataclass_transform

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field

from gateway.characters import BIDI_CONTROLS, LINE_ENDS_AND_CONTROLS, shows_something

T = TypeVar("T")

MAX_INT = 2**63 - 1  # PostgreSQL's bigint
WRITTEN_OUT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def frame(cls: type[T]) -> type[T]:
    """Make cls a slotted, keyword-only dataclass that pydantic can decode and describe.

    Frozen for mypy alone: checked at run time, too, creating one with ten fields would take 1.4 µs
    instead of 0.5.
    """
    cls.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
    for name, text in _docstrings(cls.__module__).get(cls.__name__, {}).items():
        setattr(cls, name, _described(getattr(cls, name, MISSING), text))
    made: Any = dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)
    return made  # type: ignore[no-any-return]


def type_of(cls: type[Any]) -> str:
    """Return the name of a command or event: the value of its field `type`."""
    default = next(one.default for one in fields(cls) if one.name == "type")
    assert isinstance(default, str)
    return default


@cache
def _docstrings(module: str) -> dict[str, dict[str, str]]:
    """Return class → field → the docstring below it, of one module.

    pydantic can find these itself, but before Python 3.13 it reads the whole file again for each
    class and each use of it: a third of the time that the gateway took to start.
    """
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):  # installed without its source
        return {}
    return {node.name: _in_class(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _in_class(node: ast.ClassDef) -> dict[str, str]:
    found = {}
    for statement, below in zip(node.body, node.body[1:], strict=False):
        match statement, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = inspect.cleandoc(text)
    return found


def _described(default: Any, text: str) -> Any:
    """Make a dataclass field of a default, or none, with a description that pydantic reads."""
    if isinstance(default, DataclassField):
        default.metadata = MappingProxyType({**default.metadata, "description": text})
        return default
    return field(default=default, metadata={"description": text})


def _shown(value: str) -> str:
    if value and not shows_something(value):
        raise ValueError("must show something: not only spaces and invisible characters")
    return value


def printable(value: str) -> str:
    """Return text that PostgreSQL can store; ValueError when it cannot."""
    if "\x00" in value:
        raise ValueError("must not contain U+0000")
    return value


def _written_out(value: Any) -> Any:
    if isinstance(value, datetime) or (isinstance(value, str) and WRITTEN_OUT.match(value)):
        return value
    raise ValueError("must be a date and time with its zone, such as 2026-01-31T09:00:00Z")


def check_line(value: str) -> str:
    """Return text of one line; ValueError when it could show other lines or in another order."""
    if any(unicodedata.category(char) in LINE_ENDS_AND_CONTROLS for char in value):
        raise ValueError("must not contain control characters")
    if any(char in BIDI_CONTROLS for char in value):
        raise ValueError("must not contain characters that change the writing direction")
    return _shown(value)


Id = Annotated[int, Field(strict=True, ge=1, le=MAX_INT)]
"""The id of a row in the database."""

Position = Annotated[int, Field(strict=True, ge=0, le=MAX_INT)]
"""A position in a conversation: a `seq` or a `change`; 0 is before the first."""

Flag = Annotated[bool, Field(strict=True)]
"""true or false; pydantic alone takes 0, "yes" and others, too."""

PlainText = Annotated[str, Field(strict=True), AfterValidator(printable)]
"""Text that PostgreSQL can store: any Unicode but U+0000."""

ShownText = Annotated[PlainText, AfterValidator(_shown)]
"""PlainText that is empty, or of which a reader sees something."""

Line = Annotated[PlainText, AfterValidator(check_line)]
"""ShownText on one line, in its own direction: names, titles, statuses."""

Instant = Annotated[AwareDatetime, BeforeValidator(_written_out)]
"""A moment as RFC 3339 writes it; without this check, pydantic takes numbers, too, as seconds."""
