"""Who is here, seen from another node."""

from __future__ import annotations

from gateway.client import Connection
from gateway.protocol import Presence, PresenceChanged, PresenceSet, PresenceWatch
from tests.desk import IRYNA, OKSANA, PETRO, Desk


async def watch(client: Connection, *people: int) -> dict[int, Presence]:
    found = await client.request(PresenceWatch(employee_ids=list(people)))
    return {item.employee_id: item for item in found.presences}


async def until(client: Connection, employee_id: int, status: str) -> Presence:
    """Return the first presence of this person with this status."""
    while True:
        event = await client.next(PresenceChanged)
        presences: list[Presence] = event.presences
        for presence in presences:
            if presence.employee_id == employee_id and presence.status == status:
                return presence


async def test_arrival_and_departure_cross_nodes(desk: Desk) -> None:
    """Watchers elsewhere see someone come, and go after the grace."""
    oksana = await desk.client(OKSANA)
    assert (await watch(oksana, PETRO))[PETRO].status == "offline"

    petro = await desk.client(PETRO, node=1)
    came = await until(oksana, PETRO, "online")
    await petro.close()
    went = await until(oksana, PETRO, "offline")

    assert went.version > came.version


async def test_a_chosen_status_reaches_watchers_and_snapshots(desk: Desk) -> None:
    """What someone chooses is what watchers hear and what a later snapshot shows."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    await watch(oksana, PETRO)

    chosen = await petro.request(PresenceSet(status="do_not_disturb", text="до 15:00"))
    seen = await until(oksana, PETRO, "do_not_disturb")
    iryna = await desk.client(IRYNA)

    assert seen == chosen.presence
    assert (await watch(iryna, PETRO))[PETRO] == chosen.presence


async def test_nobody_hears_of_people_they_do_not_watch(desk: Desk) -> None:
    """Watching one person brings news of that one only."""
    oksana = await desk.client(OKSANA)
    await watch(oksana, PETRO)

    await desk.client(IRYNA, node=1)
    await desk.client(PETRO, node=1)

    event = await oksana.next(PresenceChanged)
    assert {item.employee_id for item in event.presences} == {PETRO}
