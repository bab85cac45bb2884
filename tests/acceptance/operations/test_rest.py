"""The same use cases over HTTP, and what HTTP does with nonsense."""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from typing import Any

import httpx2
import orjson
import pytest

from gateway.errors import catalogue
from gateway.protocol import (
    CallbackList,
    CallList,
    ConversationCreated,
    ConversationList,
    DraftList,
    EmployeeSearch,
    MessageCreated,
    MessageSearch,
)
from tests.support.calls import ringing, signed
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, eventually, refused

KEY = "6f1c6f1c-6f1c-4f1c-8f1c-6f1c6f1c6f1c"
CONVERSATIONS = "/v1/messenger/conversations"


async def test_rest_and_socket_are_one_messenger(desk: Desk) -> None:
    """What is sent by HTTP on one node is heard on a socket of the other, and read back."""
    petro = await desk.client(PETRO, node=1)
    oksana = desk.http(OKSANA)

    opened = await oksana.post(CONVERSATIONS, json={"employee_id": PETRO})
    again = await oksana.post(CONVERSATIONS, json={"employee_id": PETRO})
    conversation_id = opened.json()["conversation"]["id"]
    await petro.next(ConversationCreated)
    messages = f"{CONVERSATIONS}/{conversation_id}/messages"
    sent = await oksana.post(messages, json={"client_key": KEY, "text": "Привіт"})
    retried = await oksana.post(messages, json={"client_key": KEY, "text": "Привіт"})

    assert (opened.status_code, again.status_code) == (201, 200)
    assert sent.json() == retried.json()
    assert (await petro.next(MessageCreated)).message.text == "Привіт"
    his = desk.http(PETRO, node=1)
    assert (await his.get("/v1/messenger/unread-count")).json()["total"]["messages"] == 1
    assert (await his.post(f"{CONVERSATIONS}/{conversation_id}/read", json={"seq": 1})).json() == {
        "conversation_id": conversation_id, "last_read_seq": 1,
    }  # fmt: skip
    assert (await his.get("/v1/messenger/unread-count")).json()["total"]["messages"] == 0
    assert [m["text"] for m in (await his.get(messages)).json()["messages"]] == ["Привіт"]
    listed = (await his.get(CONVERSATIONS)).json()["conversations"]
    assert [item["id"] for item in listed] == [conversation_id]


async def test_every_list_is_bounded_and_paged(small_desk: Desk) -> None:
    """More than the maximum is refused; cursors go through everything once."""
    oksana = small_desk.http(OKSANA)
    for path, most in (
        (CONVERSATIONS, 50), ("/v1/telephony/calls", 100),
        ("/v1/messenger/search/employees", 100),
    ):  # fmt: skip
        assert (await oksana.get(path, params={"limit": most})).status_code == 200
        for limit in (most + 1, 0, -1, "many", 10**30):
            answer = await oksana.get(path, params={"limit": limit})
            assert answer.status_code == 422
            assert answer.json()["error"]["code"] == "command.invalid"

    seen: list[int] = []
    cursor = None
    while True:
        params = {"limit": 7} | ({"cursor": cursor} if cursor else {})
        page = (await oksana.get("/v1/messenger/search/employees", params=params)).json()
        seen += [employee["id"] for employee in page["employees"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == list(range(1, 20))  # the twentieth is no longer active


async def test_a_made_up_cursor_is_refused_by_every_list(small_desk: Desk) -> None:
    """Also one that reads well, and whose moment is outside of the calendar."""
    await small_desk.sql(
        "UPDATE demo_crm.roles SET permissions ="
        " permissions || '{callbacks.handle,calls.review}'::text[]"
    )
    oksana, http = await small_desk.client(OKSANA), small_desk.http(OKSANA)
    moments = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
    numbers = [1], [str(uuid.uuid4())], [1, 1], ["a", 1]
    made_up = [
        base64.urlsafe_b64encode(orjson.dumps([at, *rest])).decode()
        for at in moments
        for rest in numbers
    ]

    for path in (
        CONVERSATIONS, "/v1/messenger/drafts", "/v1/messenger/search/messages?q=word",
        "/v1/messenger/search/employees", "/v1/telephony/calls", "/v1/telephony/callbacks",
        "/v1/telephony/missed-calls", "/v1/telephony/dispositions",
        "/v1/telephony/quality/scorecards", "/v1/telephony/quality/reviews",
    ):  # fmt: skip
        url = httpx2.URL(path)
        for cursor in made_up:
            answer = await http.get(url.copy_set_param("cursor", cursor))
            assert answer.status_code == 422, (path, cursor, answer.text)
            assert answer.json()["error"]["path"].endswith("cursor"), path
    for cursor in made_up:
        for command in (
            ConversationList(cursor=cursor), DraftList(cursor=cursor),
            MessageSearch(text="word", cursor=cursor), EmployeeSearch(cursor=cursor),
            CallList(cursor=cursor), CallbackList(cursor=cursor),
        ):  # fmt: skip
            assert await refused(oksana.request(command)) == "command.invalid", command


async def test_the_directory_finds_by_any_part(small_desk: Desk) -> None:
    """Name, position and department, in any case; % and _ are letters like others."""
    oksana = small_desk.http(OKSANA)

    async def found(text: str) -> int:
        answer = await oksana.get("/v1/messenger/search/employees", params={"q": text})
        return len(answer.json()["employees"])

    assert await found("kovalENKO") == 1
    assert await found("sales") >= 4
    assert await found("%") == 0
    assert await found("_") == 0


BAD_BODIES: dict[str, tuple[bytes, int, str]] = {
    "NaN": (b'{"employee_id":NaN}', 400, "frame.malformed"),
    "a lone surrogate": (b'{"title":"\\ud800","employee_ids":[2]}', 400, "frame.malformed"),
    "100,000 brackets": (b"[" * 60_000, 400, "frame.malformed"),
    "UTF-16": ('{"employee_id":2}'.encode("utf-16"), 400, "frame.malformed"),
    "bad UTF-8": (b'{"title":"\xff","employee_ids":[2]}', 400, "frame.malformed"),
    "half a body": (b'{"employee_id":', 400, "frame.malformed"),
    "an array": (b"[]", 422, "command.invalid"),
    "NUL": (b'{"title":"a\\u0000b","employee_ids":[2]}', 422, "command.invalid"),
    "an id of 2^63": (b'{"employee_id":9223372036854775808}', 422, "command.invalid"),
    "5,000 digits": (b'{"employee_id":' + b"9" * 5_000 + b"}", 400, "frame.malformed"),
    "true for an id": (b'{"employee_id":true}', 422, "command.invalid"),
    "text for an id": (b'{"employee_id":"2"}', 422, "command.invalid"),
    "an unknown field": (b'{"employee_id":2,"role":"admin"}', 422, "command.invalid"),
    "nothing": (b"", 422, "command.invalid"),
    "both": (b'{"employee_id":2,"title":"x","employee_ids":[2]}', 422, "command.invalid"),
    "somebody who is not there": (b'{"employee_id":987654}', 404, "employee.not_found"),
    "somebody who has left": (b'{"employee_id":20}', 404, "employee.not_found"),
}


async def test_bad_bodies_have_their_codes(small_desk: Desk) -> None:
    """Each kind of nonsense is a 4xx with its code; nothing is echoed, nothing is stored."""
    oksana = small_desk.http(OKSANA)
    for name, (body, status, code) in BAD_BODIES.items():
        answer = await oksana.post(
            CONVERSATIONS, content=body, headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), name
        assert len(answer.content) < 500, name

    assert await small_desk.sql("SELECT FROM realtime.conversations") == []


async def test_large_bodies_are_not_read(small_desk: Desk) -> None:
    """64 MB, with and without saying so beforehand: 413, and the server stays small."""
    oksana = small_desk.http(OKSANA)

    async def pieces() -> Any:
        for _ in range(64):
            yield b" " * 1_000_000

    for content in (b" " * 70_000, pieces()):
        try:
            answer = await oksana.post(
                CONVERSATIONS, content=content, headers={"Content-Type": "application/json"}
            )
        except httpx2.TransportError:
            continue  # cut while we were still sending: also an answer
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "limit.too_large"
    assert (await oksana.get("/v1/messenger/unread-count")).status_code == 200


async def test_nothing_is_served_without_a_token(small_desk: Desk) -> None:
    """Every route of the API but the webhook wants one; health and the page do not."""
    nobody = small_desk.http()
    api = (await nobody.get("/openapi.json")).json()
    checked = 0
    for path, methods in api["paths"].items():
        for method in methods:
            answer = await nobody.request(method, path.replace("{conversation_id}", "1"), json={})
            if path in {"/healthz", "/readyz"}:
                assert answer.status_code == 200, path
            else:
                assert answer.status_code == 401, path
                checked += 1
    assert checked >= 8
    for token in ("x", small_desk.token(OKSANA)[:-3] + "abc"):
        answer = await nobody.get(CONVERSATIONS, headers={"Authorization": f"Bearer {token}"})
        assert answer.json()["error"]["code"] == "token.invalid"


async def test_the_socket_is_described_where_rest_is(small_desk: Desk) -> None:
    """/asyncapi.json needs no token, as /openapi.json; it names the commands of the socket."""
    answer = await small_desk.http().get("/asyncapi.json")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["asyncapi"].startswith("3.")
    assert "receive-message.send" in answer.json()["operations"]


async def test_other_peoples_conversations_look_like_none(small_desk: Desk) -> None:
    """Same status, same body as for an id that does not exist; writes change nothing."""
    oksana, iryna = small_desk.http(OKSANA), small_desk.http(IRYNA)
    opened = await oksana.post(CONVERSATIONS, json={"employee_id": PETRO})
    theirs = opened.json()["conversation"]["id"]

    for conversation_id in (theirs, 999_999, 2**63 - 1):
        path = f"{CONVERSATIONS}/{conversation_id}"
        answers = [
            await iryna.get(f"{path}/messages"),
            await iryna.post(f"{path}/messages", json={"client_key": KEY, "text": "x"}),
            await iryna.post(f"{path}/read", json={"seq": 1}),
        ]
        assert {a.status_code for a in answers} == {404}
        assert {a.json()["error"]["code"] for a in answers} == {"conversation.not_found"}
    for conversation_id in ("0", "-1", str(2**63), "x", "9" * 5_000):
        answer = await iryna.get(f"{CONVERSATIONS}/{conversation_id}/messages")
        assert answer.status_code == 422
    assert await small_desk.sql("SELECT FROM realtime.messages") == []


async def test_unknown_addresses_and_methods_answer_in_the_same_form(small_desk: Desk) -> None:
    """404 and 405 carry codes too, and security headers stand everywhere."""
    oksana = small_desk.http(OKSANA)

    gone, refused = await oksana.get("/v1/nothing"), await oksana.delete(CONVERSATIONS)

    assert gone.json()["error"]["code"] == "not_found"
    assert refused.json()["error"]["code"] == "method_not_allowed"
    assert "default-src 'self'" in gone.headers["content-security-policy"]
    assert refused.headers["cache-control"] == "no-store"


async def test_a_webhook_is_answered_after_the_commit_and_is_idempotent(desk: Desk) -> None:
    """Accepted means stored; the same events again are duplicates, also on another node."""
    nobody, elsewhere = desk.http(), desk.http(node=1)
    body = orjson.dumps([ringing(1), ringing(2)])

    first = await nobody.post("/v1/telephony/events", content=body, headers=signed(body))
    stored = await desk.sql("SELECT event_id FROM realtime.call_events")
    again = await elsewhere.post("/v1/telephony/events", content=body, headers=signed(body))

    assert first.json() == {"accepted": 2, "duplicates": 0, "rejected": [], "warnings": []}
    assert len(stored) == 2
    assert again.json() == {"accepted": 0, "duplicates": 2, "rejected": [], "warnings": []}


async def test_one_bad_event_does_not_spoil_its_batch(small_desk: Desk) -> None:
    """The others are stored; the bad ones come back with index, code and a sentence."""
    bad = [
        {**ringing(2), "type": "leg.exploded"},
        {**ringing(3), "leg_key": "a\x00b"},
        {**ringing(4), "occurred_at": "yesterday"},
        "not an object",
        {**ringing(5), "colour": "red"},
        {**ringing(6), "occurred_at": "9999-12-31T23:59:59Z"},
    ]
    body = orjson.dumps([ringing(1), *bad, ringing(9)])

    answer = await small_desk.http().post(
        "/v1/telephony/events", content=body, headers=signed(body)
    )

    taken = answer.json()
    assert taken["accepted"] == 2
    assert [item["index"] for item in taken["rejected"]] == [1, 2, 3, 4, 5, 6]
    assert all(item["code"].startswith("event.") for item in taken["rejected"])


async def test_unsigned_replayed_and_foreign_webhooks_are_refused_alike(small_desk: Desk) -> None:
    """No header, another secret, an old time, a changed body, an unknown PBX: the same 401."""
    nobody = small_desk.http()
    body = orjson.dumps([ringing(1)])
    good = signed(body)
    other_secret = "whsec_" + "A" * 43 + "="
    now = int(time.time())
    events = "/v1/telephony/events"
    attempts = [
        await nobody.post(f"{events}{query}", content=content, headers=headers)
        for query, content, headers in (
            ("", body, {}),
            ("", body, signed(body, secret=other_secret)),
            ("", body, signed(body, at=now - 600)),
            ("", body, signed(body, at=now + 600)),
            ("", body + b" ", good),
            ("?source=other", body, good),
            ("", body, {**good, "webhook-id": "msg.1"}),
            ("", body, {**good, "webhook-id": ""}),
            ("", body, {**good, "webhook-timestamp": "now"}),
            ("", body, {**good, "webhook-signature": "v1,"}),
        )
    ]

    assert {answer.status_code for answer in attempts} == {401}
    assert len({answer.content for answer in attempts}) == 1
    assert attempts[0].json()["error"]["code"] == "webhook.signature_invalid"
    assert await small_desk.sql("SELECT FROM realtime.call_events") == []


async def test_a_webhook_of_10000_events_or_2_mb_is_refused(small_desk: Desk) -> None:
    """As a whole, before anything is stored."""
    nobody = small_desk.http()
    many = orjson.dumps([{"n": n} for n in range(10_000)])
    large = b"[" + b" " * 2_000_000 + b"]"
    wrong = orjson.dumps({"events": []})

    too_many = await nobody.post("/v1/telephony/events", content=many, headers=signed(many))
    too_large = await nobody.post("/v1/telephony/events", content=large, headers=signed(large))
    no_array = await nobody.post("/v1/telephony/events", content=wrong, headers=signed(wrong))

    assert (too_many.status_code, too_many.json()["error"]["code"]) == (413, "limit.too_many")
    assert (too_large.status_code, too_large.json()["error"]["code"]) == (413, "limit.too_large")
    assert no_array.json()["error"]["code"] == "command.invalid"


async def test_health_says_what_is_wrong(small_desk: Desk) -> None:
    """Alive and ready are two questions; a missing migration is one of the answers."""
    nobody = small_desk.http()
    assert (await nobody.get("/healthz")).json()["status"] == "alive"
    assert (await nobody.get("/readyz")).json()["status"] == "ready"

    await small_desk.sql("DELETE FROM realtime.migrations WHERE name LIKE '0003%'")

    async def refusal() -> Any:
        answer = await nobody.get("/readyz")
        return answer if answer.status_code == 503 else None

    not_ready = await eventually(refusal)
    assert "gateway migrate" in not_ready.json()["checks"]["database"]


async def test_metrics_are_counted(small_desk: Desk) -> None:
    """Prometheus sees connections, deliveries and refusals."""
    oksana = await small_desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    await oksana.send(conversation.id, "counted")
    await oksana.next(MessageCreated)

    text = (await small_desk.http().get("/metrics")).text

    assert "gateway_connections 1.0" in text
    assert 'gateway_command_seconds_count{command="message.send"} 1.0' in text


async def test_a_rest_client_above_its_rate_waits(empty_desk: Desk) -> None:
    """429 with Retry-After; another employee is not affected."""
    await empty_desk.start_node(commands_per_s=1.0, commands_burst=3)
    oksana, petro = empty_desk.http(OKSANA), empty_desk.http(PETRO)

    answers = await asyncio.gather(*(oksana.get("/v1/messenger/unread-count") for _ in range(10)))

    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) >= 6
    assert int(refused[0].headers["retry-after"]) >= 1
    assert (await petro.get("/v1/messenger/unread-count")).status_code == 200


def test_codes_are_unique() -> None:
    """A code names one refusal."""
    codes = [error.code for error in catalogue()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("path", ["/", "/client.js", "/protocol.js", "/sdk/client.js"])
async def test_the_page_is_served(small_desk: Desk, path: str) -> None:
    """Its files come from the same port, asked for anew each time."""
    answer = await small_desk.http().get(path)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"
