"""What the README and the other pages tell people to type does what they say."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import typer.main
from playwright.async_api import async_playwright
from typer.core import TyperGroup

from gateway.cli import app
from gateway.protocol import codec
from tests.docs.pages import OPERATIONS, PAGES, README, ROOT, blocks, commands
from tests.support.desk import PBX_SECRET, SECRET, Desk, RunningNode, eventually
from tests.support.raw import raw

DEV = "127.0.0.1:8080"
CURL, NODE = shutil.which("curl"), shutil.which("node")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


async def run(*words: str) -> str:
    """Run a program as someone with the desk's secret; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=ROOT,
        env={**os.environ, "GATEWAY_TOKEN_SECRET": SECRET},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, output.decode()
    return output.decode()


async def messages_in(desk: Desk) -> list[str]:
    return [row["body"] for row in await desk.sql("SELECT body FROM realtime.messages")]


async def test_the_python_client_stores_its_message(empty_desk: Desk) -> None:
    """The README's Python program runs as printed, with a token printed by `gateway token`."""
    node = await empty_desk.start_node()
    (program,) = blocks(README, "python")
    token = (await run(sys.executable, "-m", "gateway", "token", "1")).strip()

    output = await run(sys.executable, "-c", program.replace(DEV, f"127.0.0.1:{node.port}"), token)

    assert re.fullmatch(r"Message 1 of conversation \d+ is stored\.\n", output)
    assert await messages_in(empty_desk) == ["Hello from Python!"]


def test_the_first_program_may_stay_in_the_clone() -> None:
    """Git ignores it, and so do the linters of `make check`."""
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()

    for name in ("first.py", "first.mjs"):
        assert f"`{name}`" in README
        assert f"/{name}" in ignored


async def test_the_signing_program_rings_a_telephone(empty_desk: Desk) -> None:
    """The program of the telephony page runs as printed, and its event is stored."""
    node = await empty_desk.start_node()
    page = (ROOT / "docs" / "telephony.md").read_text(encoding="utf-8")
    (program,) = [block for block in blocks(page, "python") if "hmac" in block]

    output = await run(
        sys.executable, "-c", program.replace(DEV, f"127.0.0.1:{node.port}"), PBX_SECRET
    )

    assert json.loads(output) == {"accepted": 1, "duplicates": 0, "rejected": [], "warnings": []}
    (leg,) = await empty_desk.sql("SELECT extension FROM realtime.call_legs")
    assert leg["extension"] == "101"


def javascript(node: RunningNode) -> str:
    """Return the README's JavaScript, for this gateway."""
    (program,) = blocks(README, "js")
    return program.replace(DEV, f"127.0.0.1:{node.port}")


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on PATH")
async def test_the_javascript_runs_in_the_console_of_the_gateways_page(empty_desk: Desk) -> None:
    """It is evaluated as the browser's console does, with `await` outside of functions."""
    node = await empty_desk.start_node(demo=True)

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = await browser.new_page()
        messages: list[str] = []
        page.on("console", lambda message: messages.append(message.text))
        await page.goto(f"http://127.0.0.1:{node.port}/")
        console = await page.context.new_cdp_session(page)
        said = await console.send(
            "Runtime.evaluate",
            {"expression": javascript(node), "replMode": True, "awaitPromise": True},
        )
        await eventually(lambda: "Hello from JavaScript!" in messages)
        await browser.close()

    assert "exceptionDetails" not in said
    assert await messages_in(empty_desk) == ["Hello from JavaScript!"]


@pytest.mark.skipif(NODE is None, reason="no node on PATH")
async def test_the_javascript_runs_as_a_file_with_nodejs(empty_desk: Desk, tmp_path: Path) -> None:
    """With the SDK of the clone in its first line, as the README says."""
    assert NODE is not None
    node = await empty_desk.start_node(demo=True)
    address = f"'http://127.0.0.1:{node.port}/client.js'"
    here = json.dumps((ROOT / "gateway" / "web" / "client.js").as_uri())
    assert "`./gateway/web/client.js` in the first line" in README
    file = tmp_path / "first.mjs"
    file.write_text(javascript(node).replace(address, here, 1), encoding="utf-8")
    found = await run(NODE, "--version")
    flags = ["--experimental-websocket", "--experimental-detect-module"]  # as of Node.js 22

    process = await asyncio.create_subprocess_exec(
        NODE, *(flags if found.startswith(("v20.", "v21.")) else []), file,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = await asyncio.wait_for(process.stdout.readline(), 30)
    finally:
        process.kill()
        await process.wait()

    assert said == b"Hello from JavaScript!\n"
    assert await messages_in(empty_desk) == ["Hello from JavaScript!"]


@pytest.mark.slow
@pytest.mark.skipif(CURL is None, reason="no curl on PATH")
async def test_the_line_for_rest_shows_the_conversations(empty_desk: Desk) -> None:
    """The README's curl runs as printed."""
    node = await empty_desk.start_node()
    (line,) = [line for line in commands(README) if line.startswith("curl ")]
    gateway = f"{shlex.quote(sys.executable)} -m gateway"
    line = line.replace(".venv/bin/gateway", gateway).replace(DEV, f"127.0.0.1:{node.port}")

    page = json.loads(await run("sh", "-c", line.replace("curl ", "curl --silent ")))

    assert set(page) == {"conversations", "next"}


@pytest.mark.slow
@pytest.mark.skipif(CURL is None, reason="no curl on PATH")
async def test_an_empty_token_is_said_to_be_empty(empty_desk: Desk) -> None:
    """What a `$(gateway token …)` that printed nothing leads to: by REST, by hand, in Python."""
    node = await empty_desk.start_node()
    (program,) = blocks(README, "python")

    rest = await run(
        "sh", "-c",
        f'curl --silent -H "Authorization: Bearer $(true)" '
        f"http://127.0.0.1:{node.port}/v1/messenger/conversations",
    )  # fmt: skip
    async with raw(node.socket_url) as socket:
        by_hand = await socket.ask('{"type":"hello","id":1,"token":""}')
    program = program.replace(DEV, f"127.0.0.1:{node.port}")
    with pytest.raises(AssertionError) as python:
        await run(sys.executable, "-c", program, "")

    for error in (json.loads(rest)["error"], by_hand["error"]):
        assert error["code"] == "token.missing"
        assert "an empty one" in error["message"]
    assert "4001 token.missing: The token is empty" in str(python.value)


@pytest.mark.slow
async def test_hello_by_hand_is_welcomed(empty_desk: Desk) -> None:
    """The line that the README's echo prints is a hello, and the next one is answered."""
    node = await empty_desk.start_node()
    (echo,) = [line for line in commands(README) if line.startswith("echo ")]
    (command,) = blocks(README, "json")
    gateway = f"{shlex.quote(sys.executable)} -m gateway"
    hello = await run("sh", "-c", echo.replace(".venv/bin/gateway", gateway))

    async with raw(node.socket_url) as socket:
        welcome = await socket.ask(hello.strip())
        counts = await socket.ask(command.strip())

    assert welcome["ok"]["user"]["id"] == 1
    assert counts == {"id": 2, "ok": {"total": counts["ok"]["total"], "conversations": []}}


def test_the_frames_by_hand_are_commands() -> None:
    """Each frame printed in the README is one that the gateway would take."""
    for block in blocks(README, "json"):
        frame = json.loads(block)
        assert codec.command(frame.pop("type"), {k: v for k, v in frame.items() if k != "id"})


def gateway_lines() -> list[str]:
    """Return every `gateway …` in a sh block of a page."""
    found = []
    for page in PAGES:
        for line in commands(page.read_text(encoding="utf-8")):
            found += re.findall(r"(?:^|\$\(|/)gateway ([a-z][^)\"]*)", line)
    return sorted(set(found))


@pytest.mark.parametrize("line", gateway_lines())
def test_commands_in_the_documents_exist(line: str) -> None:
    """The command line takes each command with the options a page gives it."""
    cli = typer.main.get_command(app)
    assert isinstance(cli, TyperGroup)
    name, *arguments = shlex.split(line)

    context = cli.commands[name].make_context(name, list(arguments))

    assert context.params
    for argument in arguments:
        if argument.startswith("tests/"):
            assert (ROOT / argument).is_file()


def test_the_hello_is_printed_before_its_time_runs() -> None:
    """Whoever follows the README from top to bottom has the hello ready when they connect."""
    lines = commands(README)
    (hello,) = [number for number, line in enumerate(lines) if '"type":"hello"' in line]
    (connect,) = [number for number, line in enumerate(lines) if "/websockets ws:" in line]

    assert hello < connect


def test_the_documents_have_commands() -> None:
    """The search above finds the lines it is meant to check."""
    assert {line.split()[0] for line in gateway_lines()} >= {"replay", "token", "serve", "migrate"}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """Each link to a file of the repository, and to a heading in it, resolves."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)

    assert broken == []


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def test_the_picture_is_small() -> None:
    """The page's picture loads quickly from a README."""
    assert 10_000 < (ROOT / "docs" / "page.png").stat().st_size < 200_000


def test_the_operations_page_links_every_other_page() -> None:
    """Whoever runs the gateway finds the rest from there."""
    others = {"crm-contract.md", "telephony.md", "protocol.md", "architecture.md"}

    assert {name for name in others if f"({name}" not in OPERATIONS} == set()
