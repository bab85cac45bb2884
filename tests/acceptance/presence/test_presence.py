"""Who is here, seen from another node."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.client import Connection
from gateway.protocol import Presence, PresenceChanged, PresenceSet, PresenceWatch
from gateway.telephony.agents import on_call
from tests.support.calls import ANSWERED, play, recorded
from tests.support.desk import DIRECTOR, IRYNA, OKSANA, PETRO, Desk, eventually, refused


async def watch(client: Connection, *people: int) -> dict[int, Presence]:
    found = await client.request(PresenceWatch(employee_ids=list(people)))
    return {item.employee_id: item for item in found.presences}


async def until_status(client: Connection, employee_id: int, status: str) -> Presence:
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
    came = await until_status(oksana, PETRO, "online")
    await petro.close()
    went = await until_status(oksana, PETRO, "offline")

    assert went.version > came.version


async def test_a_chosen_status_reaches_watchers_and_snapshots(desk: Desk) -> None:
    """What someone chooses is what watchers hear and what a later snapshot shows."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    await watch(oksana, PETRO)

    chosen = await petro.request(PresenceSet(status="do_not_disturb", text="до 15:00"))
    seen = await until_status(oksana, PETRO, "do_not_disturb")
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


def in_s(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def test_do_not_disturb_ends_by_itself_for_watchers_on_every_node(desk: Desk) -> None:
    """They see the end beforehand, and hear of it once when it has come."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    await watch(oksana, PETRO)
    until = in_s(0.5)

    await petro.set_status("do_not_disturb", "focus", until=until)
    seen = await until_status(oksana, PETRO, "do_not_disturb")
    over = await until_status(oksana, PETRO, "online")

    assert seen.until is not None
    assert abs(seen.until - until) < timedelta(milliseconds=1)
    assert (over.text, over.until) == (None, None)
    assert over.since is not None
    assert over.since >= seen.until


SENSELESS: list[tuple[dict[str, Any], str]] = [
    ({"status": "busy", "until": "2001-01-01T00:00:00Z"}, "until"),
    ({"status": "busy", "until": "2999-01-01T00:00:00Z"}, "until"),
    ({"status": "busy", "until": "2999-01-01T00:00:00"}, "until"),
    ({"until": "soon"}, "until"),
    ({"until": "2999-01-01T00:00:00Z"}, "until"),
    ({"status": "on_call"}, "status"),
    ({"text": "x" * 141}, "text"),
]


async def test_a_choice_that_makes_no_sense_changes_nothing(small_desk: Desk) -> None:
    """Each refusal names the field, over HTTP as on the socket."""
    petro = await small_desk.client(PETRO)
    await petro.request(PresenceSet(status="away"))
    async with small_desk.http(PETRO) as http:
        answers = [await http.put("/v1/presence/me", json=fields) for fields, _ in SENSELESS]

    assert [one.status_code for one in answers] == [422] * len(SENSELESS)
    assert [one.json()["error"]["path"] for one in answers] == [path for _, path in SENSELESS]
    assert await refused(petro.request(PresenceSet(until=in_s(60)))) == "command.invalid"
    assert (await watch(petro, PETRO))[PETRO].status == "away"


async def test_a_person_is_away_when_nobody_looks_at_any_of_their_devices(desk: Desk) -> None:
    """The device that is looked at counts, whichever node it is on."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    telephone = await desk.client(PETRO)
    await watch(oksana, PETRO)

    await petro.away()
    await telephone.away()
    await until_status(oksana, PETRO, "away")
    await telephone.away(False)

    assert (await until_status(oksana, PETRO, "online")).until is None


async def test_a_device_nobody_looks_at_comes_back_without_a_flicker(empty_desk: Desk) -> None:
    """Its hello says so, so nobody sees the person online in between."""
    await empty_desk.start_node(presence_grace_s=5.0)
    oksana, petro = await empty_desk.client(OKSANA), await empty_desk.client(PETRO)
    await petro.away()
    away = (await watch(oksana, PETRO))[PETRO]

    await petro.drop()
    await eventually(lambda: petro.reconnects == 1)
    await petro.away()  # answered on the new connection

    assert (away.status, (await watch(oksana, PETRO))[PETRO]) == ("away", away)


async def test_http_tells_of_many_people_at_once(desk: Desk) -> None:
    """Each once, in order, strangers offline; five hundred at most."""
    await desk.client(PETRO, node=1)
    await eventually(lambda: is_online(desk, PETRO))
    async with desk.http(OKSANA) as http:
        found = await http.get("/v1/presence", params={"employee_ids": f"{PETRO},{OKSANA},{PETRO}"})
        many = await http.get("/v1/presence", params={"employee_ids": ids(500)})
        senseless = [
            await http.get("/v1/presence", params=params)
            for params in (
                {"employee_ids": ids(501)},
                {"employee_ids": "1,,2"},
                {"employee_ids": "0"},
                {"employee_ids": str(2**63)},
                {"employee_ids": "1", "department": "Sales"},
                {},
            )
        ]

    said = {one["employee_id"]: one["status"] for one in found.json()["presences"]}
    assert said == {OKSANA: "offline", PETRO: "online"}
    assert len(many.json()["presences"]) == 500
    assert [answer.status_code for answer in senseless] == [422] * 6
    async with desk.http() as anybody:
        assert (await anybody.get("/v1/presence?employee_ids=1")).status_code == 401


async def test_http_counts_by_how_many_people_it_reads(empty_desk: Desk) -> None:
    """Of requests for five hundred people few are served at once, of those for one many."""
    await empty_desk.start_node(commands_per_s=0.1, commands_burst=60)
    await empty_desk.sql(
        """
        INSERT INTO demo_crm.staff (id, full_name, department_id, job_title, role_id)
        SELECT 1000 + n, 'Person ' || n, 1, 'Agent', 1 FROM generate_series(1, 500) AS n
        """
    )
    rows = await empty_desk.sql("SELECT department FROM crm.employees WHERE id = 1001")
    department, served = rows[0]["department"], {}
    for employee_id, params in (
        (OKSANA, {"employee_ids": ids(500)}),
        (IRYNA, {"department": department}),
        (PETRO, {"employee_ids": "1"}),
        (DIRECTOR, {"department": department, "limit": "1"}),
    ):
        async with empty_desk.http(employee_id) as http:
            answers = [await http.get("/v1/presence", params=params) for _ in range(40)]
        assert {one.status_code for one in answers} <= {200, 429}
        served[employee_id] = [one.status_code for one in answers].count(200)

    assert 1 <= served[OKSANA] <= 60 // 10
    assert 1 <= served[IRYNA] <= 60 // 10
    assert served[PETRO] == served[DIRECTOR] == 40


async def test_http_tells_of_a_whole_department(small_desk: Desk) -> None:
    """For a wallboard: its active people by number, page after page."""
    rows = await small_desk.sql(
        "SELECT department, array_agg(id ORDER BY id) AS ids FROM crm.employees WHERE active"
        " GROUP BY department ORDER BY count(*) DESC LIMIT 1"
    )
    department, wanted = rows[0]["department"], rows[0]["ids"]
    assert len(wanted) > 1
    got: list[int] = []
    async with small_desk.http(OKSANA) as http:
        after: int | None = 0
        while after is not None:
            params = {"department": department, "after": after, "limit": 1}
            page = (await http.get("/v1/presence", params=params)).json()
            got += [one["employee_id"] for one in page["presences"]]
            after = page["next"]

    assert got == wanted


async def test_where_it_is_private_nobody_learns_when_others_left(desk: Desk) -> None:
    """Otherwise colleagues see when somebody was last here."""
    private = await desk.start_node(presence_last_seen=False)
    oksana = await desk.client(OKSANA)
    discreet = await desk.client(OKSANA, node=desk.nodes.index(private))
    await watch(oksana, PETRO)
    petro = await desk.client(PETRO)
    await until_status(oksana, PETRO, "online")
    left_at = datetime.now(UTC)
    await petro.close()

    gone = await until_status(oksana, PETRO, "offline")
    assert gone.last_seen is not None
    assert abs(gone.last_seen - left_at) < timedelta(seconds=1)
    hidden = (await watch(discreet, PETRO))[PETRO]
    assert (hidden.status, hidden.since, hidden.last_seen) == ("offline", None, None)


async def test_a_call_whose_news_was_lost_is_put_right(desk: Desk) -> None:
    """A worker died between the COMMIT and the telling: the next start finds who is on a call."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    await watch(petro, OKSANA)
    events = await recorded(ANSWERED)
    halfway = next(i for i, e in enumerate(events) if e.type == "queue.connected") + 1
    services = desk.nodes[0].node.services
    await play(desk, events[:halfway])
    await until_status(petro, OKSANA, "on_call")

    (call_id,) = [row["id"] for row in await desk.sql("SELECT id FROM realtime.call_sessions")]
    await services.presence.set_on_call(OKSANA, str(call_id), talking=False)
    await until_status(petro, OKSANA, "online")
    await desk.start_node()
    await until_status(petro, OKSANA, "on_call")

    await desk.sql("UPDATE realtime.call_sessions SET ended_at = now()")
    await on_call.correct(services)
    await until_status(petro, OKSANA, "online")
    assert await on_call.correct(services) == 0
    del oksana


async def test_a_calls_end_makes_its_agent_free_on_another_node(desk: Desk) -> None:
    """From the PBX at one node to a watcher at the other."""
    await desk.client(OKSANA, node=1)
    petro = await desk.client(PETRO, node=1)
    await watch(petro, OKSANA)

    events = await recorded(ANSWERED)
    halfway = next(i for i, e in enumerate(events) if e.type == "queue.connected") + 1
    await play(desk, events[:halfway])
    busy = await until_status(petro, OKSANA, "on_call")
    await play(desk, events[halfway:], node=1)  # the PBX may be heard by another one then

    assert (await until_status(petro, OKSANA, "online")).version > busy.version


def ids(count: int) -> str:
    return ",".join(map(str, range(1, count + 1)))


async def is_online(desk: Desk, employee_id: int) -> bool:
    found = await desk.nodes[0].node.services.presence.fetch([employee_id])
    return found[employee_id].status == "online"
