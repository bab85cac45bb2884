"""Who hung up: the party, or the PBX, that ended a call.

legs ─▶ who_ended ─▶ fold. A call's end is that of its last conversation: whoever left by a transfer
or while others talked on did not end it. Without a conversation, or when the caller was sent on
after it, the caller hung up, or else the PBX gave up. A PBX tells who hangs up for each leg by
itself, so nothing depends on which of two legs was reported first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingest.fold.event_log import EventLog
from ingest.fold.legs import Leg
from ingest.fold.near_times import NEAR, not_before
from ingest.model.call_state import Direction, EndedBy, ParkingState, StintState, TransferState

COMPLETED_WITHIN = timedelta(seconds=2)
"""A queue reports the end of a conversation before, between or after what ends its legs."""

EndedByWhom = tuple[EndedBy | None, str | None]
"""Who, and of a telephone of ours its extension."""

UNKNOWN: EndedByWhom = (None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnd:
    """What is known of a call that is over."""

    legs: list[Leg]
    attempts: list[Leg]
    """To reach somebody; they are no legs."""
    initiator: Leg
    direction: Direction
    stints: tuple[StintState, ...]
    transfers: tuple[TransferState, ...]
    parkings: tuple[ParkingState, ...]
    answered: bool
    is_dialled: Callable[[Leg], bool]
    """Whether a call out dialled a leg: no other telephone of who places it."""

    def is_customer(self, leg: Leg) -> bool:
        """Return whether it is the outside party, and not where an outsider was forwarded to."""
        if self.direction == "outbound":
            return self.is_dialled(leg)
        return leg.external and (leg is self.initiator or not self.initiator.external)

    def by(self, leg: Leg) -> EndedByWhom:
        return ("customer", None) if self.is_customer(leg) else ("agent", leg.extension)


def who_ended(end: CallEnd, log: EventLog) -> EndedByWhom:
    """Return who ended a call; None when its PBX did not tell."""
    for event in reversed(log.events):
        if event.type == "call.ended" and (stated := event.attrs.get("ended_by")):
            return stated, event.extension if stated == "agent" else None
    talkers, over_at = _last_conversation(end)
    if over_at is None or _sent_on(end, over_at):
        return _gave_up(end, over_at)
    if (found := _hung_up(end, talkers)) != UNKNOWN:
        return found
    return _told_by_queue(end, log, talkers, over_at)


def _last_conversation(end: CallEnd) -> tuple[list[Leg], datetime | None]:
    """Return who was in the last conversation, and when it was over: when the last but one left.

    Of a PBX that reports no bridges, those who answered, and whoever called them.
    """
    ends = [(leg, leg.talks[-1][1]) for leg in end.legs if leg.talks]
    if not ends and (took := [leg for leg in end.legs if leg.reached]):
        ends = [(leg, leg.ended_at) for leg in {end.initiator: None, **dict.fromkeys(took)}]
    times = sorted(at for _, at in ends if at)
    if not times:
        return [], None
    over_at = times[-2] if len(times) > 1 else times[-1]
    return [leg for leg, at in ends if at and not_before(at, over_at)], over_at


def _sent_on(end: CallEnd, over_at: datetime) -> bool:
    """Return whether the call went on after its last conversation: to a telephone, into a queue."""
    began = (
        *(leg.created_at for leg in (*end.legs, *end.attempts)),
        *(stint.entered_at for stint in end.stints),
        *(transfer.at for transfer in end.transfers),
        *(parking.at for parking in end.parkings),
    )
    return any(not_before(at, over_at) for at in began)


def _gave_up(end: CallEnd, over_at: datetime | None) -> EndedByWhom:
    """Return who ended a call in which nobody talked, or nobody any more."""
    gone = {transfer.by_leg_key for transfer in end.transfers}
    parked_by = {parking.by_extension for parking in end.parkings} - {None}
    stayed = [
        leg
        for leg in end.legs
        if over_at is not None
        and leg.talks
        and leg.key not in gone
        and leg.extension not in parked_by
        and leg.ended_at is not None
        and leg.ended_at > over_at + NEAR
    ]
    found = _hung_up(end, stayed or [end.initiator])
    if found != UNKNOWN and (found[0] != "pbx" or over_at is not None or not end.answered):
        return found
    gave_up = bool(end.stints) and end.stints[-1].outcome == "abandoned"
    return ("customer", None) if gave_up else UNKNOWN


def _hung_up(end: CallEnd, legs: list[Leg]) -> EndedByWhom:
    """Return who of these hung up first; the PBX, when it tells of each that it did not."""
    times = [leg.hung_up_at for leg in legs if leg.hung_up_at]
    if times:
        first = min(times)
        at_once = [leg for leg in legs if leg.hung_up_at and leg.hung_up_at <= first + NEAR]
        return end.by(min(at_once, key=lambda leg: (not end.is_customer(leg), leg.key)))
    return ("pbx", None) if legs and all(leg.hang_up_told for leg in legs) else UNKNOWN


def _told_by_queue(
    end: CallEnd, log: EventLog, talkers: list[Leg], over_at: datetime
) -> EndedByWhom:
    """Return what the queue says of the end of the conversation, for a PBX that says nothing else.

    It does not notice every change of agents, but which of its two sides ended.
    """
    for event in reversed(log.queue_events):
        if event.type == "queue.completed" and abs(event.occurred_at - over_at) <= COMPLETED_WITHIN:
            reason = event.attrs.get("reason")
            if reason == "caller":
                return end.by(end.initiator)
            agents = [leg for leg in talkers if leg is not end.initiator]
            return end.by(agents[0]) if reason == "agent" and len(agents) == 1 else UNKNOWN
    return UNKNOWN
