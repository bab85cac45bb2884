"""What shows nothing is refused over HTTP as on the socket."""

from __future__ import annotations

import uuid

from tests.support.desk import OKSANA, PETRO, Desk


async def test_texts_that_show_nothing_are_refused_over_http_too(small_desk: Desk) -> None:
    """Sent, edited, as a title, as a status: 422, and the field is named."""
    oksana, http = await small_desk.client(OKSANA), small_desk.http(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    await oksana.send(room, "x")
    messages = f"/v1/messenger/conversations/{room}/messages"
    for blank in (" ", "\u200b", "\u3164", "\u2800", "\n"):
        for method, path, body, field in (
            ("POST", messages, {"client_key": str(uuid.uuid4()), "text": blank}, "text"),
            ("PATCH", f"{messages}/1", {"text": blank}, "text"),
            ("POST", "/v1/messenger/conversations", {"title": blank, "employee_ids": [2]}, "title"),
            ("PUT", "/v1/presence/me", {"text": blank}, "text"),
        ):
            answer = await http.request(method, path, json=body)
            assert answer.status_code == 422, (path, ascii(blank))
            error = answer.json()["error"]
            assert (error["code"], error["path"]) == ("command.invalid", field)
