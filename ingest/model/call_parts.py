"""Which parts of a call are shown when it has more of them than one event or list should have.

CallState ─▶ PartsChoice ─▶ CondensedCall ─▶ the gateway's wire types. A call whose caller waits for
an hour while agents are rung in turn has thousands of legs, and so has a key that is used for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import chain, islice
from typing import TypeVar

from ingest.model.call_state import CallState, LegState, StintState
from ingest.model.frozen import frozen

Part = TypeVar("Part")


@frozen
class PartLimits:
    """How many legs, and how many of each other part, are shown of one call."""

    legs: int
    others: int


SHOWN = PartLimits(legs=50, others=20)
"""In events and lists. Of the 65 calls in tests/recordings, the one with most has 7 legs."""
FEW = PartLimits(legs=5, others=5)
"""Of each further call, once the calls of one list have many parts together."""


@frozen
class PartCounts:
    """How many parts a call has, or how many of them are not shown."""

    legs: int = 0
    stints: int = 0
    transfers: int = 0
    parkings: int = 0

    @property
    def total(self) -> int:
        return self.legs + self.stints + self.transfers + self.parkings

    def __add__(self, other: PartCounts) -> PartCounts:
        return PartCounts(
            legs=self.legs + other.legs,
            stints=self.stints + other.stints,
            transfers=self.transfers + other.transfers,
            parkings=self.parkings + other.parkings,
        )


NOTHING = PartCounts()


@frozen
class CondensedCall:
    """A call with the parts that are shown, in their order, and how many are not."""

    state: CallState
    left_out: PartCounts = NOTHING


def named_extensions(state: CallState) -> frozenset[str]:
    """Return the extensions that the call itself names: a leg of each is shown."""
    named = (state.answered_extension, state.asked_extension, state.ended_by_extension)
    return frozenset(one for one in named if one)


def count_parts(state: CallState) -> PartCounts:
    """Return how many parts a call has."""
    return PartCounts(
        legs=len(state.legs),
        stints=len(state.stints),
        transfers=len(state.transfers),
        parkings=len(state.parkings),
    )


class PartsChoice:
    """The parts of one call in the order in which they are worth showing, for many viewers.

    Of the legs: the latest of each telephone that is asked for, the latest of those that the call
    names, the first one, those that go on, those that talked, the newest. Of stints: those that go
    on, the newest. Of transfers and times of parking: the newest. `queries.condensed_calls` chooses
    in the same way.
    """

    def __init__(self, call: CondensedCall, limits: PartLimits = SHOWN) -> None:
        self._call = call
        self._limits = limits
        legs = call.state.legs
        self._latest: dict[str, int] = {}
        self._order: list[int] = []
        if len(legs) > limits.legs:
            self._latest = _latest(legs)
            named = named_extensions(call.state)
            self._order = [self._latest[one] for one in sorted(named) if one in self._latest]
            self._order += sorted(range(len(legs)), key=lambda at: _leg_rank(legs[at], at))
        self._rest = _without_surplus(call.state, limits.others)

    def condensed(self, first: AbstractSet[str] = frozenset()) -> CondensedCall:
        """Return the call with at most the limits' parts; the telephones in first come first."""
        call, state = self._call, self._rest
        if self._order:
            wanted = (self._latest[one] for one in sorted(first) if one in self._latest)
            chosen = sorted(_distinct(chain(wanted, self._order), self._limits.legs))
            state = replace(state, legs=tuple(state.legs[at] for at in chosen))
        if state is call.state:
            return call
        before, now = count_parts(call.state), count_parts(state)
        hidden = PartCounts(
            legs=before.legs - now.legs,
            stints=before.stints - now.stints,
            transfers=before.transfers - now.transfers,
            parkings=before.parkings - now.parkings,
        )
        return CondensedCall(state=state, left_out=call.left_out + hidden)

    def hidden_from(self, shown: CondensedCall) -> frozenset[str]:
        """Return the telephones whose latest leg is not among those that are shown."""
        keys = {leg.leg_key for leg in shown.state.legs}
        legs = self._call.state.legs
        return frozenset(one for one, at in self._latest.items() if legs[at].leg_key not in keys)


def condense(
    call: CondensedCall, limits: PartLimits = SHOWN, *, first: AbstractSet[str] = frozenset()
) -> CondensedCall:
    """Return the call with at most these parts; the telephones in first come first."""
    return PartsChoice(call, limits).condensed(first)


def _latest(legs: Iterable[LegState]) -> dict[str, int]:
    """Return extension → the place of its last leg that goes on, else of its last one."""
    found: dict[str, tuple[bool, int]] = {}
    for at, leg in enumerate(legs):
        if leg.extension:
            open_ = leg.status != "ended"
            if open_ or not found.get(leg.extension, (False, 0))[0]:
                found[leg.extension] = open_, at
    return {extension: at for extension, (_, at) in found.items()}


def _leg_rank(leg: LegState, at: int) -> tuple[bool, bool, bool, int]:
    return at != 0, leg.status == "ended", leg.answered_at is None, -at


def _without_surplus(state: CallState, most: int) -> CallState:
    """Return the call with at most so many stints, transfers and times of parking."""
    if max(len(state.stints), len(state.transfers), len(state.parkings)) <= most:
        return state
    return replace(
        state,
        stints=_stints(state.stints, most),
        transfers=state.transfers[-most:],
        parkings=state.parkings[-most:],
    )


def _stints(stints: tuple[StintState, ...], most: int) -> tuple[StintState, ...]:
    if len(stints) <= most:
        return stints
    order = sorted(range(len(stints)), key=lambda at: (stints[at].left_at is not None, -at))
    return tuple(stints[at] for at in sorted(order[:most]))


def _distinct(places: Iterable[int], most: int) -> Iterator[int]:
    return islice(dict.fromkeys(places), most)
