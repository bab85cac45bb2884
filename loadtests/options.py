"""Options of the command line; for each that is not given, a scenario has its own default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """None: as the scenario likes."""

    seconds: float | None = None
    users: int | None = None
    rate: float | None = None
    seed: int | None = None
    rows: int | None = None
    processes: int | None = None
    bound_ms: float | None = None
    minutes: float | None = None
    against: Path | None = None
    """Another checkout of the gateway, to be compared with this one."""
    jobs: int | None = None
    busy: int = 0
    """Processes that keep a core busy each while it is measured."""
    quiet: bool = False
    """Nothing but JSON on stdout."""
