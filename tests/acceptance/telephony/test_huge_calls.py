"""A call with any number of legs costs its viewers little, and who posts it without end is told."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest

from gateway import topics
from gateway.bus import Announcement
from gateway.protocol import Call, CallList, CallOffered, CallUpdated
from gateway.telephony.calls.announce import calls_changed
from ingest import CallChange, CallState
from ingest.model.call_state import LegState
from tests.support.callback_time import HELD_MS, callback_times
from tests.support.calls import post, signed
from tests.support.desk import DIRECTOR, IRYNA, OKSANA, PETRO, Desk, staff

EVENTS = "/v1/telephony/events"
CALLS = "/v1/telephony/calls"
LEGS = 50


def ringing_legs(numbers: Iterable[int], *, extension: str = "101") -> list[dict[str, Any]]:
    """Return an event for each leg, with the longest texts that are allowed."""
    began = datetime.now(UTC) - timedelta(hours=1)
    return [
        {
            "event_id": f"e{number}",
            "type": "leg.ringing",
            "occurred_at": (began + timedelta(milliseconds=20 * number)).isoformat(),
            "call_key": "for ever",
            "leg_key": f"{number:05}".ljust(200, "x"),
            "extension": extension,
            "attrs": {"sip_call_id": "s" * 200},
        }
        for number in numbers
    ]


async def posted(desk: Desk, events: list[dict[str, Any]]) -> dict[str, Any]:
    body = orjson.dumps(events)
    answer = await desk.http().post(EVENTS, content=body, headers=signed(body))
    answer.raise_for_status()
    read: dict[str, Any] = answer.json()
    return read


async def test_a_call_is_shown_with_a_bounded_number_of_legs(desk: Desk) -> None:
    """In its events, in the welcome, in lists and when it is read; the others are counted."""
    oksana = await desk.client(OKSANA)
    await posted(desk, ringing_legs(range(300)))

    calls: list[Call] = [(await oksana.next(CallOffered)).call]
    calls += (await desk.client(OKSANA, node=1)).welcome.calls
    calls += (await oksana.request(CallList())).calls
    http = desk.http(OKSANA)
    listed = (await http.get(CALLS)).json()["calls"]
    one = (await http.get(f"{CALLS}/{calls[0].id}")).json()["call"]

    assert [len(call.legs) for call in calls] == [LEGS] * 3
    assert [call.left_out and call.left_out.legs for call in calls] == [300 - LEGS] * 3
    assert calls[0] == calls[1] == calls[2]
    assert listed == [one]
    assert (len(one["legs"]), one["left_out"]["legs"]) == (LEGS, 300 - LEGS)


async def test_all_parts_of_a_call_are_read_page_by_page(small_desk: Desk) -> None:
    """Each once, oldest first; a stranger is told that there is no such call."""
    await posted(small_desk, ringing_legs(range(120)))
    (call,) = (await small_desk.http(OKSANA).get(CALLS)).json()["calls"]
    http, path = small_desk.http(OKSANA), f"{CALLS}/{call['id']}/parts"

    legs: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        asked = {"part": "legs", "limit": "50"} | ({"cursor": cursor} if cursor else {})
        page = (await http.get(path, params=asked)).json()
        legs += page["legs"]
        cursor = page["next"]
        if cursor is None:
            break

    assert len(legs) == 120
    assert [leg["ringing_at"] for leg in legs] == sorted(leg["ringing_at"] for leg in legs)
    assert call["legs"] == [legs[0], *legs[-LEGS + 1 :]]
    for part in ("stints", "transfers", "parkings", "recordings"):
        assert (await http.get(path, params={"part": part})).json()[part] == []
    assert (await http.get(path, params={"part": "legs", "cursor": "x"})).status_code == 422
    assert (await small_desk.http(PETRO).get(path, params={"part": "legs"})).status_code == 404


async def test_everybody_who_is_rung_sees_their_own_leg(desk: Desk) -> None:
    """Of a group with more telephones than an event shows: live, in a welcome, in a list."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO)
    rung = [*map(str, range(2_000, 2_005)), "102", *map(str, range(2_006, 2_120)), "101"]
    legs = [
        event | {"extension": extension}
        for event, extension in zip(ringing_legs(range(121)), rung, strict=True)
    ]
    await posted(desk, legs[:60])
    await petro.next(CallOffered)
    await posted(desk, legs[60:])

    offered = (await oksana.next(CallOffered)).call
    updated = (await petro.next(CallUpdated)).call
    welcomed = (await desk.client(PETRO, node=1)).welcome.calls[0]
    (listed,) = (await petro.request(CallList())).calls

    assert "101" in {leg.extension for leg in offered.legs}
    for call in (updated, welcomed, listed):
        assert "102" in {leg.extension for leg in call.legs}
        assert len(call.legs) == LEGS


async def test_a_welcome_with_many_such_calls_is_bounded(desk: Desk) -> None:
    """Twenty calls with 60 legs each: the newest are shown whole, the others with few legs."""
    for number in range(20):
        await post(
            desk, f"call {number}",
            *({"type": "leg.ringing", "leg_key": f"{number}-{leg}", "extension": "101"}
              for leg in range(60)),
        )  # fmt: skip

    calls = (await desk.client(OKSANA)).welcome.calls

    shown = [len(call.legs) for call in calls]
    assert shown == [LEGS] * 8 + [5] * 12
    assert [call.left_out and call.left_out.legs for call in calls] == [60 - one for one in shown]


async def test_who_uses_one_key_for_ever_is_told(desk: Desk) -> None:
    """The answer names the key; what was posted is stored, and counted."""
    gateway = desk.nodes[0].app.state.gateway
    old = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    first, second = ringing_legs(range(2))

    before = await posted(desk, [first | {"occurred_at": old}])
    after = await posted(desk, [second, second | {"call_key": "other", "leg_key": "other"}])

    assert before["warnings"] == []
    assert (after["accepted"], after["duplicates"]) == (1, 1)
    (warning,) = after["warnings"]
    assert (warning["code"], warning["call_key"]) == ("call.key_reused", "for ever")
    assert gateway.pipeline.metrics.overused == 1


@pytest.mark.slow
async def test_the_largest_call_holds_nobody_up(desk: Desk) -> None:
    """5,000 legs: no callback takes 20 ms of CPU, and one event more is told in some kilobytes."""
    oksana, director = await desk.client(OKSANA), desk.http(DIRECTOR)
    await posted(desk, ringing_legs(range(5)))
    await desk.client(OKSANA, node=1)
    await director.get(CALLS)  # what is made once, is made

    with callback_times() as times:
        for first in range(5, 5_000, 999):
            await posted(desk, ringing_legs(range(first, first + 999)))
        last = await posted(desk, ringing_legs([5_000]))
        welcomed = (await desk.client(OKSANA, node=1)).welcome
        listed = await director.get(CALLS)

    assert times.longest().cpu_ms < HELD_MS, times.report()
    assert len(listed.content) < 64 * 1024
    assert len(welcomed.calls[0].legs) == LEGS
    assert [one["code"] for one in last["warnings"]] == ["call.key_reused"]
    assert len((await oksana.next(CallUpdated)).call.legs) == LEGS


def call_of(extensions: Sequence[str], chance: random.Random) -> CallState:
    """Return a new call with a leg for each telephone; any of them may ring or talk."""
    began = datetime.now(UTC) - timedelta(minutes=1)
    return CallState(
        id=uuid4(),
        version=3,
        source="main",
        direction="inbound",
        status="talking",
        outcome=None,
        number_raw=None,
        number_e164=None,
        caller_name=None,
        queue=None,
        started_at=began,
        legs=tuple(
            LegState(
                leg_key=f"leg {number}",
                extension=extension,
                kind="agent",
                status=chance.choice(["ringing", "talking", "ended", "ended", "ended"]),
                ringing_at=chance.choice([None, began]),
            )
            for number, extension in enumerate(extensions)
        ),
    )


async def test_who_has_two_telephones_is_shown_one_content_of_a_version(
    small_desk: Desk,
) -> None:
    """Wherever their legs are among the many of a call, and whichever of the two ring."""
    await small_desk.sql(
        "INSERT INTO demo_crm.desk_phones SELECT 'main', extension, staff_id"
        " FROM (VALUES ('2001', $1::bigint), ('2002', $2::bigint)) AS new (extension, staff_id)",
        *staff(OKSANA, PETRO),
    )  # fmt: skip
    chance = random.Random(5)
    rung = ["101", "102", "103", *map(str, range(2_001, 2_101))]
    published: list[Announcement] = []
    services = replace(small_desk.nodes[0].node.services, publish=published.extend)
    people = ((OKSANA, {"101", "2001"}), (PETRO, {"102", "2002"}), (IRYNA, {"103"}))
    for _ in range(8):
        chance.shuffle(rung)
        published.clear()

        await calls_changed(services, [CallChange(before=None, after=call_of(rung, chance))])

        for employee_id, own in people:
            topic = topics.user(employee_id)
            events = [
                (one.type, orjson.loads(one.payload)["call"])
                for one in published
                if one.topic == topic and one.type.startswith("call.")
            ]
            assert events
            assert len({kind for kind, _ in events}) == len(events), "each event comes once"
            assert all(call == events[0][1] for _, call in events)
            assert own <= {leg["extension"] for leg in events[0][1]["legs"]}
