"""How what never changes is declared: `@frozen` above a class with annotated fields.

events, state, … ─▶ frozen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Make cls a slotted, keyword-only dataclass that mypy lets nobody change.

    Checked while the program runs, too, one of ten fields would take 1.4 µs to make instead of 0.5,
    and dozens are made for each event.
    """
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)
