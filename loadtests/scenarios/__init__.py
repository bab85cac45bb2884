"""The scenarios, by name, in the order in which all are run."""

from __future__ import annotations

from collections.abc import Callable

from loadtests.options import Options
from loadtests.report import Result
from loadtests.scenarios import (
    calls,
    callstats,
    capacity,
    churn,
    connect,
    costs,
    fanout,
    idle,
    ids,
    ingest,
    innocent,
    jobs,
    locust_roles,
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
    "jobs": jobs.run,
    "ids": ids.run,
    "locust": locust_roles.run,
    "capacity": capacity.run,
    "fanout": fanout.run,
    "idle": idle.run,
    "spread": idle.run_spread,
    "scale": scale.run,
    "connect": connect.run,
    "costs": costs.run,
    "storm": storm.run,
    "slow": slow.run,
    "mass_disconnect": mass_disconnect.run,
    "churn": churn.run,
    "presence": presence.run,
    "innocent": innocent.run,
    "worker_crash": worker_crash.run,
}

LONG = frozenset(
    {
        "callstats", "capacity", "costs", "idle", "ids", "ingest", "innocent", "jobs",
        "mass_disconnect", "messenger", "presence", "search", "spread", "unread", "worker_crash",
    }
)  # fmt: skip
"""Scenarios that take more than a minute: they run only by name."""

ALIASES = {"leave": "mass_disconnect", "perish": "worker_crash"}
"""Former names, still accepted on the command line → scenario."""

__all__ = ["ALIASES", "LONG", "SCENARIOS"]
