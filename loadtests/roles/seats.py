"""Seats: which employee each Locust user is, and how they are divided over Locust's processes.

options ─▶ Seats ─▶ users. No two users are the same employee, in whichever process they are.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from loadtests.test_users import SignedInUser

Kind = Literal["plain", "phone", "supervisor"]
KIND_OF: dict[str, Kind] = {"SoftphoneUser": "phone", "SupervisorUser": "supervisor"}
"""User class → the employees it needs; other classes take anybody."""
SEATLESS = frozenset({"PbxUser"})


class NoSeat(Exception):
    """There are more users than employees of this kind."""

    code = "seats.none"

    def __str__(self) -> str:
        return self.code


@dataclass(slots=True)
class Pair:
    """Two people who write to each other, and the messages between them that are under way."""

    players: tuple[SignedInUser, SignedInUser]
    conversation_id: int = 0
    hearing: set[int] = field(default_factory=set)
    """Employees who are connected and not about to leave."""
    sent: dict[str, tuple[float, int]] = field(default_factory=dict)
    """client_key → when it was sent and to whom, of messages that they should receive."""


def kind_of(player: SignedInUser) -> Kind:
    if player.supervises:
        return "supervisor"
    return "phone" if player.extension else "plain"


def divide(players: Sequence[SignedInUser], parts: int, index: int) -> list[SignedInUser]:
    """Return the share of one of `parts` processes: each kind evenly, pairs together."""
    kinds: dict[Kind, list[SignedInUser]] = {"plain": [], "phone": [], "supervisor": []}
    for player in players:
        kinds[kind_of(player)].append(player)
    plain = kinds["plain"]
    pairs = [plain[at : at + 2] for at in range(0, len(plain), 2)]
    mine = [player for pair in pairs[index::parts] for player in pair]
    return [*mine, *kinds["phone"][index::parts], *kinds["supervisor"][index::parts]]


def shortage(
    players: Sequence[SignedInUser], users: int, weights: Mapping[str, float], parts: int
) -> str | None:
    """Say why so many users, of classes with these weights, cannot all sit; None when they can."""
    whole = sum(weights.values())
    needed: dict[str, int] = {"phone": 0, "supervisor": 0, "": 0}
    for name, weight in weights.items():
        if name in SEATLESS or not weight:
            continue
        count = math.ceil(users * weight / whole / parts)
        needed[KIND_OF.get(name, "")] += count
    for index in range(parts):
        share = divide(players, parts, index)
        have = [kind_of(player) for player in share]
        where = f"Locust process {index + 1} of {parts}"
        for kind, option in (("phone", "--extensions"), ("supervisor", "--supervisors")):
            if needed[kind] > have.count(kind):  # type: ignore[arg-type]  # a literal above
                return (
                    f"{where} needs {needed[kind]} employees of the kind {kind} and has "
                    f"{have.count(kind)}: give more with {option} or in --cast."  # type: ignore[arg-type]
                )
        if sum(needed.values()) > len(have):
            return (
                f"{where} needs {sum(needed.values())} employees and has {len(have)}, of "
                f"{len(players)} in all: give more with --employees or --cast, or fewer --users."
            )
    return None


class Seats:
    """Gives each user of this process an employee of their own, and takes them back."""

    def __init__(self, players: Sequence[SignedInUser]) -> None:
        self._free: dict[Kind, deque[SignedInUser]] = {
            "plain": deque(), "phone": deque(), "supervisor": deque(),
        }  # fmt: skip
        for player in players:
            self._free[kind_of(player)].append(player)
        self._sides: deque[tuple[Pair, int]] = deque()
        self._turns = threading.Lock()  # users of Locust arrive at the same time

    def take(self, user_class: str) -> SignedInUser:
        """Return an employee for a user of this class; NoSeat when there is none."""
        kind = KIND_OF.get(user_class)
        with self._turns:
            return self._anybody() if kind is None else self._one(kind)

    def take_side(self) -> tuple[Pair, int]:
        """Return a place in a pair whose other place is taken next; NoSeat."""
        with self._turns:
            if not self._sides:
                one = self._anybody()
                try:
                    other = self._anybody()
                except NoSeat:
                    self._free[kind_of(one)].append(one)
                    raise
                pair = Pair((one, other))
                self._sides.extend([(pair, 0), (pair, 1)])
            return self._sides.popleft()

    def release(self, player: SignedInUser) -> None:
        with self._turns:
            self._free[kind_of(player)].append(player)

    def release_side(self, pair: Pair, side: int) -> None:
        with self._turns:
            self._sides.append((pair, side))

    def _one(self, kind: Kind) -> SignedInUser:
        if not self._free[kind]:
            raise NoSeat
        return self._free[kind].popleft()

    def _anybody(self) -> SignedInUser:
        """Take first those whom no other class needs."""
        for kind in ("plain", "phone", "supervisor"):
            if self._free[kind]:
                return self._free[kind].popleft()
        raise NoSeat
