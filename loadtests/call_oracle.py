"""The figures of call statistics, computed in plain Python from all rows.

A second implementation of what the product does in SQL, written in another way: tests compare the
two, and the benchmark shows what loading a million rows would cost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from gateway.telephony.stats.queries.stats import StatsFilter
from loadtests import pause_oracle

Row = Any
Interval = tuple[datetime, datetime]

DAY, NONE = timedelta(days=1), timedelta()
REFUSED = {"full", "join_empty"}
LEFT = {"key", "leave_empty", "withdrawn"}


class Oracle:
    """The statistics of all rows of a period."""

    def __init__(self, rows: dict[str, list[Row]], criteria: StatsFilter) -> None:
        self._criteria, self._rows = criteria, rows
        self._phones = {
            (row["source"], row["extension"]): row["employee_id"] for row in rows["phones"]
        }
        self._legs_of: dict[Any, list[Row]] = defaultdict(list)
        for leg in rows["legs"]:
            self._legs_of[leg["call_id"]].append(leg)
        self._stints_of: dict[Any, list[Row]] = defaultdict(list)
        for stint in rows["stints"]:
            self._stints_of[stint["call_id"]].append(stint)
        self._calls = {call["id"]: call for call in rows["calls"]}
        self._transfers: dict[Any, list[Row]] = defaultdict(list)
        for transfer in rows["transfers"]:
            self._transfers[transfer["call_id"]].append(transfer)
        events = [
            event for event in rows["events"]
            if criteria.agent_id in {None, self._who_of(event)[0]}
        ]  # fmt: skip
        self._pauses = pause_oracle.pauses(events, self._who_of, criteria.since, criteria.until)

    # --- the three ---------------------------------------------------------------------------

    def overview(self) -> dict[str, Any]:
        """Return what stats.overview returns."""
        criteria = self._criteria
        calls = [call for call in self._rows["calls"] if self._matches(call)]
        queued = [c for c in calls if c["direction"] == "inbound" and c["queue"] is not None]
        inbound = [c for c in calls if c["direction"] == "inbound"]
        outbound = [c for c in calls if c["direction"] == "outbound"]
        over = [c for c in calls if c["ended_at"] and c["talk_ms"] is not None]
        lost = {c["id"] for c in over if any(self._lost(leg) for leg in self._legs_of[c["id"]])}
        held = [
            leg["hold_ms"]
            for call in over
            if call["id"] not in lost
            for leg in self._legs_of[call["id"]]
            if leg["kind"] == "agent" and leg["hold_ms"]
        ]
        return {
            "calls": len(calls),
            "inbound": len(inbound),
            "outbound": len(outbound),
            "internal": len(calls) - len(inbound) - len(outbound),
            "live": sum(c["ended_at"] is None for c in calls),
            "inbound_answered": sum(c["answered_at"] is not None for c in inbound),
            "inbound_missed": sum(
                c["answered_at"] is None and c["ended_at"] is not None for c in inbound
            ),
            "inbound_voicemail": sum(c["outcome"] == "voicemail" for c in inbound),
            "outbound_answered": sum(c["answered_at"] is not None for c in outbound),
            **self._service(
                queued,
                answered=lambda c: c["answered_at"] is not None,
                outcome=lambda c: c["outcome"],
            ),
            "talked": len(over) - len(lost),
            "talk_ms": sum(c["talk_ms"] for c in over if c["id"] not in lost),
            "hold_ms": sum(held),
            "transferred": sum(c["id"] in self._transfers for c in calls),
            "repeated": self._repeated({c["id"] for c in inbound}),
            "peak": self._peak(calls),
            "hours": self._hours(calls),
            "wrap_ms": self._wrap_ms(criteria.queue),
        }

    def queues(self) -> dict[str, dict[str, Any]]:
        """Return queue → what stats_queues.read returns."""
        criteria = self._criteria
        by_queue: dict[str, list[Row]] = defaultdict(list)
        for stint in self._rows["stints"]:
            if (
                criteria.since <= stint["entered_at"] < criteria.until
                and criteria.queue in {None, stint["queue"]}
                and self._direction_and_agent(stint["call_id"])
            ):
                by_queue[stint["queue"]].append(stint)
        found = {}
        for queue, stints in by_queue.items():
            talks = [talk for stint in stints if (talk := self._talk(stint))]
            found[queue] = {
                "queue": queue,
                **self._service(
                    stints, answered=lambda s: s["outcome"] == "connected", outcome=_stint_outcome
                ),
                "talked": len(talks),
                "talk_ms": sum(talk for talk, _ in talks),
                "hold_ms": sum(hold for _, hold in talks),
                "transferred": sum(self._moved(stint) for stint in stints),
                "wrap_ms": self._wrap_ms(queue),
            }
        return found

    def agents(self) -> dict[tuple[Any, Any], dict[str, Any]]:
        """Return (employee, telephone) → what stats_agents.read returns."""
        criteria, legs_of = self._criteria, defaultdict(list)
        for call in self._rows["calls"]:
            if self._matches(call, agent=False):
                for leg in self._legs_of[call["id"]]:
                    reason = leg["ended_reason"]
                    if leg["kind"] == "agent" and leg["extension"] and reason != "other_device":
                        who = self._who(leg["source"], leg["extension"])
                        if criteria.agent_id in {None, who[0]}:
                            legs_of[who].append(leg)
        return {
            who: self._agent(
                legs,
                self._pauses.get((who, None, "paused"), []),
                self._pauses.get((who, None, "wrap_up"), []),
            )
            for who, legs in legs_of.items()
        }

    def _agent(self, legs: list[Row], plain: list[Interval], wraps: list[Interval]) -> Row:
        rung = [leg for leg in legs if leg["ringing_at"] and not leg["placed"]]
        known = [leg for leg in legs if leg["ended_at"] and leg["ended_reason"] != "lost"]
        talked = [leg for leg in known if _is_own_part(leg)]
        rings = [
            leg["answered_at"] - leg["ringing_at"]
            for leg in rung
            if leg["answered_at"] and leg["answered_at"] >= leg["ringing_at"]
        ]
        days = self._days(known)
        talking = [(leg["answered_at"], leg["ended_at"]) for leg in known if leg["answered_at"]]
        working = talking + _common(wraps, days)
        reasons = [leg["ended_reason"] for leg in rung]
        return {
            "offered": len(rung),
            "answered": sum(leg["answered_at"] is not None for leg in rung),
            "no_answer": reasons.count("no_answer"),
            "rejected": reasons.count("busy") + reasons.count("rejected"),
            "answered_elsewhere": reasons.count("answered_elsewhere"),
            "placed": sum(
                leg["placed"] or bool(leg["answered_at"] and not leg["ringing_at"]) for leg in legs
            ),
            "talked": len(talked),
            "talk_ms": sum(_once_ms(leg) for leg in talked),
            "hold_ms": sum(leg["hold_ms"] or 0 for leg in known if leg["talk_ms"] is not None),
            "rings": len(rings),
            "ring_ms": _ms(sum(rings, NONE)),
            "staffed_ms": _ms(_length(days)),
            "talking_ms": _ms(_length(talking)),
            "working_ms": _ms(_length(working)),
            "away_ms": _ms(_length(working + _common(plain, days))),
            "transferred": sum(
                transfer["by_leg_key"] == leg["leg_key"]
                for leg in legs
                for transfer in self._transfers.get(leg["call_id"], ())
            ),
        }  # fmt: skip

    # --- who and which -----------------------------------------------------------------------

    def _matches(self, call: Row, *, agent: bool = True) -> bool:
        criteria = self._criteria
        if not criteria.since <= call["started_at"] < criteria.until:
            return False
        if criteria.direction not in {None, call["direction"]}:
            return False
        if criteria.queue and not any(
            stint["queue"] == criteria.queue and criteria.since <= stint["entered_at"]
            for stint in self._stints_of[call["id"]]
        ):
            return False
        return not agent or criteria.agent_id is None or self._took_part(call["id"])

    def _direction_and_agent(self, call_id: Any) -> bool:
        criteria, call = self._criteria, self._calls.get(call_id)
        if criteria.direction is not None and (
            call is None or call["direction"] != criteria.direction
        ):
            return False
        return criteria.agent_id is None or self._took_part(call_id)

    def _took_part(self, call_id: Any) -> bool:
        return any(
            leg["extension"]
            and leg["answered_at"]
            and self._who(leg["source"], leg["extension"])[0] == self._criteria.agent_id
            for leg in self._legs_of[call_id]
        )

    def _who(self, source: str, extension: str) -> tuple[Any, Any]:
        who = self._phones.get((source, extension), self._phones.get(("*", extension)))
        return (who, None if who is not None else f"{source}/{extension}")

    def _who_of(self, event: Row) -> tuple[Any, Any]:
        return self._who(event["source"], event["extension"])

    def _wrap_ms(self, queue: str | None) -> int:
        """Return the wrap-up in a queue, or in all queues of each agent, added up over agents."""
        wraps = [own for key, own in self._pauses.items() if key[1:] == (queue, "wrap_up")]
        return _ms(sum((_length(own) for own in wraps), NONE))

    def _lost(self, leg: Row) -> bool:
        return (leg["kind"], leg["ended_reason"]) == ("agent", "lost")

    # --- waiting and talking -----------------------------------------------------------------

    def _service(
        self, rows: list[Row], *, answered: Callable[[Row], bool], outcome: Callable[[Row], Any]
    ) -> dict[str, Any]:
        criteria = self._criteria
        waits = sorted(row["wait_ms"] for row in rows if row["wait_ms"] is not None)
        taken = [row for row in rows if answered(row)]
        gone = [row for row in rows if outcome(row) == "abandoned"]
        quick = [row["wait_ms"] for row in taken if row["wait_ms"] is not None]
        left = [row["wait_ms"] for row in gone if row["wait_ms"] is not None]
        return {
            "offered": len(rows),
            "answered": len(taken),
            "abandoned": len(gone),
            "short_abandoned": sum(wait < criteria.short_ms for wait in left),
            "answered_in_time": sum(wait <= criteria.threshold_ms for wait in quick),
            "abandoned_in_time": sum(wait <= criteria.threshold_ms for wait in left),
            **{
                name: sum(outcome(row) == name for row in rows)
                for name in ("timeout", "left_queue", "voicemail", "failed")
            },
            "answered_wait_ms": sum(quick),
            "answered_waits": len(quick),
            "total_wait_ms": sum(waits),
            "waits": len(waits),
            "wait_max_ms": waits[-1] if waits else None,
            "wait": [_percentile(waits, share) for share in (0.5, 0.9, 0.95)] if waits else None,
        }

    def _until(self, stint: Row) -> datetime | None:
        following = stint["position"] + 1
        return next(
            (s["entered_at"] for s in self._stints_of[stint["call_id"]]
             if s["position"] == following), None,
        )  # fmt: skip

    def _talk(self, stint: Row) -> tuple[int, int] | None:
        if stint["outcome"] != "connected":
            return None
        until = self._until(stint)
        legs = [
            leg
            for leg in self._legs_of[stint["call_id"]]
            if leg["kind"] == "agent"
            and leg["answered_at"]
            and stint["entered_at"] <= leg["answered_at"]
            and (until is None or leg["answered_at"] < until)
        ]
        talks = [_once_ms(leg) for leg in legs if leg["talk_ms"] is not None]
        if not talks or any(leg["ended_at"] is None or self._lost(leg) for leg in legs):
            return None
        return sum(talks), sum(leg["hold_ms"] or 0 for leg in legs)

    def _moved(self, stint: Row) -> bool:
        """Return whether a telephone that took the call from this stint transferred it."""
        until, call_id = self._until(stint), stint["call_id"]
        taken = {x["leg_key"]: x["answered_at"] for x in self._legs_of[call_id] if x["answered_at"]}
        times = [taken.get(x["by_leg_key"], x["at"]) for x in self._transfers.get(call_id, ())]
        within = (stint["entered_at"] <= at and (until is None or at < until) for at in times)
        return stint["outcome"] == "connected" and any(within)

    def _repeated(self, counted: set[Any]) -> int:
        by_number: dict[str, list[tuple[datetime, Any]]] = defaultdict(list)
        for call in self._rows["calls"]:
            if call["direction"] == "inbound" and call["number_e164"]:
                by_number[call["number_e164"]].append((call["started_at"], call["id"]))
        repeated = 0
        for calls in by_number.values():
            calls.sort()
            for (before, _), (at, call_id) in pairwise(calls):
                repeated += call_id in counted and at - before <= DAY
        return repeated

    # --- time --------------------------------------------------------------------------------

    def _peak(self, calls: list[Row]) -> int:
        steps = [(call["started_at"], 1) for call in calls]
        steps += [(call["ended_at"], -1) for call in calls if call["ended_at"]]
        running = peak = 0
        for _, step in sorted(steps):
            running += step
            peak = max(peak, running)
        return peak

    def _hours(self, calls: list[Row]) -> dict[tuple[int, int], tuple[int, float]]:
        criteria, zone = self._criteria, ZoneInfo(self._criteria.tz)
        cells: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0, 0.0])
        at = criteria.since
        while at < criteria.until:
            quarter = (at.timestamp() // 900 + 1) * 900
            after = min(datetime.fromtimestamp(quarter, UTC), criteria.until)
            local = at.astimezone(zone)
            cells[local.isoweekday(), local.hour][1] += (after - at) / timedelta(hours=1)
            at = after
        for call in calls:
            local = call["started_at"].astimezone(zone)
            cells[local.isoweekday(), local.hour][0] += 1
        return {
            cell: (int(count), round(hours, 6)) for cell, (count, hours) in sorted(cells.items())
        }

    def _days(self, legs: list[Row]) -> list[Interval]:
        zone = ZoneInfo(self._criteria.tz)
        days: dict[Any, list[Interval]] = defaultdict(list)
        for leg in legs:
            began = leg["ringing_at"] or leg["answered_at"]
            if began:
                days[began.astimezone(zone).date()].append((began, leg["ended_at"]))
        return [(min(b for b, _ in day), max(e for _, e in day)) for day in days.values()]


def _once_ms(leg: Row) -> int:
    """Return its talk time without what an earlier line of its telephone already has."""
    talked: int = leg["talk_ms"] - (leg["overlap_ms"] or 0)
    return talked


def _is_own_part(leg: Row) -> bool:
    """Return whether it talked, and not only beside an earlier line."""
    return leg["talk_ms"] is not None and (leg["overlap_ms"] is None or _once_ms(leg) > 0)


def _stint_outcome(stint: Row) -> str | None:
    outcome: str | None = stint["outcome"]
    return "left_queue" if outcome in LEFT else "failed" if outcome in REFUSED else outcome


def _percentile(ordered: list[int], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _common(intervals: list[Interval], days: list[Interval]) -> list[Interval]:
    return [
        (max(began, first), min(ended, last))
        for began, ended in intervals
        for first, last in days
        if began < last and ended > first
    ]


def _length(intervals: Iterable[Interval]) -> timedelta:
    """Return for how long at least one of the intervals lasts."""
    total, covered = timedelta(), datetime.min.replace(tzinfo=UTC)
    for began, ended in sorted(intervals):
        if ended > covered:
            total += ended - max(began, covered)
            covered = ended
    return total


def _ms(length: timedelta) -> int:
    return length // timedelta(milliseconds=1)
