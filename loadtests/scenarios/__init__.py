"""The scenarios, by name, in the order in which all are run."""

from __future__ import annotations

from collections.abc import Callable

from loadtests.options import Options
from loadtests.report import Result
from loadtests.scenarios import (
    calls,
    callstats,
    churn,
    connect,
    fanout,
    idle,
    ingest,
    locust_chat,
    mass_disconnect,
    messenger,
    presence,
    roundtrip,
    scale,
    search,
    send,
    slow,
    storm,
    unread,
    worker_crash,
)

SCENARIOS: dict[str, Callable[[Options], Result]] = {
    "roundtrip": roundtrip.run,
    "send": send.run,
    "messenger": messenger.run,
    "unread": unread.run,
    "search": search.run,
    "calls": calls.run,
    "callstats": callstats.run,
    "ingest": ingest.run,
    "locust": locust_chat.run,
    "fanout": fanout.run,
    "idle": idle.run,
    "spread": idle.run_spread,
    "scale": scale.run,
    "connect": connect.run,
    "storm": storm.run,
    "slow": slow.run,
    "leave": mass_disconnect.run,
    "churn": churn.run,
    "presence": presence.run,
    "perish": worker_crash.run,
}

LONG = frozenset(
    {
        "callstats", "idle", "ingest", "leave", "messenger", "perish", "presence", "search",
        "spread", "unread",
    }
)  # fmt: skip
"""More than a minute: run only by name."""

__all__ = ["LONG", "SCENARIOS"]
