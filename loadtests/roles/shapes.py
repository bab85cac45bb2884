"""How many users there are at which time: steady, ramp, storm, working day.

locustfile.UserLoad ─▶ users_at. Plain functions of the time since the test began.
"""

from __future__ import annotations

import math
from bisect import bisect_right

LOADS = ("steady", "ramp", "storm", "day")
CYCLE_S = 600.0
"""Length of a ramp, and of one storm or day, in a test without an end."""
STEPS = 10
STORM = ((0.0, 1.0), (0.3, 0.1), (0.4, 1.0), (0.7, 0.1), (0.8, 1.0))
"""(Share of the time, share of the users from then on): nine of ten leave twice, and return."""
DAY = (
    (0.00, 0.05), (0.05, 0.30), (0.10, 0.70), (0.15, 0.90), (0.25, 1.00), (0.40, 0.75),
    (0.45, 0.55), (0.50, 0.70), (0.55, 0.90), (0.60, 1.00), (0.75, 0.80), (0.85, 0.40),
    (0.92, 0.15),
)  # fmt: skip
"""From eight to six: arrivals, the peak of the morning, lunch, the afternoon, the way home."""


def users_at(load: str, at_s: float, users: int, run_s: float | None) -> int:
    """Return how many of `users` there are at this time; run_s None: a test without an end."""
    whole = run_s or CYCLE_S
    if load == "ramp":
        step = math.floor(min(at_s / whole, 1.0) * STEPS) + 1
        return max(1, users * min(step, STEPS) // STEPS)
    if load in {"storm", "day"}:
        table = STORM if load == "storm" else DAY
        passed = (at_s % whole) / whole
        share = table[bisect_right([since for since, _ in table], passed) - 1][1]
        return max(1, round(users * share))
    return users


def rate_at(load: str, users: int, spawn_rate: float) -> float:
    """Return users that come or go in a second: in a storm, all at once."""
    return float(users) if load == "storm" else spawn_rate
