"""Who will do what, chosen by a seed before the run.

What depends on the state at that time (which message is edited) is chosen by a number from 0 to 1.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

POOL = 18
"""People whom one conversation concerns: a list shows twenty, so that every view has them all."""
CLIENTS_PER_ROOM = 5
PAUSE_S = 0.5
CUT = 0.06
CUT_WITHIN_S = 0.02
"""A command and its answer take 2 to 20 ms here: the cut comes before, between or after them."""

Kind = Literal[
    "send", "reply", "mention", "again", "twice", "edit", "delete", "react", "unreact", "read",
    "unread", "read_all", "delivered", "typing", "history", "archive", "unarchive", "pin",
    "unpin", "mute", "unmute", "notify", "draft", "undraft", "leave", "add", "remove", "role",
    "rename", "history_for", "close",
]  # fmt: skip

ANYONE: dict[Kind, int] = {
    "send": 30, "reply": 5, "mention": 4, "again": 5, "twice": 4, "edit": 8, "delete": 5,
    "react": 10, "unreact": 4, "read": 12, "unread": 2, "read_all": 1, "delivered": 2,
    "typing": 2, "history": 2, "archive": 2, "unarchive": 1, "pin": 1, "unpin": 1, "mute": 1,
    "unmute": 1, "notify": 1, "draft": 4, "undraft": 1, "leave": 2, "add": 1, "remove": 1,
}  # fmt: skip
OWNER: dict[Kind, int] = {"add": 12, "remove": 4, "role": 3, "rename": 2, "close": 1}
"""What the owner of a conversation does there now and then, instead of the above."""
OWNING = 0.35
HISTORIES = 0.02


@dataclass(frozen=True, slots=True)
class Action:
    """One thing one client does."""

    pause_s: float
    """Before it."""
    kind: Kind
    room: int
    dice: float
    """Chooses the message it is about."""
    person: int
    """Whom it is about, when it is about somebody."""
    text: str
    """Unlike any other."""
    cut_s: float | None
    """The connection is cut so long after the command was sent."""


@dataclass(frozen=True, slots=True)
class MessengerPlan:
    """Everything that is going to be tried."""

    people: int
    persons: tuple[int, ...]
    """Client → whose device it is."""
    pools: tuple[tuple[int, ...], ...]
    """Conversation → whom it concerns; the first owns it."""
    founders: tuple[tuple[int, ...], ...]
    """Who is in it from the beginning."""
    actions: tuple[tuple[Action, ...], ...]
    """Client → what it does, in order."""


def make(seed: int, *, clients: int, seconds: float, pause_s: float = PAUSE_S) -> MessengerPlan:
    """Choose; every fifth client is somebody's second device."""
    dice = random.Random(seed)
    people = max(2, clients - clients // 5)
    persons = tuple(client % people for client in range(clients))
    pools = []
    for room in range(max(1, clients // CLIENTS_PER_ROOM)):
        owner = room % people
        others = [one for one in range(people) if one != owner]
        pools.append((owner, *dice.sample(others, min(POOL - 1, len(others)))))
    founders = [pool[: max(2, len(pool) * 2 // 3)] for pool in pools]
    actions = [
        tuple(_actions(dice, client, persons[client], pools, seconds=seconds, pause_s=pause_s))
        for client in range(clients)
    ]
    return MessengerPlan(people, persons, tuple(pools), tuple(founders), tuple(actions))


def _actions(
    dice: random.Random,
    client: int,
    person: int,
    pools: list[tuple[int, ...]],
    *,
    seconds: float,
    pause_s: float,
) -> list[Action]:
    mine = [room for room, pool in enumerate(pools) if person in pool]
    owned = [room for room in mine if pools[room][0] == person]
    actions: list[Action] = []
    begins_s = 0.0
    while mine:
        pause = dice.expovariate(1 / pause_s)
        begins_s += pause
        if begins_s > seconds:
            break
        room, kinds = dice.choice(mine), ANYONE
        if owned and dice.random() < OWNING:
            room, kinds = dice.choice(owned), OWNER
        kind = dice.choices(list(kinds), list(kinds.values()))[0]
        if kinds is OWNER and dice.random() < HISTORIES:
            kind = "history_for"
        if kind == "leave" and pools[room][0] == person:
            kind = "send"  # the owner stays, to add the others again
        actions.append(
            Action(
                pause_s=pause,
                kind=kind,
                room=room,
                dice=dice.random(),
                person=dice.choice(pools[room]),
                text=f"{client}.{len(actions)}",
                cut_s=dice.uniform(0, CUT_WITHIN_S) if dice.random() < CUT else None,
            )
        )
    return actions
