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
from tests.support.desk import PBX_SECRET, SECRET, Desk, eventually
from tests.support.raw import raw

DEV = "127.0.0.1:8080"
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

    assert "In Python, `first.py`" in README
    assert "/first.py" in ignored


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


async def blank_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request as a CRM whose page is empty."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<!doctype html>")
    writer.close()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on PATH")
async def test_the_javascript_client_stores_its_message(empty_desk: Desk) -> None:
    """The README's JavaScript runs as printed, in a page of another origin that is allowed."""
    crm = await asyncio.start_server(blank_page, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{crm.sockets[0].getsockname()[1]}"
    node = await empty_desk.start_node(allowed_origins=(origin,))
    (module,) = blocks(README, "js")
    script = re.sub(r"import (\{.*?\}) from ('.*?');", r"const \1 = await import(\2);", module)
    script = script.replace(DEV, f"127.0.0.1:{node.port}")
    script = script.replace("fetchTokenFromYourCrm()", json.dumps(empty_desk.token(1)))

    async with crm, async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = await browser.new_page()
        messages: list[str] = []
        page.on("console", lambda message: messages.append(message.text))
        await page.goto(f"{origin}/")
        await page.evaluate(f"async () => {{ {script} }}")
        await eventually(lambda: "Hello from JavaScript!" in messages)
        await browser.close()

    assert await messages_in(empty_desk) == ["Hello from JavaScript!"]


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
