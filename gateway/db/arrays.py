"""Long arrays of integers as one text parameter: `unnest($1::text::bigint[])`.

asyncpg checks every element of an array for further dimensions (two isinstance checks of an
abstract class): 1.3 µs each, where encoding it takes 0.1 µs.
"""

from __future__ import annotations

from collections.abc import Iterable


def bigints(values: Iterable[int]) -> str:
    """Return PostgreSQL's text form of a bigint[]."""
    return "{" + ",".join(map(str, values)) + "}"
