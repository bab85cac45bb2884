"""A job as it is ordered, as it is claimed, and how it can end.

use cases ─▶ NewJob ─▶ realtime.jobs ─▶ Job ─▶ JobKind.run ─▶ Outcome ─▶ Worker.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

import orjson

MAX_PAYLOAD_BYTES = 4_096
"""A payload has ids, no texts: whoever runs the job reads what is true then."""

NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class PayloadInvalid(ValueError):
    """A payload is no JSON that PostgreSQL can hold, or too large."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """An order."""

    kind: str
    """`noun.verb`."""
    queue: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    """At most one job has it; it says what the job is about, so the first order's payload holds.

    A job that waits takes in a second order and runs no later than that asks, unless it waits after
    a failure. A job in work runs once more afterwards.
    """
    after_s: float = 0.0
    run_at: datetime | None = None
    """When it is due, instead of `after_s`."""
    expires_at: datetime | None = None
    """With it a job is tried until then, however often; afterwards it is dropped."""
    traceparent: str | None = None

    def encoded(self) -> str:
        """Return the payload as JSON; PayloadInvalid."""
        return encode(self.payload)


@dataclass(frozen=True, slots=True)
class Job:
    """A job that this worker has claimed."""

    id: int
    queue: str
    kind: str
    key: str | None
    payload: dict[str, Any]
    attempts: int
    """Claims so far: the fencing number of this one."""
    failures: int
    """Attempts that count, this one included."""
    lost: int
    """Leases that expired before this claim."""
    expires_at: datetime | None
    expired: bool
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Done:
    """The job is done."""


@dataclass(frozen=True, slots=True)
class Again:
    """So far so good: run the job again, with this payload; no attempt is counted."""

    payload: Mapping[str, Any] = field(default_factory=dict)
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """It failed, and may succeed later: after the back-off, or when the other side asks."""

    code: str
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Postponed:
    """Whom the queue speaks to takes nothing for a while: close it; no attempt is counted."""

    code: str
    after_s: float


@dataclass(frozen=True, slots=True)
class Dead:
    """It failed and always will."""

    code: str


Outcome: TypeAlias = Done | Again | Failed | Postponed | Dead


@dataclass(frozen=True, slots=True)
class JobKind:
    """What a worker must know to run jobs of one kind."""

    name: str
    queue: str
    run: Callable[[Job], Awaitable[Outcome | None]]
    """None is Done. A job may run twice, and while another run of it has not noticed its end."""
    attempts: int = 8
    """Failures after which a job without `expires_at` is dead."""
    timeout_s: float = 30.0


def encode(payload: Mapping[str, Any]) -> str:
    """Return a payload as JSON; PayloadInvalid when it is too large or no text of PostgreSQL's."""
    try:
        encoded = orjson.dumps(dict(payload))
    except TypeError as error:  # of lone surrogates, too
        raise PayloadInvalid(str(error)) from error
    if len(encoded) > MAX_PAYLOAD_BYTES:
        raise PayloadInvalid(f"{len(encoded)} bytes; at most {MAX_PAYLOAD_BYTES}")
    if NUL.search(encoded):
        raise PayloadInvalid("U+0000 is no character of a text")
    return encoded.decode()
