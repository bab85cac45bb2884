"""Files on the page: chosen, dropped, pasted, on their way, shown, read and refused."""

from __future__ import annotations

import asyncio
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Route, expect

from tests.browser.window import Open, Window, pair, unique

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

UPLOADS = "**/v1/files/*"
CSV = "name,sum\nZoë,12\n".encode()
BRING = """(node, { event, files, text }) => {
  const data = new DataTransfer();
  for (const [name, type, bytes] of files) {
    data.items.add(new File([new Uint8Array(bytes)], name, { type }));
  }
  if (text) data.setData('text/plain', text);
  const how = { bubbles: true, cancelable: true };
  if (event === 'paste') {
    node.dispatchEvent(new ClipboardEvent('paste', { ...how, clipboardData: data }));
  } else for (const type of ['dragenter', 'dragover', event]) {
    node.dispatchEvent(new DragEvent(type, { ...how, dataTransfer: data }));
  }
}"""


def png(width: int, height: int) -> bytes:
    """Make a picture that is blue on one side and red on the other."""
    row = b"\0" + b"".join(
        bytes((x * 255 // width, 90, 200 - x * 150 // width)) for x in range(width)
    )
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(row * height)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def file(name: str, content_type: str, data: bytes) -> Any:
    return {"name": name, "mimeType": content_type, "buffer": data}


async def choose(window: Window, *files: Any) -> None:
    await window.by("file-input").set_input_files(list(files))


async def bring(node: Locator, event: str, *files: Any, text: str = "") -> None:
    """Drop or paste, as far as a script may."""
    given = [(one["name"], one["mimeType"], list(one["buffer"])) for one in files]
    await node.evaluate(BRING, {"event": event, "files": given, "text": text})


async def test_files_are_chosen_sent_shown_and_downloaded(window: Open) -> None:
    """A picture is shown in place, a table is a card; the search knows which message has files."""
    one, other = await pair(window, 3, 8)
    await other.conversation_with(await one.name()).click()
    written = unique("quarter")
    await choose(
        one,
        file("chart.png", "image/png", png(400, 300)),
        file("sums.csv", "application/vnd.ms-excel", CSV),  # what Windows calls it
    )
    await expect(one.page.locator("[data-testid=chosen-file][data-state=ready]")).to_have_count(2)
    await one.send(written)

    line = other.message(written)
    await expect(one.by("chosen-file")).to_have_count(0)
    await expect(line.get_by_test_id("picture")).to_have_attribute("data-loaded", "true")
    async with other.page.expect_download() as download:
        await line.get_by_test_id("file-card").click()
    brought = await download.value
    assert brought.suggested_filename == "sums.csv"
    assert Path(await brought.path()).read_bytes() == CSV  # noqa: ASYNC240 - a few bytes

    await line.get_by_test_id("picture").click()
    await expect(other.by("large-picture")).to_have_js_property("naturalWidth", 400)
    await other.page.keyboard.press("Escape")
    await expect(line.get_by_test_id("picture")).to_be_focused()
    await other.by("search").fill(written)
    await expect(other.by("found-message").get_by_test_id("clip")).to_be_visible()


async def test_a_file_without_words_is_dropped_or_pasted(window: Open) -> None:
    """Nothing need be written; text that brings its picture along stays text."""
    one, other = await pair(window, 5, 10)
    picture = file("plan.png", "image/png", png(40, 30))
    await bring(one.by("composer"), "paste", picture, text="from a table")
    await expect(one.by("chosen-file")).to_have_count(0)
    await bring(one.by("composer"), "paste", picture)
    await bring(one.by("messages"), "drop", file("notes.txt", "text/plain", b"a note"))
    await expect(one.page.locator("[data-testid=chosen-file][data-state=ready]")).to_have_count(2)
    await one.by("send").click()

    item = other.conversation_with(await one.name())
    await expect(item.get_by_test_id("last-message")).to_have_text("2 files")
    await item.click()
    await expect(other.by("picture")).to_have_attribute("data-loaded", "true")
    await expect(other.by("file-card")).to_contain_text("notes.txt")
    await expect(other.by("message-text")).to_have_text("")


async def test_what_cannot_be_sent_is_said_before_it_is_uploaded(
    window: Open, tmp_path: Path
) -> None:
    """Too large, empty, of a type that is not allowed, one too many; and what only looks right."""
    one = await window(6)
    await one.start_with(11)
    asked: list[str] = []
    one.page.on("request", lambda request: asked.append(request.method))
    large = tmp_path / "film.mp4"
    with large.open("wb") as made:
        made.truncate(27 * 2**20)
    await expect(one.by("attach")).to_have_attribute(
        "title", "Attach files (at most 10, 25 MB each)"
    )
    await choose(one, str(large))
    problem = one.by("file-problem")
    await expect(problem).to_have_text("“film.mp4” is too large. The limit is 25 MB.")
    await choose(one, file("none.txt", "text/plain", b""))
    await expect(problem).to_have_text("“none.txt” is empty.")
    await choose(one, file("setup.exe", "application/x-msdownload", b"MZ"))
    await expect(problem).to_have_text("“setup.exe”: this type of file is not allowed.")
    assert "PUT" not in asked

    many = [file(f"{number}.txt", "text/plain", b"x") for number in range(11)]
    await choose(one, *many)
    await expect(problem).to_have_text(
        "“10.txt” was not added: a message can have at most 10 files."
    )
    await one.by("remove-file").first.focus()
    for _ in range(10):
        await one.page.keyboard.press("Enter")  # the focus goes on to the next one
    await expect(one.by("composer")).to_be_focused()
    await choose(one, file("false.png", "image/png", b"<!DOCTYPE html><script>alert(1)</script>"))
    await expect(one.by("chosen-file")).to_have_attribute("data-state", "ready")
    await one.by("send").click()
    failed = one.page.locator("[data-testid=message][data-state=failed]")
    await expect(failed).to_contain_text("The content of a file does not match its type.")
    await failed.get_by_test_id("discard").click()
    await expect(failed).to_have_count(0)


async def test_an_upload_can_be_stopped_and_tried_again(window: Open) -> None:
    """Nothing is sent before its files are there; what breaks is tried again by itself."""
    one, other = await pair(window, 7, 12)
    held, go_on = asyncio.Event(), asyncio.Event()
    tries: list[int] = []

    async def hold(route: Route) -> None:
        tries.append(1)
        held.set()
        await go_on.wait()
        if len(tries) == 2:
            await route.abort("connectionreset")
        else:
            await route.continue_()

    await one.page.route(UPLOADS, hold)
    await choose(one, file("a.txt", "text/plain", b"first"))
    await held.wait()
    await one.send("with a file")
    await expect(one.by("file-problem")).to_have_text("Not sent yet: files are being uploaded.")
    await one.by("remove-file").click()
    await expect(one.by("chosen-file")).to_have_count(0)
    go_on.set()

    await choose(one, file("b.txt", "text/plain", b"second"))
    await expect(one.by("chosen-file")).to_have_attribute("data-state", "ready")
    assert len(tries) == 3  # taken away, broken, tried again
    await one.by("composer").press("Enter")
    await expect(one.message("with a file")).to_have_attribute("data-state", "stored")
    await other.conversation_with(await one.name()).click()
    await expect(other.message("with a file").get_by_test_id("file-card")).to_have_count(1)
