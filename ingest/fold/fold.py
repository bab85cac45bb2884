"""The fold: from the events of one call to its state.

event_log ─▶ fold ─▶ CallState. Pure, and the same for every order of arrival and any repetition:
the events are a set in canonical order and the state is a function of that set, so nothing depends
on which event arrived last. Between equal times the order decides in which their PBX told them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import cast
from uuid import UUID

from ingest.fold import mailboxes, recordings, transfers
from ingest.fold.asked_extension import asked_extension
from ingest.fold.devices import other_devices
from ingest.fold.end_reasons import ELSEWHERE_WITHIN, ended_reason, leg_state
from ingest.fold.event_log import EventLog
from ingest.fold.event_order import canonical, order_key
from ingest.fold.hang_ups import UNKNOWN, CallEnd, EndedByWhom, who_ended
from ingest.fold.intervals import total_ms
from ingest.fold.legs import Leg, build_legs
from ingest.fold.near_times import not_after, not_before
from ingest.fold.parkings import build_parkings, parked_ms
from ingest.fold.queue_stints import build_stints, connected_at, wait_ms
from ingest.fold.ring_groups import RING_GROUP_FACTS, ring_group
from ingest.fold.rooms import last_conference
from ingest.fold.union_find import UnionFind
from ingest.model.call_state import (
    CallState,
    CallStatus,
    Direction,
    Outcome,
    TransferState,
)
from ingest.model.events import CallEvent

STINT_OUTCOME: dict[str, Outcome] = {
    "abandoned": "abandoned",
    "timeout": "timeout",
    "key": "left_queue",
    "leave_empty": "left_queue",
    "withdrawn": "left_queue",
    "join_empty": "failed",
    "full": "failed",
}

OUTSIDE = re.compile(r"(?!0+$)\+?\d(?:[ ().\-/]*\d){6,}")
"""A number that cannot be an extension, though it is not valid in the PBX's country."""
NOBODY = (None, None)
"""No number, neither raw nor E.164."""
LONG = 7
"""Digits of an extension that is a telephone number without the country's code."""


def fold(
    events: EventLog | Iterable[CallEvent], *, call_id: UUID, version: int = 0
) -> CallState | None:
    """Return the call's state; None when its events show no telephone (yet)."""
    log = events if isinstance(events, EventLog) else EventLog(events)
    closed_at = log.closed_at
    legs = build_legs(log.channels, closed_at)
    return (
        _Fold(log, legs, closed_at).state(call_id, version)
        if any(not leg.nowhere for leg in legs)
        else None
    )


class _Fold:
    """What follows from a call's legs; each property that others need is computed once."""

    def __init__(self, log: EventLog, found: list[Leg], closed_at: datetime | None) -> None:
        self.log = log
        self.events = log.events
        self.legs = legs = [leg for leg in found if not leg.nowhere]
        self.nowhere = [leg for leg in found if leg.nowhere]
        self.initiator = _initiator(legs)
        """Who began the call: the first leg that called, or that the PBX rang for it."""
        self.others = [leg for leg in legs if leg is not self.initiator]
        self.stints = build_stints(log, legs)
        self.connected_at = connected_at(self.stints)
        self.direction = self._direction()
        self.answering = self._answering()
        self.first_answer = self._first_answer()
        ends = [leg.ended_at for leg in legs]
        self.ended_at = None if None in ends else max(end for end in ends if end)
        """The end of the last leg; None while a leg is open."""
        channels = log.channels.values()
        self.facts = facts = set[str]().union(*[channel.filled for channel in channels])
        """Which facts its channels have: most calls have neither parking nor mailbox nor room."""
        self.parkings = (
            build_parkings(channels, legs, self.initiator, closed_at) if "parked" in facts else ()
        )
        self.mailbox, self.message_left = (
            mailboxes.reached(channels) if "mailboxes" in facts else mailboxes.NONE
        )

    def state(self, call_id: UUID, version: int) -> CallState:
        log, stints = self.log, self.stints
        answered, ended_at = self.first_answer, self.ended_at
        number_raw, number_e164, name = self.party
        others = other_devices(self.legs)
        moved = transfers.build_transfers(log, self.legs, stints, self.parkings)
        ended_by, ended_by_extension = self._ended_by(moved) if ended_at else UNKNOWN
        return CallState(  # by place: model/frozen.py
            call_id,
            version,
            self.events[0].source,
            self.direction,
            self.status,
            self.outcome if ended_at else None,
            number_raw,
            number_e164,
            name,
            stints[-1].queue if stints else None,
            self.events[0].occurred_at,
            answered.answered_at if answered else self.connected_at,
            ended_at,
            wait_ms(stints),
            self.talk_ms,
            self.answered_extension,
            self.did,
            self.mailbox,
            self.message_left,
            self._ring_group(),
            asked_extension(self.initiator, self.others, stints, self.direction),
            ended_by,
            ended_by_extension,
            last_conference(log.channels.values()) if "conferences" in self.facts else None,
            parked_ms(self.parkings),
            legs=tuple(
                leg_state(
                    leg,
                    self.legs,
                    placed=leg.placed and self.click_to_call,
                    other_device=leg.key in others,
                )
                for leg in self.legs
            ),
            stints=stints,
            transfers=moved,
            parkings=self.parkings,
            recordings=recordings.build_recordings(log.recording_events, self.legs, ended_at)
            if log.recording_events
            else (),
        )

    def _ring_group(self) -> str | None:
        if not self.facts & RING_GROUP_FACTS:
            return None
        return ring_group(self.log.channels.values(), self.legs, self.initiator)

    def _direction(self) -> Direction:
        stated = (e.attrs.get("direction") for e in self.events if e.type == "call.started")
        if direction := next((value for value in stated if value), None):
            return cast("Direction", direction)
        if self.initiator.external:
            placed = not (self.initiator.calling or self.initiator.local)
            return "outbound" if placed else "inbound"
        outside = any(leg.external for leg in self.legs) or self.shown[0]
        return "outbound" if outside else "internal"

    @property
    def shown(self) -> tuple[str | None, str | None]:
        """The outside number, raw and E.164, that the PBX shows on the telephone it rings first.

        It is the number to be called next (click-to-call), until that number is dialled.
        """
        if not self.initiator.placed or not all(leg.placed for leg in self.legs):
            return NOBODY
        rings_at, answered_at = self.initiator.ringing_at, self.initiator.answered_at
        numbers = [
            (event.occurred_at, found)
            for event in sorted(self.initiator.shown, key=order_key)
            if (found := _outside(event, self.initiator))
            and (answered_at is None or not_after(event.occurred_at, answered_at))
        ]
        before = [found for at, found in numbers if rings_at is None or not_after(at, rings_at)]
        return before[-1] if before else numbers[0][1] if numbers else NOBODY

    @property
    def click_to_call(self) -> bool:
        """Whether the PBX rang one of ours to call somebody for them."""
        if self.initiator.external or not self.initiator.placed or self.direction == "inbound":
            return False
        return self.direction == "outbound" or not all(leg.placed for leg in self.legs)

    def _answering(self) -> list[Leg]:
        """Return the legs that had to answer: ours when called, the outside party when we call.

        The outside telephones to which a call was forwarded, when none of ours was called.
        """
        if self.direction == "outbound":
            called = self.others if self.initiator.calling else self.legs
            return [leg for leg in called if self._is_dialled(leg)]
        if not self.others and not (self.initiator.calling or self.initiator.external):
            return self.legs
        return [leg for leg in self.others if not leg.external] or self.others

    def _first_answer(self) -> Leg | None:
        """Return who answered first; an outside telephone only if it was in the conversation."""
        answered = self._put_through(self.answering)
        if self.direction == "inbound":
            forwarded = [leg for leg in self.others if leg.external and self._took(leg)]
            answered = [leg for leg in answered if not leg.external] or forwarded
        return min(answered, key=_answered_first, default=None)

    def _is_dialled(self, leg: Leg) -> bool:
        """Return whether a call out dialled it: an outsider, and no other telephone of its caller.

        Click-to-call may ring an employee's mobile beside the telephone in the office. Whom the PBX
        rings once that was answered, or beside somebody who called, is called for them.
        """
        began, taken_at = self.initiator, self.initiator.answered_at
        later = taken_at is not None and leg.created_at >= taken_at
        return leg.external and (began.external or began.calling or not leg.placed or later)

    def _took(self, leg: Leg) -> bool:
        """Return whether it took the call; of an outsider, only a conversation shows that.

        Unless the PBX reports no conversations at all.
        """
        return leg.reached and (
            not leg.external or bool(leg.talks) or not any(one.joined for one in self.legs)
        )

    def _put_through(self, legs: list[Leg]) -> list[Leg]:
        """Return the legs that answered and, as far as is known, were connected with the caller.

        Two may answer within a millisecond, and a caller may hang up while the queue still
        announces the call to the agent who answered.
        """
        reached = [leg for leg in legs if leg.reached]
        at_once = [
            (leg.answered_at - ELSEWHERE_WITHIN, leg.answered_at + ELSEWHERE_WITHIN)
            for leg in reached
            if leg.talks and leg.answered_at
        ]
        given_up = [(s.entered_at, s.left_at) for s in self.stints if s.outcome != "connected"]
        others = (*at_once, *given_up)
        return [
            leg
            for leg in reached
            if leg.talks or not any(_within(leg.answered_at, *s) for s in others)
        ]

    @property
    def answered_extension(self) -> str | None:
        """The extension of ours that talked first: it answered, or it placed the call."""
        if self.first_answer is None:
            return None
        ours = self.answering if self.direction == "internal" else self.legs
        answered = self._put_through([leg for leg in ours if leg.extension])
        return min(answered, key=_answered_first).extension if answered else None

    @property
    def talk_ms(self) -> int | None:
        """Milliseconds in which at least one telephone of ours was in a conversation."""
        ours = [leg for leg in self.legs if not leg.external] or self.legs
        talks = [talk for leg in ours for talk in leg.talks]
        return total_ms(talks) if talks and self.first_answer else None

    @property
    def party(self) -> tuple[str | None, str | None, str | None]:
        """The outside party's number, raw and E.164, and the name that the PBX shows."""
        if self.direction == "outbound":
            return self._dialled()
        answered_at = self.first_answer.answered_at if self.first_answer else None
        until = min((at for at in (answered_at, self.connected_at) if at), default=None)
        (name,) = self.initiator.party_fields("name", until=until)
        if self.direction == "internal" and self.initiator.extension:
            return self.initiator.extension, None, name
        numbers = "number_raw", "number_e164"
        number_raw, number_e164 = self.initiator.party_fields(*numbers, until=until)
        return number_raw, number_e164, name

    @property
    def did(self) -> str | None:
        """The number of ours that an outside caller dialled."""
        came_in = self.direction == "inbound" and self.initiator.external
        return self.initiator.did if came_in and not self.initiator.placed else None

    def _ended_by(self, moved: tuple[TransferState, ...]) -> EndedByWhom:
        end = CallEnd(
            legs=self.legs,
            attempts=self.nowhere,
            initiator=self.initiator,
            direction=self.direction,
            stints=self.stints,
            transfers=moved,
            parkings=self.parkings,
            answered=self.outcome == "answered",
            is_dialled=self._is_dialled,
        )
        return who_ended(end, self.log)

    def _dialled(self) -> tuple[str | None, str | None, str | None]:
        placed = [] if self.initiator.calling else [self.initiator]
        called = next((leg for leg in (*self.others, *placed) if self._is_dialled(leg)), None)
        if called and called.dialled:
            return called.dialled, called.dialled_e164, None
        number_raw, number_e164 = (
            called.party_fields("number_raw", "number_e164") if called else self.shown
        )
        return number_raw, number_e164, None

    @property
    def status(self) -> CallStatus:
        if self.ended_at:
            return "ended"
        ours = any(not leg.external for leg in self.others)
        took = [leg for leg in self.others if (self._took(leg) if ours else leg.reached)]
        if any(leg.talking for leg in took):
            return "talking"
        if self.parkings and self.parkings[-1].until is None:
            return "waiting"
        if self.handed_over:
            return "talking"
        if any(leg.status == "ringing" for leg in self.legs):
            return "ringing"
        return "waiting" if self.stints and self.stints[-1].left_at is None else "created"

    @property
    def handed_over(self) -> bool:
        """Whether the queue reports a conversation, and no event came from that telephone."""
        at = self.stints[-1].answered_at if self.stints else None
        if at is None:
            return False
        answers = [leg.answered_at for leg in self.others if leg.reached and leg.answered_at]
        rings = [leg.ringing_at for leg in self.legs if leg.status == "ringing" and leg.ringing_at]
        known = any(not_before(one, self.stints[-1].entered_at) for one in answers)
        over = any(
            e.type == "queue.completed" and not_before(e.occurred_at, at) for e in self.events
        )
        return not (known or over or any(not not_after(one, at) for one in rings))

    @property
    def outcome(self) -> Outcome:
        if self.first_answer or any(stint.outcome == "connected" for stint in self.stints):
            return "answered"
        if self.mailbox is not None and self.message_left is not False:
            return "voicemail"
        if self.stints:
            return STINT_OUTCOME.get(self.stints[-1].outcome or "", "unknown")
        placed = [self.initiator] if self.click_to_call else []
        called = self.answering or self.nowhere or placed
        reasons = {ended_reason(leg, self.legs) for leg in called}
        if reasons and reasons <= ({"failed", "completed"} if called is placed else {"failed"}):
            return "failed"
        if reasons and not (self.direction == "inbound" and reasons <= {"canceled"}):
            return "missed"
        # The caller hung up: while somebody rang, or in the menu.
        return "abandoned" if self.direction == "inbound" else "unknown"


def _outside(event: CallEvent, leg: Leg) -> tuple[str, str | None] | None:
    """Return the outside number that this event shows on a telephone, if it is not its own."""
    attrs, own = event.attrs, leg.extension or ""
    of_other = attrs.get("shown")
    number = of_other or attrs.get("number_raw")
    if not number or attrs.get("short") or number == own:
        return None
    if len(own) >= LONG and number.endswith(own):
        return None
    valid = attrs.get("shown_e164" if of_other else "number_e164")
    return (number, valid) if valid or OUTSIDE.fullmatch(number) else None


def _initiator(legs: list[Leg]) -> Leg:
    """Return who began the call; of two at one time, the one who called: the other was rung."""
    began = [leg for leg in legs if leg.calling or leg.placed]
    return min(began, key=lambda leg: (leg.created_at, leg.placed), default=legs[0])


def _answered_first(leg: Leg) -> tuple[datetime, str]:
    assert leg.answered_at is not None
    return leg.answered_at, leg.key


def _within(at: datetime | None, start: datetime, end: datetime | None) -> bool:
    return at is not None and not_before(at, start) and (end is None or not_after(at, end))


def group_by_call(events: Iterable[CallEvent]) -> list[list[CallEvent]]:
    """Divide events into calls by the keys they share, transitively, as storing.identity does."""
    keyed = [event for event in canonical(events) if event.keys]
    joined: UnionFind[tuple[str, str]] = UnionFind()
    for event in keyed:
        joined.union([(event.source, key) for key in event.keys])
    calls: dict[tuple[str, str], list[CallEvent]] = defaultdict(list)
    for event in keyed:
        calls[joined.root((event.source, event.keys[0]))].append(event)
    return list(calls.values())
