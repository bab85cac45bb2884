"""Latencies: collected in milliseconds, read as percentiles."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Latencies:
    """Every sample of one kind; runs are short, so none is thrown away."""

    samples_ms: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.samples_ms)

    def add(self, seconds: float) -> None:
        self.samples_ms.append(seconds * 1_000)

    def extend_ms(self, samples_ms: Iterable[float]) -> None:
        self.samples_ms.extend(samples_ms)

    def percentile(self, share: float) -> float:
        """Return the sample that this share of all is not above (nearest rank); NaN of none."""
        if not self.samples_ms:
            return math.nan
        rank = math.ceil(share * len(self.samples_ms))
        return sorted(self.samples_ms)[max(rank, 1) - 1]

    def figures(self, name: str = "") -> dict[str, float]:
        """Return p50 and p99, and the slowest, under names that begin with this one."""
        shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
        return {
            f"{name}{label}_ms": round(self.percentile(share), 3) for label, share in shares.items()
        }
