"""The result of a run as figures and as text.

FaultResult ─▶ figures ─▶ JSON, or a table. Of the evidence, the first lines of each rule are shown.
"""

from __future__ import annotations

import os
import resource
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

from tests.faults.case import Case
from tests.faults.checker import RULES, lateness
from tests.faults.history import History, ObservedSession, Sent
from tests.faults.laboratory import FaultPlan, FaultResult

NAMED = 5
"""Lines of evidence that are shown for each rule."""
CALM = "calm"
RETRIES = 8
"""Reasons for which connections were tried again that are shown."""


def figures(plan: FaultPlan, outcome: FaultResult) -> dict[str, Any]:
    """Return everything that is counted and measured."""
    history = outcome.history
    outcomes = Counter(sent.outcome for sent in history.sent)
    how = history.received.count_how()
    return {
        "seed": plan.seed,
        "seconds": round(history.ended_at - history.began_at),
        "clients": plan.clients,
        "workers": plan.stage.workers,
        "busy_loops": plan.busy,
        "load_5_min": round(os.getloadavg()[1], 1),
        "memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "messages": {
            "acknowledged": outcomes["ok"],
            "refused": outcomes["fail"],
            "unknown": outcomes["info"],
            "tried_again": sum(sent.tries > 1 for sent in history.sent),
        },
        "heard": {"live": how["live"], "by_resume": how["resume"]},
        "healed_by_sweep_or_gap_fill": outcome.healed,
        "reconnects": outcome.reconnects,
        "retries": dict(Counter(one.why for one in history.retries).most_common(RETRIES)),
        "longest_away": _longest_away(history),
        "starved_s": {
            name: {"in_all": round(one.in_all, 1), "longest": round(one.longest, 2)}
            for name, one in sorted(history.starved.times.items())
        },
        "somebody_starved_s": round(history.starved.anybody.in_all, 1),
        "faults": _by_kind(plan, outcome),
        "violations": {name: len(outcome.findings[name]) for name in RULES},
    }


def _by_kind(plan: FaultPlan, outcome: FaultResult) -> dict[str, dict[str, Any]]:
    case = Case(outcome.history, outcome.truth, plan.bounds)
    late: dict[str, float] = defaultdict(float)
    raw: dict[str, float] = defaultdict(float)
    sent: Counter[str] = Counter()
    for one in outcome.history.sent:
        if one.outcome == "ok":
            sent[_kind(outcome.history, one)] += 1
    for room in case.rooms():
        for one, received, late_s in lateness(room):
            kind = _kind(outcome.history, one)
            late[kind] = max(late[kind], late_s)
            raw[kind] = max(raw[kind], received.at - (one.ended_at or 0.0))
    away = _away_s(outcome.history)
    times = Counter(fault.kind for fault in outcome.history.faults)
    found: dict[str, dict[str, Any]] = {}
    for kind in [*sorted(times), CALM]:
        numbers = [fault.number for fault in outcome.history.faults if fault.kind == kind]
        found[kind] = {
            "times": times[kind],
            "acknowledged": sent[kind],
            "late_s": round(late[kind], 2),
            "after_ack_s": round(raw[kind], 2),
            "reconnects": sum(outcome.reconnects_during.get(one, 0) for one in numbers),
            "away_s": round(away[kind], 1),
            "presence_s": round(
                max((outcome.presence_s.get(one, float("nan")) for one in numbers), default=0.0), 1
            ),
        }
    return found


def _longest_away(history: History) -> list[str]:
    """Return why, when and where the reader who was away for longest tried again."""
    sessions: dict[int, list[ObservedSession]] = defaultdict(list)
    for session in history.sessions:
        sessions[session.reader].append(session)
    gaps = [
        (after.began_at - before.ended_at, before.reader, before.ended_at, after.began_at)
        for held in sessions.values()
        for before, after in pairwise(held)
        if before.ended_at is not None and not before.left
    ]
    if not gaps:
        return []
    _, reader, since, until = max(gaps)
    tries = [
        f"{one.at - history.began_at:.1f} s, worker {one.worker + 1}: {one.why}"
        for one in history.retries
        if one.reader == reader and since - 0.1 <= one.at <= until
    ]
    return [*tries, f"{until - history.began_at:.1f} s: welcome"]


def _away_s(history: History) -> dict[str, float]:
    """Return kind of fault → the longest time that a reader who lost a connection had none."""
    sessions: dict[int, list[ObservedSession]] = defaultdict(list)
    for session in history.sessions:
        sessions[session.reader].append(session)
    longest: dict[str, float] = defaultdict(float)
    for held in sessions.values():
        for before, after in pairwise(held):
            if before.ended_at is not None and not before.left:
                kind = _kind_between(history, before.ended_at, after.began_at)
                longest[kind] = max(longest[kind], after.began_at - before.ended_at)
    return longest


def _kind(history: History, sent: Sent) -> str:
    """Return during which kind of fault it was on its way."""
    return _kind_between(history, sent.invoked_at, sent.ended_at or 0.0)


def _kind_between(history: History, since: float, until: float) -> str:
    for fault in history.faults:
        if since <= fault.over_at and until >= fault.began_at:
            return fault.kind
    return CALM


def text(said: dict[str, Any], outcome: FaultResult) -> str:
    """Return it for people."""
    messages, received = said["messages"], said["heard"]
    lines = [
        "",
        f"seed {said['seed']}: {said['clients']} clients, {said['workers']} workers, "
        f"{said['seconds']} s, {said['busy_loops']} busy loops beside it, "
        f"load {said['load_5_min']}",
        f"  messages: {messages['acknowledged']} acknowledged, {messages['refused']} refused, "
        f"{messages['unknown']} unknown, {messages['tried_again']} tried again",
        f"  received: {received['live']} live, {received['by_resume']} by resume; "
        f"{said['healed_by_sweep_or_gap_fill']} healed by sweep or gap fill",
        f"  reconnects: {said['reconnects']}; memory of the laboratory: {said['memory_mib']} MiB",
        f"  tried again because of: {_counted(said['retries'])}",
        f"  away for longest: {'; '.join(said['longest_away'])}",
        f"  waited for a processor: {_starved(said['starved_s'])}; "
        f"at any moment somebody, {said['somebody_starved_s']} s",
        "",
        f"  {'fault':<22}{'times':>6}{'acked':>7}{'late s':>8}{'after ack s':>13}"
        f"{'reconnects':>12}{'away s':>8}{'presence s':>12}",
    ]
    for kind, one in said["faults"].items():
        lines.append(
            f"  {kind:<22}{one['times']:>6}{one['acknowledged']:>7}{one['late_s']:>8}"
            f"{one['after_ack_s']:>13}{one['reconnects']:>12}{one['away_s']:>8}"
            f"{one['presence_s']:>12}"
        )
    lines.append("")
    for name, evidence in outcome.findings.items():
        if evidence:
            lines.append(f"  VIOLATED {name}, {len(evidence)} times: {_meaning(name)}")
            lines += [f"    {line}" for line in evidence[:NAMED]]
    if not any(outcome.findings.values()):
        lines.append(f"  nothing violated: {', '.join(RULES)}")
    return "\n".join(lines)


def _starved(said: dict[str, dict[str, float]]) -> str:
    return ", ".join(f"{name} {one['in_all']} s" for name, one in said.items()) or "not known"


def _counted(said: dict[str, int]) -> str:
    return ", ".join(f"{why} ({times} times)" for why, times in said.items()) or "nothing"


def _meaning(rule: str) -> str:
    """Return the first line of a rule's docstring."""
    return (RULES[rule].__doc__ or "").partition("\n")[0]
