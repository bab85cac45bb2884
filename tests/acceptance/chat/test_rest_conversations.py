"""Groups, what is mine, and receipts over HTTP: the same commands, heard on sockets."""

from __future__ import annotations

from gateway.protocol import ConversationMineChanged, ConversationUpdated, ParticipantChanged
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk


async def test_a_group_is_run_over_http_and_heard_on_sockets(desk: Desk) -> None:
    """Each route does what its command does, on whichever node."""
    http, petro = desk.http(OKSANA), await desk.client(PETRO, node=1)
    made = await http.post(
        "/v1/messenger/conversations", json={"title": "Обід", "employee_ids": [PETRO]}
    )
    group = f"/v1/messenger/conversations/{made.json()['conversation']['id']}"

    added = await http.post(f"{group}/participants", json={"employee_ids": [IRYNA]})
    assert added.json()["conversation"]["participant_count"] == 3
    assert (await petro.next(ParticipantChanged)).participant.employee.id == IRYNA
    role = await http.put(f"{group}/participants/{IRYNA}/role", json={"role": "admin"})
    assert role.status_code == 200
    renamed = await http.patch(group, json={"title": "Вечеря"})
    assert renamed.json()["conversation"]["title"] == "Вечеря"
    assert (await petro.next(ConversationUpdated)).title == "Вечеря"
    assert (await http.post(f"{group}/close")).json()["conversation"]["closed_at"] is not None
    message = {"client_key": "6f1c2a3e-0000-4000-8000-000000000001", "text": "late"}
    late = await http.post(f"{group}/messages", json=message)
    assert (late.status_code, late.json()["error"]["code"]) == (409, "conversation.closed")
    assert (await http.post(f"{group}/reopen")).status_code == 200
    assert (await http.delete(f"{group}/participants/{IRYNA}")).status_code == 200
    assert (await http.post(f"{group}/leave")).status_code == 204
    gone = await http.post(f"{group}/leave")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "conversation.not_found")


async def test_mine_and_receipts_over_http(desk: Desk) -> None:
    """Archive, pin, mute, notify, unread and readers; my sockets hear of it."""
    oksana, http = await desk.client(OKSANA), desk.http(PETRO, node=1)
    petro = await desk.client(PETRO)
    direct_id = (await oksana.open(PETRO)).conversation.id
    direct = f"/v1/messenger/conversations/{direct_id}"
    await oksana.send(direct_id, "one")

    for method, path, body, field, value in (
        ("PUT", "archive", None, "archived", True),
        ("DELETE", "archive", None, "archived", False),
        ("PUT", "mute", {"until": "2999-01-01T00:00:00Z"}, "muted_until", "2999-01-01T00:00:00Z"),
        ("DELETE", "mute", None, "muted_until", None),
        ("PUT", "notify", {"level": "none"}, "notify", "none"),
    ):
        done = await http.request(method, f"{direct}/{path}", json=body)
        assert done.json()["mine"][field] == value
        assert (await petro.next(ConversationMineChanged)).mine.version == (
            done.json()["mine"]["version"]
        )
    assert (await http.put(f"{direct}/pin")).json()["mine"]["pinned_at"] is not None
    assert (await http.delete(f"{direct}/pin")).json()["mine"]["pinned_at"] is None
    assert (await http.post(f"{direct}/delivered", json={"seq": 1})).json() == {
        "conversation_id": direct_id,
        "last_delivered_seq": 1,
    }
    assert (await http.post(f"{direct}/read", json={"seq": 1})).json()["last_read_seq"] == 1
    assert (await http.post(f"{direct}/unread", json={"seq": 1})).json()["last_read_seq"] == 0
    assert (await http.get("/v1/messenger/unread-count")).json()["total"]["messages"] == 1
    assert (await http.post("/v1/messenger/read-all")).json() == {"conversations": 1, "more": False}
    readers = await http.get(f"{direct}/messages/1/readers")
    assert readers.json()["read_by"] == [PETRO]
    archived = await http.get("/v1/messenger/conversations", params={"archived": "true"})
    assert archived.json()["conversations"] == []


async def test_bad_bodies_are_refused_over_http(small_desk: Desk) -> None:
    """With the same codes as on the socket, and without an effect."""
    http, stranger = small_desk.http(OKSANA), small_desk.http(IRYNA)
    opened = await http.post("/v1/messenger/conversations", json={"employee_id": PETRO})
    direct = f"/v1/messenger/conversations/{opened.json()['conversation']['id']}"

    for method, path, body in (
        ("PATCH", "", {"title": 5}),
        ("POST", "/participants", {"employee_ids": []}),
        ("PUT", f"/participants/{PETRO}/role", {"role": "king"}),
        ("PUT", "/mute", {"until": "soon"}),
        ("PUT", "/mute", {"until": "0001-01-01T00:00:00+14:00"}),
        ("PUT", "/mute", {"until": "9999-12-31T23:59:59-14:00"}),
        ("PUT", "/mute", {}),
        ("PUT", "/notify", {"level": 1}),
        ("POST", "/unread", {"seq": 0}),
        ("POST", "/read", {"seq": 1, "explicit": "yes"}),
    ):
        said = await http.request(method, f"{direct}{path}", json=body)
        assert (said.status_code, said.json()["error"]["code"]) == (422, "command.invalid"), path
    for method, path in (("PUT", "archive"), ("PUT", "pin"), ("POST", "leave"), ("POST", "close")):
        said = await stranger.request(method, f"{direct}/{path}")
        assert said.json()["error"]["code"] == "conversation.not_found"
    refused = await http.post(f"{direct}/leave")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conversation.direct")
