"""Calls, telephones' parts in them, and stays in queues, as the rows tell of them.

records ─▶ here ─▶ figures. A call is what has one linked id. CEL has the times, queue_log says how
a stay in a queue and an attempt to reach a member ended, CDR which telephones were busy.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.support.independent_count.records import SECOND, CelRow, QueueLogRow, Records

TELEPHONE = re.compile(r"Local/(\d{3})@agents-[0-9a-f]+;1")
CALLER = re.compile(r"Local/\d+@from-trunk-[0-9a-f]+;2")
"""The half of a caller's channel that goes through the dialplan; queue_log names it, too."""
OUTSIDER = re.compile(r"Local/(\d+)@pstn-[0-9a-f]+;1")

REJECTED, ELSEWHERE = 21, 26
"""Q.850 causes of a telephone that stopped ringing."""
OUTCOMES = {"CONNECT": "connected", "ABANDON": "abandoned", "EXITWITHTIMEOUT": "timeout"}
"""How a stay in a queue ends in queue_log; the recordings have no other ends."""

Span = tuple[int, int]


@dataclass
class Channel:
    """One channel of the PBX."""

    unique_id: str
    name: str
    began: int
    ended: int = 0
    answered: int | None = None
    cause: int = 0
    number: str = ""
    """The number it had when it first entered a queue or dialled, or else at its end."""
    dialling: list[tuple[str, str, Span]] = field(default_factory=list)
    """Each Queue and Dial that it went through: application, arguments, when."""
    bridged: list[tuple[str, Span]] = field(default_factory=list)
    """Each bridge that it was in, and when."""
    transferred: list[int] = field(default_factory=list)
    """When it handed the other side on."""


@dataclass
class Telephone:
    """One telephone's part in a call."""

    extension: str
    channel: str
    began: int
    ended: int
    rang: bool
    """Whether it was rung for a call that somebody else began, and was not busy."""
    placed: bool
    """Whether the call was begun for it (click-to-call)."""
    answered: int | None
    how: str
    """Why it ended."""
    talks: list[Span]
    transferred: list[int]


@dataclass
class Stay:
    """One caller's time in one queue."""

    queue: str
    entered: int
    left: int
    """When the first member answered, or the caller was in the queue no more."""
    until: int | None
    """When the caller entered the next queue."""
    outcome: str

    @property
    def wait(self) -> int:
        return self.left - self.entered


@dataclass
class CountedCall:
    """One call."""

    direction: str
    number: str | None
    """In E.164."""
    began: int
    ended: int
    answered: int | None
    telephones: list[Telephone]
    stays: list[Stay]

    @property
    def outcome(self) -> str:
        """How it ended; of a call that nobody answered its last queue decides."""
        if self.answered is not None:
            return "answered"
        return self.stays[-1].outcome if self.stays else "unanswered"

    @property
    def wait(self) -> int | None:
        """From the first queue's entry until a queue connected the caller, or the last was left."""
        if not self.stays:
            return None
        connected = [stay.left for stay in self.stays if stay.outcome == "connected"]
        return min(connected, default=self.stays[-1].left) - self.stays[0].entered

    @property
    def talks(self) -> list[Span]:
        """When at least one telephone talked."""
        return union(span for telephone in self.telephones for span in telephone.talks)


def union(spans: Iterable[Span]) -> list[Span]:
    """Return the same times without overlaps."""
    merged: list[Span] = []
    for began, ended in sorted(spans):
        if merged and began <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(ended, merged[-1][1]))
        else:
            merged.append((began, ended))
    return merged


def length(spans: Iterable[Span]) -> int:
    """Return for how long at least one of the spans lasts."""
    return sum(ended - began for began, ended in union(spans))


def calls(records: Records) -> list[CountedCall]:
    """Return all calls, in the order in which they began."""
    by_call: dict[str, list[CelRow]] = defaultdict(list)
    for row in records.cel:
        by_call[row.linked_id].append(row)
    busy = {row.dialled_channel for row in records.cdr if row.disposition == "BUSY"}
    log: dict[str, list[QueueLogRow]] = defaultdict(list)
    for line in records.queue_log:
        log[line.channel].append(line)
    return sorted((_call(rows, log, busy) for rows in by_call.values()), key=lambda one: one.began)


def e164(number: str) -> str | None:
    """Return a Ukrainian number in E.164, in each of the notations that the recordings have."""
    digits = re.sub(r"[^\d+]", "", number)
    for prefix, country in (("+380", ""), ("00380", ""), ("380", ""), ("80", ""), ("0", "")):
        rest = digits.removeprefix(prefix)
        if rest != digits and len(rest) == 9:
            return f"+380{country}{rest}"
    return None


def _call(rows: list[CelRow], log: dict[str, list[QueueLogRow]], busy: set[str]) -> CountedCall:
    channels = _channels(rows)
    callers = [channel for channel in channels if CALLER.fullmatch(channel.name)]
    dialling = [channel for channel in channels if channel.dialling]
    telephones = [
        _telephone(channel, channels, dialling, log, busy)
        for channel in channels
        if TELEPHONE.fullmatch(channel.name)
    ]
    stays = [stay for caller in callers for stay in _stays(caller, log[caller.unique_id])]
    if callers:
        answers = [one.answered for one in telephones if one.answered is not None and one.talks]
        number = e164(callers[0].number)
    else:
        outside = [channel for channel in channels if OUTSIDER.fullmatch(channel.name)]
        answers = [one.answered for one in outside if one.answered is not None]
        number = None
    return CountedCall(
        direction="inbound" if callers else "outbound",
        number=number,
        began=rows[0].at,
        ended=max(channel.ended for channel in channels),
        answered=min(answers, default=None),
        telephones=telephones,
        stays=stays,
    )


def _channels(rows: list[CelRow]) -> list[Channel]:
    found: dict[str, Channel] = {}
    entered: dict[tuple[str, str], int] = {}
    running: dict[str, tuple[str, str, int]] = {}
    for row in rows:
        if row.event == "CHAN_START":
            found[row.unique_id] = Channel(row.unique_id, row.channel, row.at)
        channel = found[row.unique_id]
        if row.event == "ANSWER":
            channel.answered = row.at
        elif row.event == "APP_START":
            channel.number = channel.number or row.number
            running[row.unique_id] = (row.application, row.arguments, row.at)
        elif row.event in {"APP_END", "HANGUP"} and row.unique_id in running:
            application, arguments, began = running.pop(row.unique_id)
            channel.dialling.append((application, arguments, (began, row.at)))
        elif row.event == "BRIDGE_ENTER":
            entered[row.unique_id, row.extra["bridge_id"]] = row.at
        elif row.event == "BRIDGE_EXIT":
            bridge = row.extra["bridge_id"]
            channel.bridged.append((bridge, (entered.pop((row.unique_id, bridge)), row.at)))
        elif row.event == "BLINDTRANSFER":
            channel.transferred.append(row.at)
        if row.event == "HANGUP":
            channel.number = channel.number or row.number
            channel.cause = row.extra["hangupcause"]
        elif row.event == "CHAN_END":
            channel.ended = row.at
    return list(found.values())


def _telephone(
    channel: Channel,
    channels: list[Channel],
    dialling: list[Channel],
    log: dict[str, list[QueueLogRow]],
    busy: set[str],
) -> Telephone:
    named = TELEPHONE.fullmatch(channel.name)
    assert named
    talks = _talks(channel, channels)
    by = next(
        (
            (caller, application, arguments, span)
            for caller in dialling
            for application, arguments, span in caller.dialling
            if span[0] <= channel.began <= span[1] and caller is not channel
        ),
        None,
    )
    # This half answers when the PBX takes the telephone's answer. Two may pick up at once, and of
    # these it takes one.
    answered = channel.answered
    return Telephone(
        extension=named[1],
        channel=channel.name,
        began=channel.began,
        ended=channel.ended,
        rang=by is not None and channel.name not in busy,
        placed=by is None,
        answered=answered,
        how="completed" if answered else _how(channel, named[1], by, log, busy),
        talks=talks,
        transferred=channel.transferred,
    )


def _how(
    channel: Channel,
    extension: str,
    by: tuple[Channel, str, str, Span] | None,
    log: dict[str, list[QueueLogRow]],
    busy: set[str],
) -> str:
    """Return why a telephone that did not answer stopped ringing."""
    if channel.cause == ELSEWHERE:
        return "answered_elsewhere"
    if channel.cause == REJECTED:
        return "rejected"
    if channel.name in busy:
        return "busy"
    if by is None:
        return "no_answer"
    caller, application, arguments, _ = by
    if application == "Queue":
        # The log's time is the whole second in which the ringing ended.
        *_, event = (
            row.event
            for row in log[caller.unique_id]
            if row.event in {"RINGNOANSWER", "RINGCANCELED"}
            and row.member.endswith(extension)
            and row.at <= channel.ended
        )
        return "no_answer" if event == "RINGNOANSWER" else "canceled"
    limit = int(arguments.split(",")[1]) * SECOND
    return "no_answer" if channel.ended - channel.began >= limit else "canceled"


def _talks(channel: Channel, channels: list[Channel]) -> list[Span]:
    """Return when it was in a bridge with somebody else."""
    return union(
        (max(began, other[0]), min(ended, other[1]))
        for bridge, (began, ended) in channel.bridged
        for peer in channels
        if peer is not channel
        for its, other in peer.bridged
        if its == bridge and max(began, other[0]) < min(ended, other[1])
    )


def _stays(caller: Channel, log: list[QueueLogRow]) -> list[Stay]:
    queues = [
        (arguments.split(",")[0], span)
        for application, arguments, span in caller.dialling
        if application == "Queue"
    ]
    ends = [row for row in log if row.event in OUTCOMES]
    assert [(row.queue) for row in log if row.event == "ENTERQUEUE"] == [q for q, _ in queues]
    assert [row.queue for row in ends] == [queue for queue, _ in queues]
    found = []
    for number, ((queue, span), end) in enumerate(zip(queues, ends, strict=True)):
        joined = [began for _, (began, _) in caller.bridged if span[0] <= began <= span[1]]
        connected = end.event == "CONNECT"
        assert connected == bool(joined)
        found.append(
            Stay(
                queue=queue,
                entered=span[0],
                left=joined[0] if connected else span[1],
                until=queues[number + 1][1][0] if number + 1 < len(queues) else None,
                outcome=OUTCOMES[end.event],
            )
        )
    return found
