"""What somebody without a token can ask for, and how much of a worker it can cost."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest
from fastapi import Request

from gateway.rest import Described
from gateway.rest.anonymous import HEALTH
from gateway.rest.kept import Document
from tests.support.desk import OKSANA, Desk, eventually

TWO = {"anonymous_per_s": 0.001, "anonymous_burst": 2}
CONVERSATIONS = "/v1/messenger/conversations"


@pytest.mark.parametrize("path", ["/openapi.json", "/asyncapi.json", "/", "/sdk/client.js"])
async def test_what_a_client_has_is_not_sent_again(small_desk: Desk, path: str) -> None:
    """An ETag of the bytes; 304 without a body for whoever has them, however they say it."""
    nobody = small_desk.http()
    answer = await nobody.get(path)
    etag = answer.headers["etag"]

    for held in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        again = await nobody.get(path, headers={"If-None-Match": held})
        assert (again.status_code, again.content) == (304, b""), held
        assert again.headers["etag"] == etag
    other = await nobody.get(path, headers={"If-None-Match": '"x"'})
    assert (other.status_code, other.content) == (200, answer.content)
    head = await nobody.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(answer.content)


async def test_the_description_is_made_once_and_beside_the_event_loop(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty at once and ten later: one is made, in a thread; others are served meanwhile."""
    nobody, make = small_desk.http(), Described.openapi
    begun, go_on = asyncio.Event(), threading.Event()
    loop, makers = asyncio.get_running_loop(), list[int]()

    def observed(app: Any) -> Any:
        makers.append(threading.get_ident())
        loop.call_soon_threadsafe(begun.set)
        if makers[0] != threading.main_thread().ident:
            assert go_on.wait(30), "nobody was served meanwhile"
        return make(app)

    monkeypatch.setattr(Described, "openapi", observed)
    asking = [asyncio.create_task(nobody.get("/openapi.json")) for _ in range(20)]
    async with asyncio.timeout(30):
        await begun.wait()
    assert (await nobody.get("/healthz")).status_code == 200
    go_on.set()
    first = await asyncio.gather(*asking)
    later = [await nobody.get("/openapi.json") for _ in range(10)]

    assert len(makers) == 1
    assert makers[0] != threading.get_ident()
    assert len({answer.content for answer in (*first, *later)}) == 1
    assert orjson.loads(first[0].content)["paths"]


async def test_the_page_is_read_from_memory(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No thread is asked to open a file; only GET and HEAD, and only files of the page."""
    nobody = small_desk.http()

    async def no_thread(*_: Any, **__: Any) -> Any:
        raise AssertionError("a thread for a file of the page")

    monkeypatch.setattr("anyio.to_thread.run_sync", no_thread)
    for path, kind in (("/", "text/html"), ("/app.js", "text/javascript"), ("/icon.svg", "image")):
        answer = await nobody.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
    for path in ("/sdk", "/sdk/", "/../app.py", "/%2e%2e/rest/page.py", "/index.htm"):
        answer = await nobody.get(path)
        assert answer.json()["error"]["code"] == "not_found", path
    refused = await nobody.post("/app.js")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


ANONYMOUS = [
    ("GET", "/", {}),
    ("GET", "/app.js", {}),
    ("GET", "/nothing", {}),
    ("GET", "/openapi.json", {}),
    ("GET", "/openapi.json", {"Authorization": "Bearer x"}),
    ("GET", "/asyncapi.json", {"webhook-signature": "v1,x"}),
    ("GET", CONVERSATIONS, {}),
    ("GET", CONVERSATIONS, {"Authorization": "Bearer x"}),
    ("GET", CONVERSATIONS, {"Authorization": "Basic x"}),
    ("POST", f"{CONVERSATIONS}/x/messages", {"Authorization": "Bearer x"}),
    ("GET", "/v1/nothing", {"Authorization": "Bearer x"}),
    ("POST", "/v1/telephony/events", {}),
    ("POST", "/v1/telephony/events", {"webhook-signature": "v1,x"}),
    ("POST", "/v1/telephony/twilio/none", {"X-Twilio-Signature": "x"}),
    ("GET", "/v1/files/x.y", {}),
    ("PUT", "/v1/files/x.y", {}),
]


async def asked(client: httpx2.AsyncClient, request: tuple[str, str, dict[str, str]]) -> Any:
    method, path, headers = request
    return await client.request(method, path, headers=headers, content=b"[]" * (method != "GET"))


@pytest.mark.parametrize("request_", ANONYMOUS, ids=lambda r: f"{r[0]} {r[1]} {','.join(r[2])}")
async def test_every_anonymous_request_counts(
    empty_desk: Desk, request_: tuple[str, str, dict[str, str]]
) -> None:
    """Two are answered as they deserve, a third is refused; who has a token notices nothing.

    A claim that is false is told so for ever: a client must learn that its token has expired.
    """
    await empty_desk.start_node(**TWO)
    nobody, oksana = empty_desk.http(), empty_desk.http(OKSANA)

    answers = [await asked(nobody, request_) for _ in range(4)]

    assert {answer.status_code for answer in answers[:2]}.isdisjoint({429, 500})
    is_claim = answers[0].status_code == 401 and any(request_[2])
    if is_claim and request_[2].get("Authorization") != "Basic x":
        assert {answer.content for answer in answers} == {answers[0].content}
        answers[2:] = [await nobody.get("/app.js")]
    for refused in answers[2:]:
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "limit.anonymous"
        assert int(refused.headers["retry-after"]) > 100
        assert refused.headers["x-content-type-options"] == "nosniff"
    assert (await oksana.get(CONVERSATIONS)).status_code == 200
    assert (await oksana.get(f"{CONVERSATIONS}/x/messages")).status_code == 422


async def test_a_spent_share_hides_no_expired_token(empty_desk: Desk) -> None:
    """The client learns that it needs a new one, and is served with it at once."""
    await empty_desk.start_node(**TWO)
    nobody = empty_desk.http()
    expired = {"Authorization": f"Bearer {empty_desk.token(OKSANA, ttl=timedelta(hours=-1))}"}
    while (await nobody.get("/app.js")).status_code != 429:
        pass

    answer = await nobody.get(CONVERSATIONS, headers=expired)

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "token.expired"
    assert (await empty_desk.http(OKSANA).get(CONVERSATIONS)).status_code == 200


async def test_requests_that_nobody_looked_at_do_not_count(empty_desk: Desk) -> None:
    """With a valid token, refused for its method, length or form before the token is read."""
    await empty_desk.start_node(**TWO)
    oksana, nobody = empty_desk.http(OKSANA), empty_desk.http()
    kind = {"Content-Type": "application/json"}

    statuses = [
        (await oksana.request(method, CONVERSATIONS, content=content, headers=kind)).status_code
        for method, content in (("DELETE", b""), ("POST", b" " * 100_000), ("POST", b"{")) * 2
    ]

    assert statuses == [405, 413, 400] * 2
    assert [(await nobody.get("/app.js")).status_code for _ in range(3)] == [200, 200, 429]


async def test_health_checks_are_never_refused(empty_desk: Desk) -> None:
    """Orchestrators ask as often as they like; PostgreSQL is asked for the first of them alone."""
    node = await empty_desk.start_node(**TWO)
    nobody = empty_desk.http()
    gateway, asked_database = node.app.state.gateway, 0
    pending = type(gateway).pending_migrations

    async def counted(parts: Any) -> list[str]:
        nonlocal asked_database
        asked_database += 1
        found: list[str] = await pending(parts)
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(gateway), "pending_migrations", counted)
        patched.setattr("gateway.rest.readiness.KEPT_S", 600.0)
        for path in sorted(HEALTH):
            answers = await asyncio.gather(*(nobody.get(path) for _ in range(30)))
            assert {answer.status_code for answer in answers} == {200}

    assert asked_database <= 1


async def test_each_client_behind_a_proxy_has_its_own_share(empty_desk: Desk) -> None:
    """By what the trusted proxy writes; the proxy itself, which asks for many, is not limited."""
    await empty_desk.start_node(**TWO, trusted_proxies="127.0.0.1")
    nobody = empty_desk.http()

    async def status(forwarded: str | None) -> int:
        headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
        return (await nobody.get("/app.js", headers=headers)).status_code

    assert [await status("203.0.113.1") for _ in range(3)] == [200, 200, 429]
    assert await status("1.1.1.1, 203.0.113.1") == 429, "what a client claims is not believed"
    assert await status("203.0.113.2") == 200
    assert [await status(f"2001:db8::{n}") for n in range(1, 4)] == [200, 200, 429]
    assert [await status(None) for _ in range(4)] == [200] * 4


async def test_clients_in_a_trusted_network_are_limited(empty_desk: Desk) -> None:
    """Who is named is a client, whatever its address; a proxy that names nobody is not."""
    await empty_desk.start_node(**TWO, trusted_proxies="127.0.0.0/8,10.0.0.0/8")
    nobody = empty_desk.http()

    async def status(headers: dict[str, str]) -> int:
        return (await nobody.get("/app.js", headers=headers)).status_code

    for client in ("10.1.2.3", "::ffff:10.1.2.4", "127.0.0.1"):
        named = {"X-Forwarded-For": client}
        assert [await status(named) for _ in range(3)] == [200, 200, 429]
    assert [await status({}) for _ in range(4)] == [200] * 4


async def test_without_a_trusted_proxy_nobody_can_choose_an_address(empty_desk: Desk) -> None:
    """X-Forwarded-For of a client that is no proxy changes nothing."""
    await empty_desk.start_node(**TWO)
    nobody = empty_desk.http()

    answers = [
        await nobody.get("/app.js", headers={"X-Forwarded-For": f"203.0.113.{n}"}) for n in range(3)
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 429]


async def test_a_share_comes_back_with_time(empty_desk: Desk) -> None:
    """Who was refused is served again after the time that the answer names."""
    await empty_desk.start_node(anonymous_per_s=20.0, anonymous_burst=1)
    nobody = empty_desk.http()
    assert (await nobody.get("/app.js")).status_code == 200

    async def served() -> bool:
        return (await nobody.get("/app.js")).status_code == 200

    await eventually(served)


async def test_a_document_is_made_again_after_a_failure() -> None:
    """An error while it is made is not kept."""
    outcomes: list[Any] = [RuntimeError("no"), b"{}"]

    def make() -> bytes:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, bytes)
        return outcome

    document = Document(make)
    request = Request({"type": "http", "headers": []})
    with pytest.raises(RuntimeError):
        await document.respond(request)

    assert (await document.respond(request)).body == b"{}"
