"""What sockets are told of unread counts is what one plain statement counts, whatever happens."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from gateway.client import Connection, RequestRefused
from gateway.protocol import (
    ConversationAdd,
    ConversationArchive,
    ConversationCreate,
    ConversationLeave,
    ConversationMute,
    ConversationRemove,
    ConversationUnarchive,
    MessageDelete,
    ParticipantChanged,
    ReceiptRead,
    ReceiptReadAll,
    ReceiptUnread,
    Unread,
    UnreadChanged,
    UnreadGet,
    UnreadTotal,
)
from loadtests.queries import messenger as plainly
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, eventually

PEOPLE = (OKSANA, PETRO, IRYNA)

Counted = tuple[dict[int, tuple[int, int]], UnreadTotal]


class Told:
    """One device's idea of its counts: what it was told, the higher version kept."""

    def __init__(self, employee_id: int, client: Connection) -> None:
        self.employee_id = employee_id
        self.client = client
        self.counts: dict[int, Unread] = {}
        self.total = UnreadTotal(messages=0, conversations=0, mentions=0)

    async def listen(self) -> None:
        async for event in self.client:
            if isinstance(event, UnreadChanged):
                self.take(event.conversations, event.total)
            elif isinstance(event, ParticipantChanged) and self.leaves(event):
                self.counts.pop(event.conversation_id, None)

    def leaves(self, event: ParticipantChanged) -> bool:
        return event.left and event.participant.employee.id == self.employee_id

    def take(self, counts: list[Unread], total: UnreadTotal) -> None:
        self.total = total
        for unread in counts:
            known = self.counts.get(unread.conversation_id)
            if known is None or known.version < unread.version:
                self.counts[unread.conversation_id] = unread

    def counted(self) -> Counted:
        return {
            cid: (one.unread, one.mentions) for cid, one in self.counts.items() if one.unread
        }, self.total


async def _counted(desk: Desk, employee_id: int) -> Counted:
    """Count plainly: that knows nothing of limits, versions, caps or pushes."""
    conn = await asyncpg.connect(desk.database)
    try:
        rows = [row for row in await plainly.unread(conn, employee_id) if row["unread"]]
    finally:
        await conn.close()
    loud = [row for row in rows if not row["muted"] and not row["archived"]]
    return {row["conversation_id"]: (row["unread"], row["mentions"]) for row in rows}, UnreadTotal(
        messages=sum(row["unread"] for row in loud),
        conversations=len(loud),
        mentions=sum(row["mentions"] for row in rows if not row["archived"]),
    )


def _step(dice: random.Random, group: int, seq: int, far: datetime) -> Any:
    """Choose something to do in a group: mostly talking and reading."""
    someone = dice.choice(PEOPLE)
    return dice.choice(
        [
            *["words", f"<@{someone}> words", "<@all>"] * 2,
            *[ReceiptRead(conversation_id=group, seq=seq, explicit=dice.random() < 0.5)] * 3,
            ReceiptUnread(conversation_id=group, seq=seq),
            ReceiptReadAll(),
            MessageDelete(conversation_id=group, seq=seq),
            ConversationArchive(conversation_id=group),
            ConversationUnarchive(conversation_id=group),
            ConversationMute(conversation_id=group, until=dice.choice([None, far])),
            ConversationRemove(conversation_id=group, employee_id=someone),
            ConversationLeave(conversation_id=group),
            *[ConversationAdd(conversation_id=group, employee_ids=list(PEOPLE))] * 2,
        ]
    )


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happens_sockets_are_told_what_the_oracle_counts(
    desk: Desk, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty things at random by three people on two nodes; compared after each, on each device."""
    monkeypatch.setattr("gateway.sockets.watch.unread.CONFLATE_S", 0.02)
    dice, far = random.Random(seed), datetime.now(UTC) + timedelta(days=9)
    devices = [
        Told(one, await desk.client(one, node=node))
        for one, node in zip((*PEOPLE, OKSANA), (0, 1, 1, 1), strict=True)
    ]
    listening = [asyncio.create_task(device.listen()) for device in devices]
    by = {device.employee_id: device.client for device in devices[:3]}
    owner = by[OKSANA]
    groups = [
        (
            await owner.request(ConversationCreate(title=f"{n}", employee_ids=[PETRO, IRYNA]))
        ).conversation.id
        for n in range(3)
    ]
    done = 0
    for _ in range(40):
        group, seq = dice.choice(groups), dice.randint(1, 12)
        client, step = by[dice.choice(PEOPLE)], _step(dice, group, seq, far)
        with suppress(RequestRefused):  # not in it any more, no such message, not allowed
            if isinstance(step, str):
                await client.send(group, step)
            else:
                await client.request(step)
            done += 1
        oracle = {one: await _counted(desk, one) for one in PEOPLE}
        for device in devices:
            wanted = oracle[device.employee_id]
            await eventually(lambda device=device, wanted=wanted: device.counted() == wanted)
    for one in PEOPLE:
        counts = await by[one].request(UnreadGet())
        late = Told(one, await desk.client(one))
        assert late.client.welcome.unread == counts
        late.take(counts.conversations, counts.total)
        assert late.counted() == await _counted(desk, one)
    assert done > 20
    for task in listening:
        task.cancel()
