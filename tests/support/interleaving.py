"""What several threads of a PBX report in one moment, in every order in which they may."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

Step = Callable[[], None]


def merges(*threads: Sequence[Step]) -> Iterator[tuple[Step, ...]]:
    """Yield every order of all steps in which each thread keeps its own."""
    if not any(threads):
        yield ()
        return
    for n, thread in enumerate(threads):
        if thread:
            rest = (*threads[:n], thread[1:], *threads[n + 1 :])
            for order in merges(*rest):
                yield (thread[0], *order)


def merge(dice: random.Random, *threads: Sequence[Step]) -> list[Step]:
    """Return one such order, any of them."""
    left = [list(thread) for thread in threads if thread]
    order = []
    while left:
        # In proportion to what is left, all orders have the same chance.
        thread = dice.choices(left, weights=[len(one) for one in left])[0]
        order.append(thread.pop(0))
        left = [one for one in left if one]
    return order
