"""Users with tokens, each with the worker that it connects to.

OwnGateway.cast ─▶ SignedInUser ─▶ scenarios. Users 0 and 1 are a pair, 2 and 3 the next. The two of
a pair are on different workers, so every message passes through Redis.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

DEMO_EXTENSIONS = {
    1: "101", 2: "102", 3: "103", 4: "104", 5: "105",
    6: "201", 7: "202", 8: "203", 9: "204",
    10: "301", 11: "302", 12: "303", 13: "304",
    16: "401", 17: "402", 18: "403", 19: "404",
}  # fmt: skip
"""Employee of the demo CRM → their telephone (gateway/demo/crm.sql)."""


@dataclass(frozen=True, slots=True)
class SignedInUser:
    """One employee, able to connect."""

    employee_id: int
    token: str
    url: str
    """ws://… of the worker to connect to."""
    extension: str | None = None
    """Of their telephone, which a PBX can ring."""
    supervises: bool = False
    """They have the permission `stats.view`."""


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
    players = []
    for person in found:
        token = _ask(f"{base_url}/v1/demo/token", employee_id=person["id"])["token"]
        supervises = _may_watch(base_url, token)
        phone = DEMO_EXTENSIONS.get(person["id"])
        players.append(SignedInUser(person["id"], token, url, phone, supervises=supervises))
    return players


def _may_watch(base_url: str, token: str) -> bool:
    request = urllib.request.Request(f"{base_url}/v1/telephony/queues?limit=1")
    request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10):
            return True
    except urllib.error.HTTPError as refused:
        if refused.code == 403:
            return False
        raise


def _ask(url: str, **fields: Any) -> Any:
    request = urllib.request.Request(url)
    if fields:
        request.data = orjson.dumps(fields)
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as response:
        return orjson.loads(response.read())
