"""How far a rebuild of calls has come: what it counted, and where it goes on.

upkeep.rebuild ─▶ RebuildProgress ─▶ queries.rebuild_runs stores it, and the caller shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

Stage = Literal["calls", "missing", "agents", "finished"]
"""calls: with a row; missing: only their events are left; agents: logins and pauses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildProgress:
    """The progress of a rebuild, which goes from the newest calls to the oldest."""

    stage: Stage = "calls"
    done: int = 0
    """What this stage has examined: calls, calls with events, telephones."""
    total: int = 0
    """Calls with a row when the rebuild began; of the other stages the total is not known."""
    examined: int = 0
    changed: int = 0
    restored: int = 0
    """Of the changed calls: those whose rows were missing."""
    telephones: int = 0
    """Telephones whose login or pause was wrong."""
    skipped: int = 0
    """Calls whose events are not all stored any more, or too many: they stay as they are."""
    after_time: datetime | None = None
    after_call: UUID | None = None
    after_source: str | None = None
    after_extension: str | None = None
    resumed_from: datetime | None = None
    """When an interrupted rebuild began that this one goes on with; None: it is new."""
    corrected: frozenset[datetime] = frozenset()
    """When the calls began, before and now, that this step has corrected."""

    @property
    def finished(self) -> bool:
        return self.stage == "finished"
