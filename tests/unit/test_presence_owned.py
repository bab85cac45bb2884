"""What a node holds, without a store: counted connections, the grace, the most present device."""

from __future__ import annotations

import pytest

from presence import PresenceSettings
from presence.owned_connections import Owned

ANNA, BORIS = 1, 2


@pytest.fixture
def owned() -> Owned:
    """Give a node that holds nobody and grants ten seconds."""
    return Owned(grace_s=10.0)


def test_a_device_is_held_while_any_of_its_connections_is(owned: Owned) -> None:
    """Connections of one device are counted."""
    owned.arrive(ANNA, "web")
    owned.arrive(ANNA, "web")
    owned.leave(ANNA, "web", now=0.0)

    assert owned.wanted(ANNA) == "online"
    assert owned.next_gone() is None


def test_during_the_grace_a_person_is_shown_as_before(owned: Owned) -> None:
    """Whoever was away stays away until the grace is over."""
    owned.arrive(ANNA, "web")
    owned.set_away(ANNA, "web", away=True)
    owned.leave(ANNA, "web", now=100.0)

    assert owned.wanted(ANNA) == "away"
    assert owned.gone(now=109.9) == []
    assert owned.gone(now=110.0) == [ANNA]
    assert owned.wanted(ANNA) == "offline"


def test_a_second_departure_begins_a_new_grace(owned: Owned) -> None:
    """Coming back ends the grace; the order of ends stays the order of departures."""
    owned.arrive(ANNA, "web")
    owned.arrive(BORIS, "web")
    owned.leave(ANNA, "web", now=0.0)
    owned.leave(BORIS, "web", now=1.0)
    owned.arrive(ANNA, "web")
    owned.leave(ANNA, "web", now=5.0)

    assert owned.next_gone() == 11.0
    assert owned.gone(now=14.9) == [BORIS]
    assert owned.gone(now=15.0) == [ANNA]


def test_a_new_life_tells_of_everyone_who_is_or_was_just_here(owned: Owned) -> None:
    """A store that knows nothing must hear of those in their grace too."""
    for user in (ANNA, BORIS):
        owned.arrive(user, "web")
        owned.tell(user, "online")
    owned.leave(BORIS, "web", now=0.0)

    assert owned.unsettled([ANNA, BORIS]) == []
    assert owned.forget_told() == [ANNA, BORIS]
    assert owned.unsettled([ANNA, BORIS]) == [ANNA, BORIS]


def test_nothing_is_kept_of_those_who_are_gone(owned: Owned) -> None:
    """A node that runs for months holds only who is here."""
    for user in range(1_000):
        owned.arrive(user, "web")
        owned.set_away(user, "web", away=True)
        owned.tell(user, "away")
        owned.leave(user, "web", now=0.0)
    for user in owned.gone(now=10.0):
        owned.tell(user, owned.wanted(user))

    assert not any((owned._devices, owned._away, owned._leaving, owned._told))


def test_settings_that_would_lose_leases_are_refused() -> None:
    """Renewing less often than the lease lasts cannot work."""
    with pytest.raises(ValueError, match="renew_s"):
        PresenceSettings(lease_ttl_s=5.0, renew_s=5.0)
    with pytest.raises(ValueError, match="retry_max_s"):
        PresenceSettings(lease_ttl_s=1.0, renew_s=0.3, grace_s=0.5, retry_max_s=2.0)


def test_a_device_may_come_without_anybody_looking_at_it(owned: Owned) -> None:
    """It makes nobody online; the next one that is looked at does."""
    owned.arrive(ANNA, "web", away=True)
    assert owned.wanted(ANNA) == "away"

    owned.arrive(ANNA, "phone")
    assert owned.wanted(ANNA) == "online"
