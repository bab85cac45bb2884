"""The statistics of overview, agents and queues, as a client reads them.

calls, pauses, shares ─▶ here ─▶ the test. Every figure is as docs/telephony.md defines it, under
Statistics.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from tests.support.independent_count.calls import (
    CountedCall,
    Span,
    Stay,
    Telephone,
    calls,
    length,
    union,
)
from tests.support.independent_count.pauses import pauses
from tests.support.independent_count.records import SECOND, Records
from tests.support.independent_count.shares import (
    MS,
    Request,
    handling,
    hours,
    moment,
    service,
    share,
)

DAY = 24 * 3_600 * SECOND


@dataclass
class Count:
    """The statistics of one recording; `employees` is extension → employee."""

    records: Records
    employees: dict[str, int]
    source: str
    all_calls: list[CountedCall] = field(init=False)

    def __post_init__(self) -> None:
        self.all_calls = calls(self.records)

    # --- the three ---------------------------------------------------------------------------

    def overview(self, request: Request) -> dict[str, Any]:
        """Return all calls that began in the period, each counted once."""
        since, until = request.span
        picked = [
            call
            for call in self.all_calls
            if since <= call.began < until and self._is_asked(call, request)
        ]
        inbound = [call for call in picked if call.direction == "inbound"]
        outbound = [call for call in picked if call.direction == "outbound"]
        answered = [call for call in inbound if call.answered is not None]
        reached = [call for call in outbound if call.answered is not None]
        queued = [call for call in inbound if call.stays]
        repeated = sum(self._is_repeated(call) for call in inbound)
        talks = [call for call in picked if call.talks]
        wraps = pauses(self.records, request.span, queue=request.queue, wrap_up=True)
        wrapped = sum(length(spans) for who, spans in wraps.items() if self._is_agent(who, request))
        return {
            "calls": len(picked),
            "inbound": len(inbound),
            "outbound": len(outbound),
            "internal": len(picked) - len(inbound) - len(outbound),
            "live": 0,
            "inbound_answered": len(answered),
            "inbound_missed": len(inbound) - len(answered),
            "inbound_voicemail": 0,
            "outbound_answered": len(reached),
            "repeated": repeated,
            "inbound_answer_rate": share(len(answered), len(inbound)),
            "outbound_answer_rate": share(len(reached), len(outbound)),
            "repeat_rate": share(repeated, len(inbound)),
            "peak": max(
                (
                    sum(other.began <= call.began < other.ended for other in picked)
                    for call in picked
                ),
                default=0,
            ),
            "service": service([(call.outcome, call.wait or 0) for call in queued], request),
            "handling": handling(
                handled=len(talks),
                talk=sum(length(call.talks) for call in talks),
                wrap=None if request.direction else wrapped,
                transferred=sum(
                    any(telephone.transferred for telephone in call.telephones) for call in picked
                ),
                answered=len(talks),
            ),
            "hours": hours(picked, request),
            "incomplete_hours": [],
        }

    def queues(self, request: Request) -> dict[str, dict[str, Any]]:
        """Return queue → the stays in it that began in the period."""
        since, until = request.span
        by_queue: dict[str, list[tuple[CountedCall, Stay]]] = defaultdict(list)
        for call in self.all_calls:
            for stay in call.stays:
                if (
                    since <= stay.entered < until
                    and request.queue in {None, stay.queue}
                    and request.direction in {None, call.direction}
                    and self._took_part(call, request)
                ):
                    by_queue[stay.queue].append((call, stay))
        found = {}
        for queue, stays in by_queue.items():
            wraps = pauses(self.records, request.span, queue=queue, wrap_up=True)
            wrapped = sum(
                length(spans) for who, spans in wraps.items() if self._is_agent(who, request)
            )
            connected = [(c, s) for c, s in stays if s.outcome == "connected"]
            talks = [[t for t in c.telephones if _belongs(t, s) and t.talks] for c, s in connected]
            found[queue] = {
                "queue": queue,
                "service": service([(_ended(s.outcome), s.wait) for _, s in stays], request),
                "handling": handling(
                    handled=sum(bool(one) for one in talks),
                    talk=sum(length(t.talks) for one in talks for t in one),
                    wrap=None if request.direction else wrapped,
                    transferred=sum(_was_transferred(c, s) for c, s in connected),
                    answered=len(connected),
                ),
            }
        return found

    def agents(self, request: Request) -> dict[tuple[int | None, str | None], dict[str, Any]]:
        """Return (employee, telephone of nobody) → their part in calls that began in the period."""
        since, until = request.span
        of: dict[tuple[int | None, str | None], list[Telephone]] = defaultdict(list)
        for call in self.all_calls:
            if (
                since <= call.began < until
                and request.direction in {None, call.direction}
                and _went_through(call, request.queue)
            ):
                for telephone in call.telephones:
                    if self._is_agent(telephone.extension, request):
                        of[self._who(telephone.extension)].append(telephone)
        whole = request.direction is None and request.queue is None
        return {who: self._agent(who, parts, request, whole=whole) for who, parts in of.items()}

    def _agent(
        self,
        who: tuple[int | None, str | None],
        parts: list[Telephone],
        request: Request,
        *,
        whole: bool,
    ) -> dict[str, Any]:
        rang = [part for part in parts if part.rang]
        answered = [part for part in rang if part.answered is not None]
        how = [part.how for part in rang]
        rings = [part.answered - part.began for part in answered if part.answered is not None]
        handled = [part for part in parts if part.talks]
        active = [part for part in parts if part.rang or part.placed]
        spans = self._days(active, request.tz)
        busy = [(part.answered, part.ended) for part in parts if part.answered is not None]
        wraps, others = (
            [
                (max(began, first), min(ended, last))
                for extension, found in pauses(self.records, request.span, wrap_up=wrap_up).items()
                if self._who(extension) == who
                for began, ended in found
                for first, last in spans
                if began < last and ended > first
            ]
            for wrap_up in (True, False)
        )
        talking, working = length(busy), length(busy + wraps)
        pause, staffed = length(busy + wraps + others) - working, length(spans)
        elsewhere = how.count("answered_elsewhere")
        return {
            "employee_id": who[0],
            "telephone": who[1],
            "offered": len(rang),
            "answered": len(answered),
            "no_answer": how.count("no_answer"),
            "rejected": how.count("rejected") + how.count("busy"),
            "answered_elsewhere": elsewhere,
            "answer_rate": share(len(answered), len(rang) - elsewhere),
            "ring_avg_ms": share(sum(rings) / MS, len(rings)),
            "placed": sum(part.placed for part in parts),
            "handling": handling(
                handled=len(handled),
                talk=sum(length(part.talks) for part in handled),
                wrap=working - talking if whole else None,
                transferred=sum(len(part.transferred) for part in parts),
                answered=len(handled),
            ),
            "pause_ms": pause // MS if whole else None,
            "staffed_ms": staffed // MS if whole else None,
            "occupancy": share(working, staffed - pause) if whole else None,
            "occupancy_method": "first_to_last_activity",
        }

    # --- which and who -----------------------------------------------------------------------

    def _who(self, extension: str) -> tuple[int | None, str | None]:
        employee = self.employees.get(extension)
        return (employee, None if employee is not None else f"{self.source}/{extension}")

    def _is_agent(self, extension: str, request: Request) -> bool:
        return request.agent_id in {None, self.employees.get(extension)}

    def _is_asked(self, call: CountedCall, request: Request) -> bool:
        return (
            request.direction in {None, call.direction}
            and _went_through(call, request.queue)
            and self._took_part(call, request)
        )

    def _took_part(self, call: CountedCall, request: Request) -> bool:
        return request.agent_id is None or any(
            telephone.answered is not None
            and self.employees.get(telephone.extension) == request.agent_id
            for telephone in call.telephones
        )

    def _is_repeated(self, call: CountedCall) -> bool:
        return call.number is not None and any(
            other.number == call.number
            and other.direction == "inbound"
            and other.began < call.began <= other.began + DAY
            for other in self.all_calls
        )

    def _days(self, parts: list[Telephone], tz: str) -> list[Span]:
        """Return from the first to the last moment of each day; never a moment twice."""
        days: dict[Any, list[Telephone]] = defaultdict(list)
        for part in parts:
            days[moment(part.began).astimezone(ZoneInfo(tz)).date()].append(part)
        return union(
            (min(part.began for part in day), max(part.ended for part in day))
            for day in days.values()
        )


def _went_through(call: CountedCall, queue: str | None) -> bool:
    return queue is None or any(stay.queue == queue for stay in call.stays)


def _ended(outcome: str) -> str:
    return "answered" if outcome == "connected" else outcome


def _belongs(telephone: Telephone, stay: Stay) -> bool:
    """Whether it answered after the caller entered this queue and before they entered the next."""
    at = telephone.answered
    return at is not None and at >= stay.entered and (stay.until is None or at < stay.until)


def _was_transferred(call: CountedCall, stay: Stay) -> bool:
    return any(
        at >= stay.entered and (stay.until is None or at < stay.until)
        for telephone in call.telephones
        for at in telephone.transferred
    )
