"""What a node holds, without a store: counted connections, the grace, the most present device."""

from __future__ import annotations

import pytest

from presence import PresenceSettings
from presence.owned_connections import OwnedConnections

ANNA, BORIS = 1, 2


@pytest.fixture
def owned() -> OwnedConnections:
    """Give a node that holds nobody and grants ten seconds."""
    return OwnedConnections(grace_s=10.0)


def test_a_device_is_held_while_any_of_its_connections_is(owned: OwnedConnections) -> None:
    """Connections of one device are counted."""
    owned.arrive(ANNA, "web")
    owned.arrive(ANNA, "web")
    owned.leave(ANNA, "web", now=0.0)

    assert owned.desired(ANNA) == "online"
    assert owned.next_expiry() is None


def test_during_the_grace_a_person_is_shown_as_before(owned: OwnedConnections) -> None:
    """Whoever was away stays away until the grace is over."""
    owned.arrive(ANNA, "web")
    owned.set_away(ANNA, "web", away=True)
    owned.leave(ANNA, "web", now=100.0)

    assert owned.desired(ANNA) == "away"
    assert owned.pop_expired(now=109.9) == []
    assert owned.pop_expired(now=110.0) == [ANNA]
    assert owned.desired(ANNA) == "offline"


def test_a_second_departure_begins_a_new_grace(owned: OwnedConnections) -> None:
    """Coming back ends the grace; the order of ends stays the order of departures."""
    owned.arrive(ANNA, "web")
    owned.arrive(BORIS, "web")
    owned.leave(ANNA, "web", now=0.0)
    owned.leave(BORIS, "web", now=1.0)
    owned.arrive(ANNA, "web")
    owned.leave(ANNA, "web", now=5.0)

    assert owned.next_expiry() == 11.0
    assert owned.pop_expired(now=14.9) == [BORIS]
    assert owned.pop_expired(now=15.0) == [ANNA]


def test_a_new_incarnation_announces_everyone_here_or_in_grace(
    owned: OwnedConnections,
) -> None:
    """A store that knows nothing must receive those in their grace, too."""
    for user in (ANNA, BORIS):
        owned.arrive(user, "web")
        owned.mark_stored(user, "online")
    owned.leave(BORIS, "web", now=0.0)

    assert owned.out_of_date([ANNA, BORIS]) == []
    assert owned.reset_stored() == [ANNA, BORIS]
    assert owned.out_of_date([ANNA, BORIS]) == [ANNA, BORIS]


def test_nothing_is_kept_of_those_who_are_gone(owned: OwnedConnections) -> None:
    """A node that runs for months holds only who is here."""
    for user in range(1_000):
        owned.arrive(user, "web")
        owned.set_away(user, "web", away=True)
        owned.mark_stored(user, "away")
        owned.leave(user, "web", now=0.0)
    for user in owned.pop_expired(now=10.0):
        owned.mark_stored(user, owned.desired(user))

    assert not any((owned._devices, owned._away, owned._grace, owned._stored))


def test_settings_that_would_lose_leases_are_refused() -> None:
    """Renewing less often than the lease lasts cannot work."""
    with pytest.raises(ValueError, match="renew_s"):
        PresenceSettings(lease_ttl_s=5.0, renew_s=5.0)
    with pytest.raises(ValueError, match="retry_max_s"):
        PresenceSettings(lease_ttl_s=1.0, renew_s=0.3, grace_s=0.5, retry_max_s=2.0)


def test_a_device_may_come_without_anybody_looking_at_it(owned: OwnedConnections) -> None:
    """It makes nobody online; the next one that is looked at does."""
    owned.arrive(ANNA, "web", away=True)
    assert owned.desired(ANNA) == "away"

    owned.arrive(ANNA, "phone")
    assert owned.desired(ANNA) == "online"
