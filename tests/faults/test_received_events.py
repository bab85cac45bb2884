"""The columns of received events are a list of them, whatever is done with it."""

from __future__ import annotations

import random
import tracemalloc
from uuid import UUID

from tests.faults.received_events import ReceivedEvent, ReceivedEvents


def event(dice: random.Random) -> ReceivedEvent:
    stored = dice.random() < 0.8
    number = dice.randrange(50)
    return ReceivedEvent(
        dice.randrange(9),
        dice.randrange(9),
        dice.randrange(4),
        dice.randrange(1_000_000),
        dice.uniform(0, 1e6),
        dice.choice(["live", "resume"]),
        dice.choice(["message.created", "message.changed"]),
        dice.randrange(1_000_000) if stored else None,
        UUID(int=number) if stored else None,
        f"text {number}" if stored else "",
    )


def test_columns_do_what_a_list_does() -> None:
    """Random changes of both leave the same events, by index, by conversation and counted."""
    dice = random.Random(11)
    plain: list[ReceivedEvent] = []
    columns = ReceivedEvents()
    for _ in range(2_000):
        one, at = event(dice), dice.randrange(len(plain) + 1)
        match dice.randrange(6):
            case 0 | 1 | 2:
                plain.append(one)
                columns.append(one)
            case 3:
                plain.insert(at, one)
                columns.insert(at, one)
            case 4 if at < len(plain):
                plain[at] = columns[at] = one
            case _ if at < len(plain):
                assert plain.pop(at) == columns.pop(at)

    assert list(columns) == plain
    assert list(columns[3:50:7]) == plain[3:50:7]
    assert columns.count_how() == {
        how: sum(one.how == how for one in plain) for how in ("live", "resume")
    }
    assert {
        cid: [columns[index] for index in indexes]
        for cid, indexes in columns.by_conversation().items()
    } == {
        cid: [one for one in plain if one.conversation_id == cid]
        for cid in {one.conversation_id for one in plain}
    }


def test_what_forty_readers_are_told_is_kept_once() -> None:
    """Each event costs its numbers: texts and keys are those of the first reader."""
    columns = ReceivedEvents()
    tracemalloc.start()
    for number in range(20_000):
        seq = number // 40
        text, key = f"message {seq} " + "x" * 200, UUID(int=seq)
        columns.append(
            ReceivedEvent(
                1, number % 40, 7, seq + 1, number / 7, "live", seq=seq, key=key, text=text
            )
        )
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert used < 20_000 * 80
