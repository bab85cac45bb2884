"""How a wire type is declared: `@frame` above a class with annotated fields."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, TypeVar, dataclass_transform

from pydantic import AfterValidator, ConfigDict, Field

T = TypeVar("T")

MAX_INT = 2**63 - 1  # PostgreSQL's bigint


@dataclass_transform(kw_only_default=True, frozen_default=True)
def frame(cls: type[T]) -> type[T]:
    """Make cls a frozen, slotted, keyword-only dataclass that pydantic can decode and describe."""
    cls.__pydantic_config__ = ConfigDict(  # type: ignore[attr-defined]
        extra="forbid",
        use_attribute_docstrings=True,
    )
    made: Any = dataclass(frozen=True, slots=True, kw_only=True)(cls)
    return made  # type: ignore[no-any-return]


def type_of(cls: type[Any]) -> str:
    """Return what stands under `type` in frames of this class."""
    default = next(field.default for field in fields(cls) if field.name == "type")
    assert isinstance(default, str)
    return default


def _printable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain U+0000")
    return value


Id = Annotated[int, Field(strict=True, ge=1, le=MAX_INT)]
"""A row's number in the database."""

Position = Annotated[int, Field(strict=True, ge=0, le=MAX_INT)]
"""A place in a conversation: a `seq` or a `change`; 0 is before the first."""

PlainText = Annotated[str, Field(strict=True), AfterValidator(_printable)]
"""Text that PostgreSQL can store: any Unicode but U+0000."""
