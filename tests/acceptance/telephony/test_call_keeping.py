"""The operator sets how long call data is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from pydantic import ValidationError

from gateway.protocol import CallEnded, CallOffered
from gateway.settings import Settings
from ingest import IngestSettings
from ingest.upkeep.partitions import PartitionMonth
from tests.docs.pages import OPERATIONS
from tests.fakes import asterisk
from tests.fakes.asterisk import FakeAsterisk, Tape
from tests.support.calls import ringing, signed
from tests.support.desk import OKSANA, Desk, eventually


@pytest.fixture
def database(new_database: str) -> str:
    """Give a new database: without the partitions that others have made."""
    return new_database


def aged(days: float) -> bytes:
    """Return a post of one event that happened this many days ago."""
    at = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    return orjson.dumps([{**ringing(int(days)), "occurred_at": at}])


async def test_months_of_events_are_kept_as_set(empty_desk: Desk) -> None:
    """Older months are dropped, and older events are rejected: their ids are forgotten, too."""
    await empty_desk.sql(
        "CREATE TABLE realtime.call_events_2020_01 PARTITION OF realtime.call_events"
        " FOR VALUES FROM ('2020-01-01Z') TO ('2020-02-01Z')"
    )
    node = await empty_desk.start_node(call_event_months=2)
    http = empty_desk.http()

    async def post(days: float) -> dict[str, object]:
        body = aged(days)
        answered = await http.post(
            "/v1/telephony/events", params={"source": "main"}, content=body, headers=signed(body)
        )
        return dict(answered.json())

    young, old = await post(50), await post(70)

    assert young["accepted"] == 1
    assert [one["code"] for one in old["rejected"]] == ["event.bad_time"]  # type: ignore[attr-defined]
    assert node.app.state.gateway.pipeline.settings.keep_months == 2
    (found,) = await empty_desk.sql("SELECT to_regclass('realtime.call_events_2020_01') AS t")
    assert found["t"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"call_event_months": 0},
        {"call_event_months": 1_201},
        {"pbx_payload_days": -1},
        {"pbx_payload_days": 367},
        {"lost_call_hours": 0},
    ],
    ids=str,
)
def test_a_setting_out_of_bounds_is_refused_by_name(wrong: dict[str, int]) -> None:
    """The error names the setting, at the start and not at night."""
    with pytest.raises(ValidationError) as refused:
        Settings(**wrong)  # type: ignore[arg-type]

    assert [error["loc"] for error in refused.value.errors()] == [tuple(wrong)]


def test_the_default_is_thirteen_months() -> None:
    """The gateway's default equals that of ingest and of the documentation."""
    assert Settings().call_event_months == IngestSettings().keep_months == 13
    assert "| `GATEWAY_CALL_EVENT_MONTHS` | `13` |" in OPERATIONS


@pytest.mark.parametrize("months", range(1, 14))
def test_an_event_whose_id_may_be_forgotten_is_rejected(months: int) -> None:
    """Sent again after its id is forgotten, it would make a second call."""
    accepts = IngestSettings(keep_months=months).max_event_age
    begins = [PartitionMonth(year, month) for year in (2024, 2025, 2026) for month in range(1, 13)]
    shortest = min(month.begin - month.plus(-months).begin for month in begins)

    assert accepts + timedelta(days=1) <= shortest


async def test_pbx_messages_are_kept_when_that_is_set(empty_desk: Desk) -> None:
    """Posted and live ones, as they were sent; readers of the call do not see them."""
    tape = Tape("l01")
    async with FakeAsterisk() as pbx:
        await empty_desk.start_node(
            pbx_payload_days=1, pbxs={"office": asterisk.settings(pbx.port)}
        )
        body = aged(0)
        http = empty_desk.http(OKSANA)
        await http.post("/v1/telephony/events", content=body, headers=signed(body))
        line = await pbx.next_connection()
        await line.play(tape.until("AgentCalled"))

        async def kept() -> bool:
            found = await empty_desk.sql("SELECT source FROM realtime.call_event_payloads")
            return {row["source"] for row in found} == {"main", "office"}

        await eventually(kept)
        (mine,) = await empty_desk.sql(
            "SELECT payload, call_id FROM realtime.call_event_payloads"
            " JOIN realtime.call_events AS e USING (source, event_id) WHERE source = 'main'"
        )
        shown = await http.get(f"/v1/telephony/calls/{mine['call_id']}")

    assert [orjson.loads(mine["payload"])] == orjson.loads(body)
    assert shown.status_code == 200
    assert "payload" not in shown.text
    assert "native" not in shown.text


async def test_a_lost_call_is_published_as_ended(empty_desk: Desk) -> None:
    """An agent who saw it for hours receives its end, and it is not live any more."""
    node = await empty_desk.start_node(lost_call_hours=1)
    oksana, http = await empty_desk.client(OKSANA), empty_desk.http(OKSANA)
    body = aged(0.1)
    await http.post("/v1/telephony/events", content=body, headers=signed(body))
    call = (await oksana.next(CallOffered)).call
    await empty_desk.sql("UPDATE realtime.call_events SET received_at = now() - interval '2 h'")
    await empty_desk.sql("UPDATE realtime.call_sessions SET updated_at = now() - interval '2 h'")

    await node.app.state.gateway.pipeline.end_lost_calls()

    assert (await oksana.next(CallEnded)).call.id == call.id
    assert (await http.get("/v1/telephony/calls?status=live")).json()["calls"] == []
