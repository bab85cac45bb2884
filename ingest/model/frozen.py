"""`@frozen`: a dataclass whose fields must not be assigned, checked by mypy and not at run time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Make cls a slotted, keyword-only dataclass; mypy refuses assignments to its fields.

    With dataclass(frozen=True), which checks at run time, creating an object of ten fields takes
    1.4 µs instead of 0.5, and dozens are created for each event.
    """
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)
