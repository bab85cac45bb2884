"""The times of parking of a call as they are stored: in one column of its row, mostly NULL.

queries.sessions ─▶ dumps, loads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from typing import Any

import orjson

from ingest.model.call_state import ParkingState

NAMES = tuple(one.name for one in fields(ParkingState))


def dumps(parkings: Iterable[ParkingState]) -> str | None:
    """Return what is known of each; None when the call was never parked."""
    known = [_known(one) for one in parkings]
    return orjson.dumps(known).decode() if known else None


def loads(text: str | None) -> tuple[ParkingState, ...]:
    """Return them exactly as they were stored."""
    return tuple(_parking(one) for one in orjson.loads(text)) if text else ()


def _known(parking: ParkingState) -> dict[str, Any]:
    found = ((name, getattr(parking, name)) for name in NAMES)
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in found
        if value is not None
    }


def _parking(stored: dict[str, Any]) -> ParkingState:
    known: dict[str, Any] = {name: value for name, value in stored.items() if name in NAMES}
    for name in ("at", "until"):
        if name in known:
            known[name] = datetime.fromisoformat(known[name])
    return ParkingState(**known)
