"""What must be true afterwards: each check returns the violations and where they are.

views, acknowledgements and Truth ─▶ check ─▶ Report. No server is contacted here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from gateway.protocol import Message
from loadtests.messenger.actions import Acknowledged
from loadtests.messenger.truth import RoomTruth, Truth
from loadtests.messenger.view import ClientView

CHECKS = {
    "gaps": "numbers of messages or changes are missing, or there twice",
    "duplicates": "one message is stored, answered or announced twice",
    "lost": "an acknowledged message is not in the database",
    "invented": "a message was announced that the database does not have so",
    "disordered": "a device heard changes in another order than the database's",
    "views_differ": "a device shows something else than a new session fetches",
    "fresh_differs": "a new session fetches something else than the database has",
    "counts_differ": "a device's unread counts are not what one plain statement counts",
    "versions_backward": "an unread count was pushed with a lower version than before",
    "seen_after_removal": "somebody heard what was sent after they were taken out",
    "unexpected": "a command was refused, or not answered, for no reason of the plan's",
}
"""Name → what a violation of it means."""

NEVER = 2**63

Report = dict[str, list[str]]
Show = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ObservedClient:
    """One device, and what it was promised."""

    name: str
    employee_id: int
    view: ClientView
    acknowledged: Sequence[Acknowledged]


def check(
    truth: Truth,
    witnesses: Sequence[ObservedClient],
    fresh: Mapping[int, ClientView],
    founders: Mapping[int, Iterable[int]],
) -> Report:
    """Return check → its violations; `fresh` is employee → what a new session was given."""
    report: Report = {name: [] for name in CHECKS}
    rows = {
        (cid, message.seq): message
        for cid, room in truth.rooms.items()
        for message in room.messages
    }
    for cid, room in truth.rooms.items():
        report["gaps"] += [f"conversation {cid}: {what}" for what in gaps(room)]
        report["duplicates"] += [f"conversation {cid}: {what}" for what in twice(room)]
    for witness in witnesses:
        for name, problems in witness.view.problems.items():
            report[name] += [f"{witness.name}: {problem}" for problem in problems]
        for name, problem in (*_promises(witness, rows), *_hearing(witness, rows)):
            report[name].append(f"{witness.name}: {problem}")
        for problem in _trespasses(witness, truth, founders):
            report["seen_after_removal"].append(f"{witness.name}: {problem}")
        for name, problem in strays(witness, fresh[witness.employee_id], truth):
            report[name].append(f"{witness.name}: {problem}")
    for employee_id, view in fresh.items():
        for problem in _differences(_public(shown(view, truth)), _stored(truth, employee_id)):
            report["fresh_differs"].append(f"employee {employee_id}: {problem}")
        for problem in miscounts(view, truth):
            report["counts_differ"].append(f"new session of {employee_id}: {problem}")
    return report


def strays(witness: ObservedClient, fresh: ClientView, truth: Truth) -> Iterator[tuple[str, str]]:
    """Yield what a device shows that is not so, which may only be not so yet."""
    for problem in _differences(shown(witness.view, truth), shown(fresh, truth)):
        yield "views_differ", problem
    for problem in miscounts(witness.view, truth):
        yield "counts_differ", problem


# --- numbers and messages ------------------------------------------------------------------


def gaps(room: RoomTruth) -> Iterator[str]:
    """Yield which numbers of messages or changes are missing, or there twice."""
    seqs = [message.seq for message in room.messages]
    if seqs != list(range(1, room.row["last_seq"] + 1)):
        missing = sorted(set(range(1, room.row["last_seq"] + 1)) - set(seqs))
        yield f"{len(seqs)} messages up to {room.row['last_seq']}, missing {missing[:5]}"
    later = [change for change in room.changes if change > 1]  # 1 is its making
    if twice := [change for change, times in Counter(later).items() if times > 1]:
        yield f"changes that two rows have: {twice[:5]}"
    if max(room.changes, default=0) > room.row["last_change"]:
        yield f"change {max(room.changes)} is beyond {room.row['last_change']}"


def twice(room: RoomTruth) -> Iterator[str]:
    """Yield what is stored more than once."""
    keys = Counter((one.sender_id, one.client_key) for one in room.messages if one.client_key)
    texts = Counter((one.sender_id, one.text) for one in room.messages if one.text)
    for what, times in (*keys.items(), *texts.items()):
        if times > 1:
            yield f"{what} is stored {times} times"


def _promises(
    witness: ObservedClient, rows: Mapping[tuple[int, int], Message]
) -> Iterator[tuple[str, str]]:
    answered: dict[tuple[int, UUID], int] = {}
    for one in witness.acknowledged:
        where = f"conversation {one.conversation_id}, {one.seq}"
        row = rows.get((one.conversation_id, one.seq))
        if row is None or (row.sender_id, row.client_key) != (witness.employee_id, one.client_key):
            yield "lost", f"{where} was acknowledged"
        elif row.edited_at is None and row.deleted_at is None and row.text != one.text:
            yield "lost", f"{where} was acknowledged as {one.text!r}, and is {row.text!r}"
        if answered.setdefault((one.conversation_id, one.client_key), one.seq) != one.seq:
            yield "duplicates", f"{where} was acknowledged with another number before"


def _hearing(
    witness: ObservedClient, rows: Mapping[tuple[int, int], Message]
) -> Iterator[tuple[str, str]]:
    last: dict[int, int] = defaultdict(int)
    for one in witness.view.received:
        cid, seq = one.conversation_id, one.message.seq
        where = f"conversation {cid}, {seq}"
        row = rows.get((cid, seq))
        if row is None or _origin(row) != _origin(one.message):
            yield "invented", f"{where} was received as {one.message}, and is {row}"
        elif row.edited_at is None and row.deleted_at is None and row.text != one.message.text:
            yield "invented", f"{where} was received as {one.message.text!r}, and is {row.text!r}"
        if seq == last[cid]:
            yield "duplicates", f"{where} was received twice"
        elif seq < last[cid]:
            yield "disordered", f"{where} was received after {last[cid]}"
        last[cid] = max(last[cid], seq)


def _origin(message: Message) -> tuple[Any, ...]:
    """Return what of a message never changes."""
    return message.sender_id, message.client_key, message.kind, message.created_at


# --- who may receive what ------------------------------------------------------------------


def _trespasses(
    witness: ObservedClient, truth: Truth, founders: Mapping[int, Iterable[int]]
) -> Iterator[str]:
    away = {
        cid: list(absences(room, witness.employee_id, witness.employee_id in founders[cid]))
        for cid, room in truth.rooms.items()
    }
    for one in witness.view.received:
        seq = one.message.seq
        for gone, back, back_change in away.get(one.conversation_id, ()):
            if gone < seq < back and one.admitted < back_change:
                yield f"conversation {one.conversation_id}: heard {seq}, away from {gone} to {back}"


def absences(room: RoomTruth, employee_id: int, inside: bool) -> Iterator[tuple[int, int, int]]:
    """Return (last seq before leaving, first seq after return, its change) by the conversation."""
    gone = 0
    for message in room.messages:
        if message.kind != "system" or not message.attrs:
            continue
        if employee_id not in message.attrs.get("employee_ids", ()):
            continue
        if message.attrs["event"] in {"removed", "left"}:
            gone, inside = message.seq, False
        elif message.attrs["event"] == "joined" and not inside:
            yield gone, message.seq, message.change
            inside = True
    if not inside:
        yield gone, NEVER, NEVER


# --- what is shown -------------------------------------------------------------------------


def shown(view: ClientView, truth: Truth) -> dict[int, Show]:
    """Return conversation → everything that this device shows of it."""
    return {cid: _shown(view, cid, truth.rooms[cid]) for cid in view.rooms if cid in truth.rooms}


def _shown(view: ClientView, cid: int, room: RoomTruth) -> Show:
    seen, count, draft = view.rooms[cid], view.counts.get(cid), view.drafts.get(cid)
    hidden_to = room.hidden_to(view.employee_id)  # what was seen before need not be forgotten
    return {
        "title": seen.title,
        "avatar_url": seen.avatar_url,
        "closed": seen.closed,
        "history": seen.history,
        "people": seen.people,
        "messages": {
            seq: replace(message, reply_count=0)
            for seq, message in seen.messages.items()
            if seq > hidden_to
        },
        # The count is newer than the setting: a message brings an archived conversation back.
        # Joining again begins a version of which nothing tells: what was set is as at first.
        "mine": replace(
            seen.mine, archived=count.archived if count else seen.mine.archived, version=0
        ),
        "draft": (draft.text, draft.reply_to_seq, draft.version) if draft and draft.text else None,
    }


def _public(shows: Mapping[int, Show]) -> dict[int, Show]:
    return {
        cid: {name: show[name] for name in show if name not in {"mine", "draft"}}
        for cid, show in shows.items()
    }


def _stored(truth: Truth, employee_id: int) -> dict[int, Show]:
    """Return what this person should be shown by the database."""
    stored: dict[int, Show] = {}
    for cid, room in truth.rooms.items():
        seat = room.people.get(employee_id)
        if seat is None or seat["left_seq"] is not None:
            continue
        hidden_to = room.hidden_to(employee_id)
        stored[cid] = {
            "title": room.row["title"],
            "avatar_url": room.row["avatar_url"],
            "closed": room.row["closed_at"] is not None,
            "history": room.row["history"],
            "people": {
                one: row["role"] for one, row in room.people.items() if row["left_seq"] is None
            },
            "messages": {
                message.seq: message for message in room.messages if message.seq > hidden_to
            },
        }
    return stored


def _differences(seen: Mapping[int, Show], wanted: Mapping[int, Show]) -> Iterator[str]:
    for cid in sorted(seen.keys() ^ wanted.keys()):
        yield f"conversation {cid} is {'' if cid in seen else 'not '}shown"
    for cid in sorted(seen.keys() & wanted.keys()):
        for name, value in wanted[cid].items():
            if seen[cid][name] != value:
                yield f"conversation {cid}, {name}: {_apart(seen[cid][name], value)}"


def _apart(seen: Any, wanted: Any) -> str:
    if not isinstance(seen, dict):
        return f"{seen!r} instead of {wanted!r}"
    keys = [key for key in sorted(seen.keys() | wanted.keys()) if seen.get(key) != wanted.get(key)]
    first = keys[0]
    return (
        f"{len(keys)} differ, first {first}: {seen.get(first)!r} instead of {wanted.get(first)!r}"
    )


def miscounts(view: ClientView, truth: Truth) -> Iterator[str]:
    """Yield which unread counts of a device are not what one plain statement counts."""
    seen = {
        cid: (one.unread, one.mentions)
        for cid, one in view.counts.items()
        if one.unread and cid in truth.rooms
    }
    wanted = truth.counts[view.employee_id]
    for cid in sorted(seen.keys() | wanted.keys()):
        if seen.get(cid) != wanted.get(cid):
            yield f"conversation {cid}: {seen.get(cid)} instead of {wanted.get(cid)}"
    if view.total != truth.totals[view.employee_id]:
        yield f"total {view.total} instead of {truth.totals[view.employee_id]}"
