"""Whole numbers in the texts of a PBX."""

from __future__ import annotations


def parse_int(text: str | None, max_digits: int) -> int | None:
    """Return the number; None for anything but 1 to max_digits ASCII digits."""
    if not text or len(text) > max_digits or not (text.isascii() and text.isdigit()):
        return None
    return int(text)
