"""How many generated cases a test tries: some before each commit, many in the slow ring."""

from __future__ import annotations

import pytest


def tries(few: int, many: int) -> pytest.MarkDecorator:
    """Give a test its `tries`: few, and once more with many where slow tests run.

    A few find what is wrong for most cases; what only one in a hundred shows is found by many.
    """
    return pytest.mark.parametrize("tries", [few, pytest.param(many, marks=pytest.mark.slow)])
