"""The pauses of agents, computed in plain Python from all agent.* events.

Written in another way than the product: states are dictionaries, and each moment is looked at anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

Row = Any
Interval = tuple[datetime, datetime]
WRAP_UP = {"wrapup", "wrap-up", "wrap up", "acw", "after call work"}
RANK = ("agent.logoff", "agent.unpaused", "agent.login", "agent.paused")
BLANK = {"on": True, "paused": False, "reason": None}

Pauses = dict[tuple[Any, str | None, str], list[Interval]]
"""(person, queue or None for all, wrap_up or paused) → intervals."""


def pauses(
    events: Iterable[Row], who: Callable[[Row], Any], since: datetime, until: datetime
) -> Pauses:
    """Return the pauses of all people in [since, until)."""
    of_person: dict[Any, list[Row]] = defaultdict(list)
    for event in events:
        if event["type"].startswith("agent.") and event["occurred_at"] < until:
            of_person[who(event)].append(event)
    found: Pauses = defaultdict(list)
    for person, own in of_person.items():
        own.sort(key=lambda e: (e["occurred_at"], e["told"] or 0, RANK.index(e["type"]),
                                e["event_id"]))  # fmt: skip
        states: dict[tuple[Any, str | None], Row] = {}
        for number, event in enumerate(own):
            _tell(states, event)
            following = own[number + 1]["occurred_at"] if number + 1 < len(own) else until
            began, ended = max(event["occurred_at"], since), min(following, until)
            if began < ended:
                for queue in {None} | {queue for _, queue in states if queue}:
                    if doing := _doing(states, queue):
                        found[person, queue, doing].append((began, ended))
    return found


def _tell(states: dict[tuple[Any, str | None], Row], event: Row) -> None:
    phone, queue = (event["source"], event["extension"]), event["queue"]
    if (phone, queue) not in states:
        states[phone, queue] = dict(states.get((phone, None), BLANK))
    kind, reason = event["type"], event["attrs"].get("reason")
    for key, state in states.items():
        if key[0] != phone or queue not in {None, key[1]}:
            continue
        if kind == "agent.logoff":
            state.update(BLANK, on=False)
        elif kind == "agent.unpaused":
            state.update(paused=False, reason=None)
        elif kind == "agent.paused" or event["attrs"].get("paused"):
            earlier = state["reason"] if state["paused"] else None
            state.update(paused=True, reason=reason or earlier)
        if kind == "agent.login":
            state["on"] = True


def _doing(states: dict[tuple[Any, str | None], Row], queue: str | None) -> str | None:
    there = {key: state for key, state in states.items() if state["on"]}
    if queue is not None:
        there = {key: state for key, state in there.items() if key[1] == queue}
    elif any(key[1] for key in there):
        there = {key: state for key, state in there.items() if key[1]}
    if not there or not all(state["paused"] for state in there.values()):
        return None
    wraps = [(state["reason"] or "").lower() in WRAP_UP for state in there.values()]
    return "wrap_up" if all(wraps) else "paused"
