"""Users with tokens, each with the worker that it connects to.

OwnGateway.cast ─▶ SignedInUser ─▶ scenarios. Users 0 and 1 are a pair, 2 and 3 the next. The two of
a pair are on different workers, so every message passes through Redis.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class SignedInUser:
    """One employee, able to connect."""

    employee_id: int
    token: str
    url: str
    """ws://… of the worker to connect to."""


def write(path: Path, players: Sequence[SignedInUser]) -> None:
    """Leave the cast for another process; the file holds tokens, so it is only ours."""
    path.touch(mode=0o600)
    path.write_bytes(orjson.dumps([asdict(player) for player in players]))


def read(path: Path) -> list[SignedInUser]:
    return [SignedInUser(**fields) for fields in orjson.loads(path.read_bytes())]


def sign_in(base_url: str) -> list[SignedInUser]:
    """Become everyone in the demo of a `gateway dev` that runs already."""
    found = _ask(f"{base_url}/v1/demo/employees")["employees"]
    url = base_url.replace("http", "ws", 1) + "/v1/ws"
    return [
        SignedInUser(
            person["id"], _ask(f"{base_url}/v1/demo/token", employee_id=person["id"])["token"], url
        )
        for person in found
    ]


def _ask(url: str, **fields: Any) -> Any:
    request = urllib.request.Request(url)
    if fields:
        request.data = orjson.dumps(fields)
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as response:
        return orjson.loads(response.read())
