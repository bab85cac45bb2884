"""Statistics of calls over HTTP: permission, one count for many requests, and the right hour."""

from __future__ import annotations

import asyncio
import codecs
import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.telephony.stats import stats
from ingest import parse_events, shift
from tests.support.calls import ANSWERED, NO_ANSWER_THEN_NEXT, play, recorded
from tests.support.desk import OKSANA, PETRO, Desk

PATH = "/v1/telephony/stats"
KINDS = ("overview", "agents", "queues")


async def director(desk: Desk) -> int:
    """Return an employee who may read statistics."""
    rows = await desk.sql(
        "SELECT min(employee_id) AS id FROM crm.permissions WHERE permission = 'stats.view'"
    )
    found: int = rows[0]["id"]
    return found


async def request(desk: Desk, kind: str, *, node: int = 0, **params: Any) -> dict[str, Any]:
    """Request the 24 hours up to an hour from now."""
    now = datetime.now(UTC)
    times = {
        "since": (now - timedelta(days=1)).isoformat(),
        "until": (now + timedelta(hours=1)).isoformat(),
    }
    http = desk.http(await director(desk), node=node)
    answer = await http.get(f"{PATH}/{kind}", params={**times, **params})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_recorded_calls_are_counted(desk: Desk) -> None:
    """Two calls through a queue, answered by two agents, one after a colleague did not answer."""
    for path in (ANSWERED, NO_ANSWER_THEN_NEXT):
        await play(desk, await recorded(path))

    overview = await request(desk, "overview", tz="Europe/Kyiv")
    queues = (await request(desk, "queues"))["queues"]
    agents = {row["employee_id"]: row for row in (await request(desk, "agents"))["agents"]}

    assert (overview["calls"], overview["inbound"], overview["inbound_answered"]) == (2, 2, 2)
    assert overview["service"]["answer_rate"] == 1.0
    assert overview["service"]["service_level"]["method"] == "sl6"
    assert sum(cell["calls"] for cell in overview["hours"]) == 2
    assert sum(cell["hours"] for cell in overview["hours"]) == pytest.approx(25)
    assert [(row["queue"], row["service"]["answered"]) for row in queues] == [("sales", 2)]
    assert queues[0]["handling"]["handled"] == 2
    assert (agents[OKSANA]["answered"], agents[OKSANA]["no_answer"]) == (1, 1)
    assert (agents[PETRO]["answered"], agents[PETRO]["answer_rate"]) == (1, 1.0)
    assert 0 < agents[PETRO]["occupancy"] <= 1


async def test_statistics_need_the_permission(small_desk: Desk) -> None:
    """Without stats.view, or without a token, nothing is counted."""
    for kind in KINDS:
        assert (await small_desk.http(OKSANA).get(f"{PATH}/{kind}")).status_code == 403
        assert (await small_desk.http().get(f"{PATH}/{kind}")).status_code == 401


async def test_an_invalid_request_is_refused(small_desk: Desk) -> None:
    """The refusal names the field."""
    http = small_desk.http(await director(small_desk))
    refused: list[tuple[dict[str, str], str]] = [
        ({"tz": "Europe/Kiew"}, "tz"),
        ({"tz": "../../etc/passwd"}, "tz"),
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "until"),
        ({"since": "2024-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "until"),
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"direction": "sideways"}, "direction"),
        ({"queue": "a\0b"}, "queue"),
        ({"agent_id": "0"}, "agent_id"),
        ({"threshold_s": "nan"}, "threshold_s"),
        ({"sl_method": "sl7"}, "sl_method"),
        ({"format": "xml"}, "format"),
    ]
    for params, path in refused:
        answer = await http.get(f"{PATH}/overview", params=params)

        assert answer.status_code == 422, params
        assert answer.json()["error"]["code"] == "command.invalid"
        assert answer.json()["error"]["path"].endswith(path)


async def test_many_requests_at_once_are_answered_by_one_count(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty on two nodes wait for the same count; a later one gets it from Redis."""
    counted = 0
    compute = stats.compute

    async def counting(*args: Any) -> Any:
        nonlocal counted
        counted += 1
        return await compute(*args)

    monkeypatch.setattr(stats, "compute", counting)
    day: dict[str, Any] = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}

    answers = await asyncio.gather(
        *(request(desk, "overview", node=number % 2, **day) for number in range(20))
    )
    await request(desk, "overview", **day)

    assert counted == 1
    assert all(answer == answers[0] for answer in answers)


async def test_a_late_event_invalidates_cached_answers_about_its_day_only(desk: Desk) -> None:
    """A call of last week that arrives today is in the next answer about last week."""
    events = await recorded(ANSWERED)
    last_week = datetime.now(UTC) - timedelta(days=7)
    events = shift(events, timedelta(days=-7))
    its: dict[str, Any] = {"since": (last_week - timedelta(days=1)).isoformat(),
                           "until": (last_week + timedelta(days=1)).isoformat()}  # fmt: skip
    other: dict[str, Any] = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
    assert (await request(desk, "overview", **its))["calls"] == 0
    assert (await request(desk, "overview", **other))["calls"] == 0

    await play(desk, events, node=1)
    await desk.sql(
        "INSERT INTO realtime.call_sessions"
        " (id, source, version, direction, status, started_at, first_event_at, last_event_at)"
        " VALUES (gen_random_uuid(), 'main', 1, 'inbound', 'ended', '2026-01-01 12:00Z',"
        " '2026-01-01 12:00Z', '2026-01-01 12:00Z')"
    )

    assert (await request(desk, "overview", **its))["calls"] == 1
    assert (await request(desk, "overview", **other))["calls"] == 0, (
        "cached, as no late change was announced"
    )


async def test_a_late_wrap_up_invalidates_cached_answers_about_its_day(desk: Desk) -> None:
    """It does not change what agents do now, but it changes what was counted."""
    began = (datetime.now(UTC) - timedelta(days=7)).replace(microsecond=0)
    its: dict[str, Any] = {"since": (began - timedelta(hours=1)).isoformat(),
                           "until": (began + timedelta(hours=1)).isoformat()}  # fmt: skip
    pipeline = desk.nodes[1].app.state.gateway.pipeline

    def pause_event(kind: str, at: datetime) -> dict[str, Any]:
        return {"type": kind, "occurred_at": at.isoformat(), "extension": "101",
                "attrs": {"reason": "wrapup"}}  # fmt: skip

    now = [pause_event("agent.paused", datetime.now(UTC))]
    await pipeline.submit(parse_events(now, source="main").events)
    assert (await request(desk, "overview", **its))["handling"]["wrap_ms"] == 0

    late = [
        pause_event("agent.paused", began),
        pause_event("agent.unpaused", began + timedelta(seconds=30)),
    ]
    await pipeline.submit(parse_events(late, source="main").events)

    assert (await request(desk, "overview", **its))["handling"]["wrap_ms"] == 30_000


async def test_pauses_are_counted_as_the_live_state_shows_them(desk: Desk) -> None:
    """A reason that changes without an end, a logoff during a pause, a pause of the day before."""
    noon = (datetime.now(UTC) - timedelta(days=3)).replace(hour=12, minute=0, second=0,
                                                           microsecond=0)  # fmt: skip

    def told(kind: str, second: int, extension: str, **more: Any) -> dict[str, Any]:
        at = (noon + timedelta(seconds=second)).isoformat()
        return {"type": kind, "occurred_at": at, "extension": extension, **more}

    def call(extension: str) -> list[dict[str, Any]]:
        """Make two short calls, so that the agent's day is the hour from noon."""
        return [
            {**told(kind, second + more, extension), "call_key": f"{extension}-{second}",
             "leg_key": f"{extension}-{second}-a"}
            for second in (0, 3_590)
            for more, kind in enumerate(("leg.ringing", "leg.answered", "leg.ended"))
        ]  # fmt: skip

    wrap, lunch = {"attrs": {"reason": "wrapup"}}, {"attrs": {"reason": "lunch"}}
    events = [
        *call("101"), *call("102"),
        told("agent.paused", 600, "101", **wrap),
        told("agent.paused", 630, "101", **lunch),
        told("agent.unpaused", 2_430, "101"),
        told("agent.paused", -86_400, "102", **lunch),
        told("agent.logoff", 300, "102"),
    ]  # fmt: skip
    await play(desk, parse_events(events, source="main").events)

    its: dict[str, Any] = {"since": noon.isoformat(),
                           "until": (noon + timedelta(hours=1)).isoformat()}  # fmt: skip
    overview = await request(desk, "overview", **its)
    agents = (await request(desk, "agents", **its))["agents"]

    assert overview["handling"]["wrap_ms"] == 30_000
    # The pause of the day before lasts until the logoff, without a second of conversation.
    assert {(row["handling"]["wrap_ms"], row["pause_ms"]) for row in agents} == {
        (30_000, 1_800_000), (0, 299_000),
    }  # fmt: skip


@pytest.mark.parametrize(("answers", "counted"), [(True, (1, 1, 0, 0)), (False, (1, 0, 1, 0))])
async def test_two_devices_of_a_telephone_are_one_agent(
    desk: Desk, answers: bool, counted: tuple[int, ...]
) -> None:
    """Both ring: offered once, and answered once or missed once; nobody else answered."""
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)

    def told(kind: str, second: int, leg: str | None, **more: Any) -> dict[str, Any]:
        at = (began + timedelta(seconds=second)).isoformat()
        return {"type": kind, "occurred_at": at, "call_key": "k", "leg_key": leg, **more}

    inbound = {"attrs": {"number": "+380671234567", "direction": "inbound"}}
    events = [told("call.started", 0, "c", **inbound)]
    for leg in "ab":
        events += [told("offer.started", 1, leg, extension="7501", peer_leg_key="c"),
                   told("leg.ringing", 1, leg, extension="7501")]  # fmt: skip
    if answers:
        events += [told("leg.answered", 8, "a"), told("leg.ended", 8, "b", attrs={"cause": 26})]
        events += [told("bridge.joined", 8, leg, attrs={"bridge": "k"}) for leg in "ac"]
    else:
        events += [told("leg.ended", 30, leg, attrs={"cause": 19}) for leg in "ab"]
    await play(desk, parse_events([*events, told("call.ended", 60, None)], source="main").events)

    (agent,) = (await request(desk, "agents"))["agents"]

    names = ("offered", "answered", "no_answer", "answered_elsewhere")
    assert tuple(agent[name] for name in names) == counted


async def test_hours_without_a_connection_to_a_pbx_are_marked(desk: Desk) -> None:
    """Figures that may be too low are marked as incomplete."""
    await desk.sql(
        "INSERT INTO realtime.ingest_gaps VALUES"
        " ('main', '2026-01-05 10:50Z', '2026-01-05 11:10Z', 'connection lost')"
    )

    overview = await request(
        desk, "overview", since="2026-01-05T00:00:00Z", until="2026-01-06T00:00:00Z"
    )

    assert overview["incomplete_hours"] == ["2026-01-05T10:00:00Z", "2026-01-05T11:00:00Z"]
    marked = [cell["hour"] for cell in overview["hours"] if cell["incomplete"]]
    assert marked == [10, 11]
    assert overview["hours"][0]["weekday"] == 1


async def test_a_spreadsheet_gets_a_line_for_each_and_runs_nothing(desk: Desk) -> None:
    """CSV has the figures of the JSON; a queue named like a formula is text."""
    await play(desk, await recorded(ANSWERED))
    await desk.sql("UPDATE realtime.queue_stints SET queue = '=1+1,\"x\"'")
    now = datetime.now(UTC)
    params = {"since": (now - timedelta(days=1)).isoformat(), "format": "csv",
             "until": (now + timedelta(hours=1)).isoformat()}  # fmt: skip
    http = desk.http(await director(desk))

    for kind in KINDS:
        answer = await http.get(f"{PATH}/{kind}", params=params)
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.content.startswith(codecs.BOM_UTF8)
        (row, *_) = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))
        if kind == "queues":
            assert row["queue"] == '\'=1+1,"x"'
            assert row["service.answered"] == "1"
            assert row["service.abandonment_rate"] == "0.0"
    hours = await http.get(f"{PATH}/overview", params={**params, "lines": "hours"})
    assert 'filename="hours.csv"' in hours.headers["content-disposition"]
    cells = list(csv.DictReader(io.StringIO(hours.content.decode("utf-8-sig"))))
    assert {"weekday", "hour", "calls", "per_hour"} <= cells[0].keys()
    assert sum(int(cell["calls"]) for cell in cells) == 1


@pytest.mark.parametrize("tz", ["localtime", "Factory", "posixrules", "Mars/Olympus", "right/UTC"])
async def test_only_zones_that_all_machines_know_are_accepted(small_desk: Desk, tz: str) -> None:
    """A name that only this machine has is refused."""
    http = small_desk.http(await director(small_desk))

    answer = await http.get(f"{PATH}/overview", params={"tz": tz})

    assert answer.status_code == 422
    assert answer.json()["error"]["path"] == "tz"


async def test_a_count_that_takes_too_long_answers_what_to_do(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a read, so there is no doubt whether something was stored."""
    monkeypatch.setattr(stats, "STATEMENT_S", 0.0)

    answer = await small_desk.http(await director(small_desk)).get(f"{PATH}/agents")

    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == stats.TOO_LONG
