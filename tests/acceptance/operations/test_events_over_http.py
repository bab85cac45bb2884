"""POST /v1/events: batches of programs of the CRM, each event for itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from gateway import service_accounts
from gateway.auth import scopes
from gateway.db import connect as connect_database
from gateway.events.queries.outbox import OutboxBacklog
from gateway.protocol import EventPublished
from tests.support.desk import OKSANA, PETRO, SUBJECTS, Desk
from tests.support.text_crm import TEXT_CRM

LONG_S = 10.0
JSON = {"Content-Type": "application/json"}


async def program(
    desk: Desk, name: str = "erp", *, of: tuple[str, ...] = (scopes.EVENTS_PUBLISH,)
) -> httpx2.AsyncClient:
    """Return an HTTP client with the key of a service account."""
    conn = await connect_database(desk.database, application_name="test")
    made = await service_accounts.add(conn, name, scopes=of, rate_per_s=1_000.0, expires_at=None)
    await conn.close()
    assert made is not None
    client = desk.http()
    client.headers["Authorization"] = f"Bearer {made.key}"
    return client


async def post(client: httpx2.AsyncClient, *events: Any) -> dict[str, Any]:
    """Publish, and return the answer."""
    answer = await client.post("/v1/events", json={"events": list(events)})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def said(answer: dict[str, Any]) -> list[tuple[str, str | None, str | None]]:
    """Return of each event what became of it, and why."""
    return [(one["status"], one["code"], one["path"]) for one in answer["results"]]


async def test_a_batch_reaches_sockets_at_once(empty_desk: Desk) -> None:
    """In its order; the relay is rung, on other nodes too, and does not wait for its poll."""
    for _ in range(2):
        await empty_desk.start_node(event_poll_s=LONG_S, sweep_s=LONG_S)
    erp = await program(empty_desk)
    oksana = await empty_desk.client(OKSANA, node=1)
    own_id = SUBJECTS[OKSANA] if TEXT_CRM else OKSANA

    answer = await post(
        erp,
        {"type": "a.first", "users": [OKSANA], "payload": {"n": [1, {"ї": None}]}, "key": "k"},
        {"type": "a.second", "users": [own_id]},
    )

    heard = [(await oksana.next(EventPublished, timeout_s=LONG_S / 2)).event for _ in range(2)]
    assert [one.id for one in heard] == [one["id"] for one in answer["results"]]
    assert [one.type for one in heard] == ["a.first", "a.second"]
    assert (heard[0].source, heard[0].key) == ("erp", "k")
    assert heard[0].payload == {"n": [1, {"ї": None}]}
    assert (answer["accepted"], answer["duplicates"], answer["rejected"]) == (2, 0, 0)


async def test_each_event_has_its_own_answer(small_desk: Desk) -> None:
    """Accepted, duplicate, or rejected with a code, and the field by its name."""
    erp = await program(small_desk)
    await post(erp, {"type": "a.b", "key": "old", "payload": {"n": 1}})

    answer = await post(
        erp,
        {"type": "a.b", "key": "old", "payload": {"n": 1}},
        {"type": "a.b", "key": "old", "payload": {"n": 2}},
        {"type": "A.b"},
        7,
        {"type": "a.b", "more": 1},
        {"type": "a.b", "topics": ["crm:a:1", "user:1"]},
        {"type": "a.b", "payload": {"a": "\u0000"}},
        {"type": "a.b", "payload": {"n": 2**53}},
        {"type": "a.b", "users": [0]},
        {"type": "a.b", "deliver_at": "tomorrow"},
        {"type": "a.b", "deliver_at": "2999-01-01T00:00:00Z"},
        {"type": "a.b", "deliver_at": "0001-01-01T00:00:00+14:00"},
        {"type": "a.b", "deliver_at": "9999-12-31T23:59:59-14:00"},
        {"type": "a.b", "key": "new"},
    )

    invalid = "command.invalid"
    assert said(answer) == [
        ("duplicate", None, None),
        ("rejected", "event.key_reused", None),
        ("rejected", invalid, "type"),
        ("rejected", invalid, None),
        ("rejected", invalid, "more"),
        ("rejected", invalid, "topics[1]"),
        ("rejected", invalid, "payload"),
        ("rejected", invalid, "payload"),
        ("rejected", invalid, "users[0]"),
        *[("rejected", invalid, "deliver_at")] * 4,
        ("accepted", None, None),
    ]
    assert (answer["accepted"], answer["duplicates"], answer["rejected"]) == (1, 1, 12)
    assert [one["index"] for one in answer["results"]] == list(range(14))


DEEP = '{"a":' * 900 + "1" + "}" * 900


@pytest.mark.cases(12)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 422), ("{", 400), ("[]", 422), ('{"events": []}', 422), ('{"events": 7}', 422),
        ('{"events": [' + ",".join(["{}"] * 501) + "]}", 422),
        ('{"events": [{"type": "a.b", "payload": {"a": NaN}}]}', 400),
        ('{"events": [{"type": "a.b", "payload": {"a": "\\ud800"}}]}', 400),
        ('{"events": [{"type": "a.b", "payload": {"a": 1e400}}]}', 400),
        ('{"events": [{"type": "a.b", "payload": {"a": "' + "x" * 2**20 + '"}}]}', 413),
        ('{"events": [{"type": "a.b", "payload": ' + DEEP + "}]}", 202),
        ('{"events": [{"type": "a.b", "payload": {"a": 1e300, "b": 99999999999999999999}}]}', 202),
    ],
)  # fmt: skip
async def test_what_is_no_batch_is_refused_whole(small_desk: Desk, body: str, status: int) -> None:
    """Nothing of it is stored; JSON that only is too deep or has huge numbers is rejected alone."""
    erp = await program(small_desk)

    answer = await erp.post("/v1/events", content=body.encode(), headers=JSON)

    assert answer.status_code == status, answer.text[:200]
    assert len(answer.content) < 1_000
    if status == 202:
        assert said(answer.json()) == [("rejected", "command.invalid", "payload")]
    assert await small_desk.sql("SELECT FROM realtime.events") == []
    assert await small_desk.sql("SELECT FROM realtime.events_outbox") == []


async def test_only_programs_with_the_scope_publish(small_desk: Desk) -> None:
    """No employee's token, and no key for something else."""
    other = await program(small_desk, "other", of=(scopes.MESSAGES_SEND,))
    body = {"events": [{"type": "a.b"}]}

    answers = [
        await client.post("/v1/events", json=body)
        for client in (small_desk.http(), small_desk.http(PETRO), other)
    ]

    assert [one.status_code for one in answers] == [401, 403, 403]


async def test_a_later_event_is_cancelled_by_its_key(small_desk: Desk) -> None:
    """By the account that published it, and by no other; then the key is free."""
    erp, other = await program(small_desk), await program(small_desk, "other")
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    await post(
        erp,
        {"type": "a.b", "key": "later", "deliver_at": later},
        {"type": "a.b", "key": "second", "deliver_at": later},
    )

    async def cancel(client: httpx2.AsyncClient) -> list[str]:
        answer = await client.post("/v1/events/cancel", json={"keys": ["later", "never", "later"]})
        found: list[str] = answer.json()["cancelled"]
        return found

    assert await cancel(other) == []
    assert await cancel(erp) == ["later"]
    assert await cancel(erp) == []
    assert said(await post(erp, {"type": "a.other", "key": "later"})) == [("accepted", None, None)]


async def test_a_backlog_is_answered_with_a_time_to_wait(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with Retry-After, and nothing is stored."""
    erp = await program(small_desk)
    publishing = small_desk.nodes[0].app.state.gateway.publishing
    monkeypatch.setattr(publishing, "_backlog", OutboxBacklog(100_000, 1.0))
    monkeypatch.setattr(publishing, "_counted_at", float("inf"))

    answer = await erp.post("/v1/events", json={"events": [{"type": "a.b"}]})

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "event.backlog")
    assert int(answer.headers["Retry-After"]) >= 1


async def test_the_description_of_the_api_has_the_fields_of_an_event(small_desk: Desk) -> None:
    """Though each is checked alone."""
    document = (await small_desk.http().get("/openapi.json")).json()

    fields = document["components"]["schemas"]["EventNew"]["properties"]
    assert {"type", "users", "topics", "payload", "key", "deliver_at", "notify"} == set(fields)
    assert "EventNew" in json.dumps(document["components"]["schemas"]["EventBatch"])
