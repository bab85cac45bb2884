"""Of a call with too many parts, those that somebody needs are shown, and the others counted."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from ingest import CallState, CondensedCall, PartsChoice, condense, count_parts
from ingest.model.call_parts import PartLimits
from ingest.model.call_state import LegState, ParkingState, StintState, TransferState
from tests.support.amounts import seeds

START = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)


def made_state(chance: random.Random, *, legs: int, others: int) -> CallState:
    """Return a call with so many parts, in which anything may go on."""

    def at(number: int) -> datetime:
        return START + timedelta(seconds=number)

    return CallState(
        id=UUID(int=chance.getrandbits(128)),
        version=1,
        source="main",
        direction="inbound",
        status="talking",
        outcome=None,
        number_raw=None,
        number_e164=None,
        caller_name=None,
        queue=None,
        started_at=START,
        answered_extension=chance.choice([None, "1", "2"]),
        asked_extension=chance.choice([None, "3", "nobody's"]),
        ended_by_extension=chance.choice([None, "4"]),
        legs=tuple(
            LegState(
                leg_key=f"leg {number}",
                extension=chance.choice([None, *(str(one) for one in range(legs))]),
                kind="agent",
                status=chance.choice(["ringing", "ended", "ended", "ended"]),
                answered_at=chance.choice([None, None, at(number)]),
            )
            for number in range(legs)
        ),
        stints=tuple(
            StintState(
                queue="sales", entered_at=at(number), left_at=chance.choice([None, at(number)])
            )
            for number in range(others)
        ),
        transfers=tuple(
            TransferState(kind="blind", at=at(number), by_leg_key=None, by_extension=None)
            for number in range(others)
        ),
        parkings=tuple(ParkingState(at=at(number)) for number in range(others)),
    )


@seeds(5, 20)
def test_what_is_shown_and_what_is_left_out_are_the_whole_call(seed: int) -> None:
    """However many parts: never more than the limits, in their order, the rest counted."""
    chance = random.Random(seed)
    limits = PartLimits(legs=chance.randint(4, 12), others=chance.randint(1, 6))
    state = made_state(chance, legs=chance.randint(0, 40), others=chance.randint(0, 20))

    shown = condense(CondensedCall(state=state), limits)

    assert count_parts(shown.state) + shown.left_out == count_parts(state)
    assert len(shown.state.legs) == min(len(state.legs), limits.legs)
    kinds = ("stints", "transfers", "parkings")
    assert [len(getattr(shown.state, kind)) for kind in kinds] == [
        min(len(getattr(state, kind)), limits.others) for kind in kinds
    ]
    assert [leg for leg in state.legs if leg in shown.state.legs] == list(shown.state.legs)
    assert shown.state.transfers == state.transfers[-limits.others :]
    assert shown.state.parkings == state.parkings[-limits.others :]
    open_stints = [one for one in state.stints if one.left_at is None]
    assert set(open_stints[-limits.others :]) <= set(shown.state.stints)


@seeds(5, 20)
def test_every_telephone_finds_its_own_leg(seed: int) -> None:
    """Whoever is asked for first has their live leg, else their last one, among those shown."""
    chance = random.Random(seed)
    state = made_state(chance, legs=60, others=0)
    choice = PartsChoice(CondensedCall(state=state), PartLimits(legs=20, others=5))
    everybody = choice.condensed()
    named = {state.answered_extension, state.asked_extension, state.ended_by_extension}

    for extension in sorted(state.extensions):
        theirs = [leg for leg in state.legs if leg.extension == extension]
        wanted = ([leg for leg in theirs if leg.status != "ended"] or theirs)[-1]
        assert wanted in choice.condensed({extension}).state.legs
        is_hidden = extension in choice.hidden_from(everybody)
        assert is_hidden == (wanted not in everybody.state.legs)
        assert not (is_hidden and extension in named)
    assert state.legs[0] in everybody.state.legs


def test_a_usual_call_is_shown_as_it_is() -> None:
    """Nothing is copied, nothing is left out."""
    call = CondensedCall(state=made_state(random.Random(1), legs=7, others=2))

    assert condense(call) is call
