"""What moderators do is written down with it, and read by those who may."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.protocol import (
    ConversationClose,
    ConversationCreate,
    ConversationRemove,
    ConversationReopen,
    ConversationSetRole,
    ConversationUpdate,
)
from gateway.protocol.frame import MAX_INT
from tests.support.desk import DIRECTOR, IRYNA, OKSANA, PETRO, Desk, refused


async def read(desk: Desk, **asked: Any) -> dict[str, Any]:
    """Read a page as the director."""
    found = await desk.http(DIRECTOR).get("/v1/audit", params=asked)
    assert found.status_code == 200, found.text
    page: dict[str, Any] = found.json()
    return page


async def test_each_act_of_moderation_is_written_down_once(desk: Desk) -> None:
    """Who did what, where and to whom; what changed nothing, or was one's own, is not."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    made = await oksana.request(ConversationCreate(title="old", employee_ids=[PETRO, IRYNA]))
    room = made.conversation.id
    theirs, own = await petro.send(room, "theirs"), await oksana.send(room, "own")

    for _ in range(2):
        await oksana.delete(room, theirs.seq)
        await oksana.delete(room, own.seq)
        await oksana.request(ConversationUpdate(conversation_id=room, title="new"))
        await oksana.request(
            ConversationSetRole(conversation_id=room, employee_id=PETRO, role="admin")
        )
        await oksana.request(ConversationRemove(conversation_id=room, employee_id=IRYNA))
    for command in (ConversationClose, ConversationReopen):
        await oksana.request(command(conversation_id=room))
        await oksana.request(command(conversation_id=room))

    records = (await read(desk, conversation_id=room))["records"]
    assert [(one["act"], one["seq"], one["details"]) for one in reversed(records)] == [
        ("message.delete", theirs.seq, {"sender_id": PETRO}),
        ("conversation.update", None, {"title": ["old", "new"]}),
        (
            "conversation.set_role",
            None,
            {"employee_id": PETRO, "role": "admin", "before": "member"},
        ),
        ("conversation.remove", None, {"employee_id": IRYNA}),
        ("conversation.close", None, {}),
        ("conversation.reopen", None, {}),
    ]
    assert {one["actor_id"] for one in records} == {OKSANA}
    assert {one["conversation_id"] for one in records} == {room}


async def test_what_is_refused_or_undone_is_not_written_down(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is in the act's own transaction: where that fails, neither is there."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    made = await oksana.request(ConversationCreate(title="old", employee_ids=[PETRO]))
    room = made.conversation.id
    await oksana.send(room, "a")

    assert await refused(petro.delete(room, 1)) == "permission.denied"
    command = ConversationRemove(conversation_id=room, employee_id=OKSANA)
    assert await refused(petro.request(command)) == "permission.denied"
    monkeypatch.setattr("gateway.chat.queries.audit.record", _fail)
    command = ConversationRemove(conversation_id=room, employee_id=PETRO)
    assert await refused(oksana.request(command)) == "internal"

    assert (await read(desk))["records"] == []
    assert (await petro.history(room)).messages[-1].text == "a"


async def _fail(*_arguments: Any, **_options: Any) -> None:
    raise RuntimeError("the audit is away")


async def test_the_audit_is_read_in_pages_and_by_what_one_looks_for(small_desk: Desk) -> None:
    """Newest first, each row once, by act, actor, conversation and time."""
    await small_desk.sql(
        """
        INSERT INTO realtime.audit (at, act, actor_id, conversation_id)
        SELECT '2026-01-01 12:00Z'::timestamptz + n * interval '1 hour',
               CASE n % 2 WHEN 0 THEN 'message.delete' ELSE 'retention.delete' END,
               CASE n % 2 WHEN 0 THEN n % 3 + 1 END, CASE n % 2 WHEN 0 THEN n % 5 + 1 END
          FROM generate_series(0, 29) AS n
        """
    )
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)

    seen: list[int] = []
    before: dict[str, int] = {}
    while True:
        page = await read(small_desk, limit=7, **before)
        seen += [one["id"] for one in page["records"]]
        if page["next"] is None:
            break
        before = {"before": page["next"]}

    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 30
    for asked, count in (
        ({"act": "message.delete"}, 15),
        ({"actor_id": 2}, 5),
        ({"conversation_id": 3, "act": "message.delete"}, 3),
        ({"since": (noon + timedelta(hours=28)).isoformat()}, 2),
        ({"until": (noon + timedelta(hours=2)).isoformat()}, 2),
        ({"act": "nothing.such"}, 0),
        ({"before": 1}, 0),
    ):
        page = await read(small_desk, **asked)
        assert len(page["records"]) == count, asked
        assert page["next"] is None


async def test_the_audit_is_not_for_everyone(small_desk: Desk) -> None:
    """Not without the permission, not without a token, and not by nonsense."""
    for employee_id, status, code in (
        (OKSANA, 403, "permission.denied"),
        (None, 401, "token.missing"),
    ):
        found = await small_desk.http(employee_id).get("/v1/audit")
        assert (found.status_code, found.json()["error"]["code"]) == (status, code)
    director = small_desk.http(DIRECTOR)
    for name, value in (
        ("act", "no verb"),
        ("act", "a" * 200 + ".b"),
        ("act", "a.b\x00"),
        ("actor_id", "0"),
        ("actor_id", str(MAX_INT + 1)),
        ("conversation_id", "x"),
        ("since", "yesterday"),
        ("until", "2026-01-01T12:00:00"),
        ("since", "0001-01-01T00:00:00+14:00"),
        ("until", "9999-12-31T23:59:59-14:00"),
        ("before", "0"),
        ("limit", "101"),
    ):
        found = await director.get("/v1/audit", params={name: value})
        assert (found.status_code, found.json()["error"]["code"]) == (422, "command.invalid"), name
        assert found.json()["error"]["path"] == f"query.{name}"
