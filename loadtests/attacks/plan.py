"""What an attacking process is told: its plan, as JSON, written by the scenario."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import orjson


@dataclass(frozen=True, slots=True)
class AttackPlan:
    """One attack."""

    kind: str
    """A name in attacks.ATTACKS."""
    port: int
    """Of the worker, on 127.0.0.1."""
    tokens: list[str] = field(default_factory=list)
    """Of the employees who attack."""
    conversation_id: int = 0
    """One that they are in; for `search` and `unread_pages` full of long messages."""
    employee_ids: list[int] = field(default_factory=list)
    """Whom they watch."""
    share: float = 0.0
    """`busy` alone: of one core."""

    def write(self, path: Path) -> None:
        """Leave it for another process; the file holds tokens, so it is only ours."""
        path.touch(mode=0o600)
        path.write_bytes(orjson.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls(**orjson.loads(path.read_bytes()))


@dataclass(slots=True)
class AttackTally:
    """What an attack achieved."""

    done: int = 0
    """Requests that were served, or answers that were left unread."""
    refused: int = 0
    closed: int = 0
    """Connections that the gateway ended."""
    cpu_s: float = 0.0
    """Of the attacking process."""
