"""How long a job waits after its failures."""

from __future__ import annotations

import random

STEPS_S = (5.0, 30.0, 120.0, 600.0, 3_600.0, 10_800.0, 21_600.0)
"""An outage of seconds, of minutes, of a night: then somebody looks."""
JITTER = 0.2
"""Jobs that failed together do not come back together."""


def delay_s(failures: int, rng: random.Random | None = None) -> float:
    """Return the seconds until the next attempt after so many failures, one or more."""
    step = STEPS_S[min(failures, len(STEPS_S)) - 1]
    return step * (rng or random).uniform(1 - JITTER, 1 + JITTER)
