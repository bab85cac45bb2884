"""An act as it is written to the audit, and where what was asked for came from.

rest, sockets, cli, jobs ─▶ Origin ─▶ Context.act ─▶ Act ─▶ the statement that does it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Source = Literal["socket", "rest", "cli", "sql", "job"]
SOURCES: tuple[Source, ...] = get_args(Source)

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
"""Ids of requests that are taken from clients: they stand in logs, headers and the audit."""
SUBJECT_LENGTH = 200

COMMAND_ID: ContextVar[int | None] = ContextVar("command_id", default=None)
"""The id that a client on a socket gave to the command of this task; few commands are audited, so
it is not put into the context of each."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a command came from."""

    source: Source
    request_id: str | None = None
    """Of a socket, the id of its session."""

    def of_command(self) -> Origin:
        """Return the origin of the command that this task runs."""
        command_id = COMMAND_ID.get()
        if self.source != "socket" or command_id is None:
            return self
        return Origin("socket", f"{self.request_id}-{command_id}")


@dataclass(frozen=True, slots=True)
class Act:
    """One row of the audit; its time and id are PostgreSQL's."""

    act: str
    """`noun.verb`."""
    origin: Origin
    actor_id: int | None = None
    """None: the gateway itself."""
    conversation_id: int | None = None
    seq: int | None = None
    subject: str | None = None
    """What it is about, `noun:id`."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What the statement alone knows, such as a new id, it adds itself."""

    def rows(self) -> list[dict[str, Any]]:
        """Return it as the statements take it."""
        return [
            {
                "act": self.act,
                "actor_id": self.actor_id,
                "conversation_id": self.conversation_id,
                "seq": self.seq,
                "source": self.origin.source,
                "request_id": self.origin.request_id,
                "subject": self.subject[:SUBJECT_LENGTH] if self.subject else None,
                "details": dict(self.details),
            }
        ]


def rows(act: Act | None) -> list[dict[str, Any]]:
    """Return the rows of an act, none for what is not audited."""
    return act.rows() if act else []
