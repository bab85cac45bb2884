"""How many generated cases a test tries: some before each commit, many in the slow ring."""

from __future__ import annotations

import pytest


def tries(few: int, many: int) -> pytest.MarkDecorator:
    """Give a test its `tries`: few, and once more with many where slow tests run.

    A few find what is wrong for most cases; what only one in a hundred shows is found by many.
    """
    return pytest.mark.parametrize("tries", [few, pytest.param(many, marks=pytest.mark.slow)])


def seeds(few: int, many: int) -> pytest.MarkDecorator:
    """Run a test once for each `seed` below many; those from few on where slow tests run."""
    rest = (pytest.param(seed, marks=pytest.mark.slow) for seed in range(few, many))
    return pytest.mark.parametrize("seed", [*range(few), *rest])
