"""How client.js brings files: through lost answers and connections, under which names."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Route

from tests.browser.client import Client, arrive
from tests.browser.fake_gateway import FakeGateway, Visit

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

UPLOAD = """() => {
  const file = new File(['twelve bytes'], 'note.txt', { type: 'text/plain;charset=utf-8' });
  window.stop = new AbortController();
  window.progress = [];
  gateway.upload(17, file, { signal: stop.signal, onProgress: (sent) => progress.push(sent) }).then(
    (done) => { window.done = done; },
    ({ name, code }) => { window.done = { name, code }; },
  );
}"""
DESCRIBE = """async (files) => {
  const { describeFile } = await import('/web/client.js');
  const { uploadProblem } = await import('/web/state/file_kinds.js');
  const limits = { max_bytes: 2048, per_message: 2, types: ['image/*', 'text/plain', 'text/csv'] };
  return files.map(([name, type, size]) => {
    const file = new File([new Uint8Array(size)], name, { type });
    const { name: said, content_type } = describeFile(file);
    return [said, content_type, uploadProblem(file, limits)];
  });
}"""
FILE = {"name": "note.txt", "content_type": "text/plain", "size": 12}


async def declare(visit: Visit) -> dict[str, Any]:
    """Answer attachment.create as the gateway does; return what was declared."""
    asked = await visit.expect("attachment.create")
    upload = {
        "method": "PUT",
        "url": "/v1/files/secret",
        "headers": {"Content-Type": "text/plain"},
        "expires_at": "2030-01-01T00:00:00Z",
    }
    await visit.send({"id": asked["id"], "ok": {"attachment_id": 31, "upload": upload}})
    return {name: asked[name] for name in FILE}


async def test_a_file_whose_answer_was_lost_has_been_brought(
    client: Client, fake: FakeGateway
) -> None:
    """The second try is told that nothing is overwritten: the first one had come."""
    visit = await arrive(client, fake)
    answers = [412, 0]
    broken = asyncio.Event()

    async def answer(route: Route) -> None:
        assert route.request.headers["content-type"] == "text/plain"
        assert route.request.post_data == "twelve bytes"
        if status := answers.pop():
            await route.fulfill(status=status, json={"error": {"code": "file.exists"}})
        else:
            await route.abort("connectionreset")
            broken.set()

    await client.page.route("**/v1/files/secret", answer)
    await client.page.evaluate(UPLOAD)
    assert await declare(visit) == FILE
    await broken.wait()
    await client.page.clock.run_for(1_000)

    assert await client.until("window.done") == {"attachment_id": 31, **FILE}
    assert await client.page.evaluate("progress.at(-1)") == 12


@pytest.mark.slow
@pytest.mark.parametrize("code", ["file.upload_running", "file.too_many_uploads"])
async def test_a_file_waits_for_uploads_that_are_under_way(
    client: Client, fake: FakeGateway, code: str
) -> None:
    """More often than it tries after failures: the server may take a broken one for alive."""
    visit = await arrive(client, fake)
    waits = 0

    async def answer(route: Route) -> None:
        nonlocal waits
        waits += 1
        if waits <= 10:
            said = {"code": code, "message": "Wait.", "retry_after": 2}
            await route.fulfill(status=409, json={"error": said})
        else:
            await route.fulfill(json={"size": 12})

    await client.page.route("**/v1/files/secret", answer)
    await client.page.evaluate(UPLOAD)
    await declare(visit)
    while not await client.page.evaluate("window.done"):
        await client.page.clock.run_for(500)

    assert waits == 11
    assert await client.until("window.done") == {"attachment_id": 31, **FILE}


@pytest.mark.slow
async def test_a_file_is_declared_again_on_the_next_connection(
    client: Client, fake: FakeGateway
) -> None:
    """Whether the first declaration arrived is unknown, and does not matter."""
    visit = await arrive(client, fake)
    await client.page.evaluate(UPLOAD)
    await visit.expect("attachment.create")
    await visit.drain()
    await client.until("gateway.state.name === 'waiting'")
    await client.wait_for_retry()
    visit = await fake.welcomed()
    await client.page.route("**/v1/files/secret", lambda route: route.fulfill(json={"size": 12}))

    assert await declare(visit) == FILE

    assert await client.until("window.done") == {"attachment_id": 31, **FILE}


@pytest.mark.slow
async def test_an_upload_is_given_up(client: Client, fake: FakeGateway) -> None:
    """What is on its way is stopped, and the caller is told by the usual error."""
    visit = await arrive(client, fake)
    held: asyncio.Queue[Route] = asyncio.Queue()

    async def hold(route: Route) -> None:
        held.put_nowait(route)

    await client.page.route("**/v1/files/secret", hold)
    await client.page.evaluate(UPLOAD)
    await declare(visit)
    route = await held.get()
    async with client.page.expect_event("requestfailed") as failed:
        await client.page.evaluate("stop.abort()")

    assert (await failed.value).method == "PUT"
    assert (await client.until("window.done"))["name"] == "AbortError"
    await route.abort()


@pytest.mark.slow
async def test_names_and_types_are_made_such_as_the_gateway_takes(
    client: Client, fake: FakeGateway
) -> None:
    """Systems disagree on types, and on what a name may hold; limits are said in words."""
    await arrive(client, fake)
    given = [
        ("sums.csv", "application/vnd.ms-excel", 5),
        ("Photo.PNG", "image/PNG", 5),
        ("odd\u202egnp.txt", "", 5),
        ("é" * 200 + ".png", "image/png", 5),
        ("..", "", 5),
        ("big.png", "image/png", 3000),
        ("empty.txt", "text/plain", 0),
        ("tool.exe", "", 5),
    ]

    found = await client.page.evaluate(DESCRIBE, given)

    assert found == [
        ["sums.csv", "text/csv", ""],
        ["Photo.PNG", "image/png", ""],
        ["oddgnp.txt", "text/plain", ""],
        ["é" * 125 + ".png", "image/png", ""],
        ["file", "application/octet-stream", "“file”: this type of file is not allowed."],
        ["big.png", "image/png", "“big.png” is too large. The limit is 2 KB."],
        ["empty.txt", "text/plain", "“empty.txt” is empty."],
        ["tool.exe", "application/octet-stream", "“tool.exe”: this type of file is not allowed."],
    ]
