"""What must be true of every run, whatever faults occurred: pure functions of history and database.

history, Truth ─▶ check ─▶ Findings: rule → evidence. A message whose outcome is unknown may be
stored or not, but never twice, and a stored message must have reached everybody.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from gateway.protocol import Message
from loadtests.messenger.check import absences, gaps, miscounts, twice
from loadtests.messenger.truth import Truth
from tests.faults.case import Case, CheckLimits, RoomCase
from tests.faults.history import History, Sent
from tests.faults.received_events import ReceivedEvent
from tests.faults.starvation import OBSERVER

Findings = dict[str, list[str]]


Rule = Callable[[Case], Iterator[str]]
RoomRule = Callable[[RoomCase], Iterator[str]]


# --- what is stored ------------------------------------------------------------------------


def lost(case: Case) -> Iterator[str]:
    """An acknowledged message is not stored as it was acknowledged."""
    for sent in case.history.sent:
        if sent.outcome != "ok" or sent.seq is None:
            continue
        row = case.rows.get((sent.conversation_id, sent.seq))
        if row is None:
            yield f"{_said(sent)} was acknowledged as {sent.seq}, and is not there"
        elif (row.sender_id, row.text) != (sent.writer, sent.text):
            yield f"{_said(sent)} was acknowledged as {sent.seq}, where there is {row.text!r}"


def duplicated(case: Case) -> Iterator[str]:
    """One message is stored twice."""
    for sent in case.history.sent:
        found = case.stored.get(sent.text, [])
        if len(found) > 1:
            yield f"{_said(sent)}, tried {sent.tries} times, is {[one.seq for one in found]}"
    for cid, room in case.truth.rooms.items():
        for what in twice(room):
            yield f"conversation {cid}: {what}"


def refused(case: Case) -> Iterator[str]:
    """What was refused is stored all the same, or what should be done was refused."""
    for sent in case.history.sent:
        if sent.outcome == "fail" and case.stored.get(sent.text):
            yield f"{_said(sent)} was refused, and is stored"
    for code, times in case.history.refusals.items():
        yield f"{code}, {times} times"


def numbers(case: Case) -> Iterator[str]:
    """Numbers are missing, or there twice."""
    for cid, room in case.truth.rooms.items():
        for what in gaps(room):
            yield f"conversation {cid}: {what}"


def realtime(case: Case) -> Iterator[str]:
    """What was sent after another was acknowledged stands before it."""
    by_room: dict[int, list[Sent]] = defaultdict(list)
    for sent in case.history.sent:
        if sent.outcome == "ok":
            by_room[sent.conversation_id].append(sent)
    for sents in by_room.values():
        ended = sorted(sents, key=lambda one: one.ended_at or 0.0)
        highest: Sent | None = None
        index = 0
        for sent in sorted(sents, key=lambda one: one.invoked_at):
            while index < len(ended) and (ended[index].ended_at or 0.0) < sent.invoked_at:
                if highest is None or (ended[index].seq or 0) > (highest.seq or 0):
                    highest = ended[index]
                index += 1
            if highest is not None and (sent.seq or 0) < (highest.seq or 0):
                yield f"{_said(sent)} is {sent.seq}, after {highest.seq} was acknowledged"


# --- what was heard ------------------------------------------------------------------------


def order(room: RoomCase) -> Iterator[str]:
    """A connection was told messages in another order than the conversation's, or one twice.

    Who comes into a conversation is told it from its beginning, each time: visitors are left out.
    """
    for session, told in room.by_session.items():
        for before, after in pairwise(one for one in told if one.seq is not None):
            if after.change <= before.change and after.reader not in room.visitors:
                yield (
                    f"reader {after.reader}, connection {session}, conversation "
                    f"{room.conversation_id}: {after.change} ({after.how}) after "
                    f"{before.change} ({before.how})"
                )


def gap(room: RoomCase) -> Iterator[str]:
    """A connection was told a later message without the one before it."""
    changes = sorted(message.change for message in room.messages)
    for session, position in room.case.positions.get(room.conversation_id, ()):
        if session.reader not in room.members:
            continue
        received = {one.change for one in room.by_session.get(session.number, ())}
        last = max(received, default=position)
        missing = [one for one in changes if position < one < last and one not in received]
        if missing:
            yield (
                f"reader {session.reader}, connection {session.number}, conversation "
                f"{room.conversation_id}: from {position} to {last} without {missing[:5]}"
            )


def content(room: RoomCase) -> Iterator[str]:
    """What was heard is not what is stored."""
    for one in room.told:
        if one.seq is None or one.at >= room.case.history.read_at:
            continue
        row = room.case.rows.get((one.conversation_id, one.seq))
        if row is None:
            yield f"{_heard(one)} is not stored"
        elif (row.text, row.client_key, row.change) != (one.text, one.key, one.change):
            yield f"{_heard(one)} was {one.text!r}, change {one.change}; is {row.text!r}"


def undelivered(room: RoomCase) -> Iterator[str]:
    """Somebody never heard a stored message."""
    case, cid = room.case, room.conversation_id
    for message in room.messages:
        for reader in room.members:
            if (
                (reader, message.seq) not in room.first_received
                and message.change > case.listed.get((reader, cid), 0)
                and not case.gone(reader, message)
            ):
                yield f"reader {reader} never heard {cid}/{message.seq}{_during(room, message)}"


def late(room: RoomCase) -> Iterator[str]:
    """Somebody heard a message later than promised."""
    for sent, one, late_s in lateness(room):
        if late_s > room.case.bounds.deliver_s:
            yield f"{_heard(one)} came {late_s:.1f} s late{_during_sent(sent)}"


def lateness(room: RoomCase) -> Iterator[tuple[Sent, ReceivedEvent, float]]:
    """Yield how long after it could be expected each acknowledged message came to each reader.

    Without the time in which a process that it passes was starved.
    """
    case = room.case
    for sent in room.sent:
        if sent.outcome != "ok" or sent.ended_at is None or sent.seq is None:
            continue
        for reader in room.members:
            one = room.first_received.get((reader, sent.seq))
            if one is None:
                continue
            late_s = 0.0
            if one.at > sent.ended_at:
                late_s = one.at - case.deadlines.expected(reader, sent.ended_at)
            if late_s > case.bounds.deliver_s / 2:
                late_s -= case.history.starved.held_up(sent.ended_at, one.at)
            yield sent, one, max(0.0, late_s)


def trespass(room: RoomCase) -> Iterator[str]:
    """Somebody heard what was said while they were not in the conversation."""
    stored = room.case.truth.rooms.get(room.conversation_id)
    if stored is None:
        return
    for visitor in room.visitors:
        away = list(absences(stored, visitor, inside=True))
        for one in room.told:
            if one.reader != visitor or one.seq is None:
                continue
            for gone, back, _ in away:
                if gone < one.seq < back:
                    yield f"{_heard(one)}, away from {gone} to {back}"
    let_in = {*room.members, *room.visitors}
    for one in room.told:
        if one.reader not in let_in:
            yield f"{_heard(one)}, and was never in it"


# --- what is shown -------------------------------------------------------------------------


def unread(case: Case) -> Iterator[str]:
    """A device shows other unread counts than one plain statement counts."""
    for reader, view in case.history.views.items():
        if reader in case.history.present:
            for what in miscounts(view, case.truth):
                yield f"reader {reader}: {what}"


def presence(case: Case) -> Iterator[str]:
    """At the end somebody is shown another status than they have."""
    for watcher, shown in case.history.shown.items():
        for employee_id, status in shown.items():
            if (status == "offline") == (employee_id in case.history.present):
                is_ = "connected" if employee_id in case.history.present else "not connected"
                yield f"reader {watcher} sees {employee_id} {status}, who is {is_}"


def offline(case: Case) -> Iterator[str]:
    """Somebody was announced offline who was connected all the time."""
    sessions = defaultdict(list)
    for session in case.history.sessions:
        sessions[session.reader].append(session)
    for notice in case.history.notices:
        if notice.status != "offline" or not notice.news:
            continue
        since = _told_late(case, notice.at) - case.bounds.slack_s
        since -= case.history.starved.held_up(since - case.bounds.lease_s, notice.at)
        for session in sessions[notice.employee_id]:
            if session.up(since, notice.at) and not _buried(case, session.worker, notice.at):
                yield (
                    f"reader {notice.watcher} was told at {_at(case, notice.at)} that "
                    f"{notice.employee_id} is offline, who was connected to worker "
                    f"{session.worker + 1} since {_at(case, session.began_at)}"
                )


def _told_late(case: Case, at: float) -> float:
    """Return since when what was told now may have been true: faults hold up what is told."""
    slack_s = case.bounds.slack_s
    held = [
        fault for fault in case.history.faults if fault.began_at <= at <= fault.over_at + slack_s
    ]
    return min((fault.began_at for fault in held), default=at)


def _buried(case: Case, worker: int, at: float) -> bool:
    """Say whether that worker was out of the others' reach for as long as a lease lasts."""
    bounds = case.bounds
    for fault in case.history.faults:
        reaches = fault.kind in {"stop_worker", "kill_worker"} or fault.kind.startswith(
            ("redis_", "namespace_")
        )
        # Its last renewal may be a third of the lease old when the fault begins.
        if reaches and fault.worker == worker and at - fault.began_at >= bounds.lease_s * 2 / 3:
            long = fault.ended_at - fault.began_at >= bounds.lease_s * 2 / 3 - 0.5
            if long and at <= fault.over_at + bounds.lease_s + bounds.grace_s + bounds.slack_s:
                return True
    return False


def absent(case: Case) -> Iterator[str]:
    """Somebody did not come back in time."""
    sessions = defaultdict(list)
    for session in case.history.sessions:
        sessions[session.reader].append(session)
    for reader, held in sessions.items():
        for before, after in pairwise(held):
            if before.ended_at is None or before.left:
                continue
            due = case.deadlines.after_faults(before.ended_at)
            due += case.history.starved.held_up(before.ended_at, after.began_at)
            if after.began_at - due > case.bounds.return_s and reader in case.history.present:
                yield f"reader {reader} was away for {after.began_at - before.ended_at:.1f} s"


# --- whether it means anything -------------------------------------------------------------


def vacuity(case: Case) -> Iterator[str]:
    """The run proves nothing: hardly anything happened, or a fault did nothing."""
    acked = [sent for sent in case.history.sent if sent.outcome == "ok"]
    if len(acked) < case.bounds.acks:
        yield f"only {len(acked)} messages were acknowledged"
    if len(case.history.received) < case.bounds.received:
        yield f"only {len(case.history.received)} changes were heard"
    if not case.history.faults:
        yield "nothing struck"
    history = case.history
    lasted_s, starved_s = history.ended_at - history.began_at, history.starved.of(OBSERVER).in_all
    if starved_s > case.bounds.observer_starved * lasted_s:
        yield (
            f"the laboratory itself was late for {starved_s:.0f} of {lasted_s:.0f} s, so that its "
            "times say nothing: run it with fewer --clients"
        )
    quiet = Counter(sent.during for sent in acked)
    for fault in case.history.faults:
        if not fault.trace:
            yield f"{fault} left no trace"
        if not quiet[str(fault)]:
            yield f"nothing sent for {fault} was acknowledged"


WHOLE: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        lost, duplicated, refused, numbers, realtime, unread, presence, offline, absent, vacuity,
    )
}  # fmt: skip
BY_ROOM: dict[str, RoomRule] = {
    rule.__name__: rule for rule in (order, gap, content, undelivered, late, trespass)
}
RULES: dict[str, Rule | RoomRule] = {**WHOLE, **BY_ROOM}


def check(history: History, truth: Truth, bounds: CheckLimits) -> Findings:
    """Return rule → what speaks against it, most of them nothing."""
    case = Case(history, truth, bounds)
    findings: Findings = {name: [] for name in RULES}
    for name, rule in WHOLE.items():
        findings[name] += rule(case)
    for room in case.rooms():
        for name, by_room in BY_ROOM.items():
            findings[name] += by_room(room)
    return findings


# --- words ---------------------------------------------------------------------------------


def _during(room: RoomCase, message: Message) -> str:
    for sent in room.sent:
        if sent.text == message.text:
            at = _at(room.case, sent.invoked_at)
            return f", sent at {at} ({sent.outcome}){_during_sent(sent)}"
    return ""


def _during_sent(sent: Sent) -> str:
    return f", during {sent.during}" if sent.during else ""


def _said(sent: Sent) -> str:
    return f"{sent.text!r} of {sent.writer} in {sent.conversation_id}{_during_sent(sent)}"


def _heard(one: ReceivedEvent) -> str:
    where = f"{one.conversation_id}/{one.seq}"
    return f"reader {one.reader}, connection {one.session} ({one.how}): {where}"


def _at(case: Case, at: float) -> str:
    return f"{at - case.history.began_at:.1f} s"
