"""The command line as it answers to mistakes, and what it takes from the environment."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.auth import Tokens
from gateway.errors import Invalid
from gateway.protocol import codec
from tests.support.dev import DevGateway, in_thread, run_dev


def gateway(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, with no settings but these."""
    clean = {name: value for name, value in os.environ.items() if "GATEWAY_" not in name}
    return subprocess.run(
        [sys.executable, "-m", "gateway", *words],
        env={**clean, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.fixture
def taken() -> Iterator[int]:
    """Give a port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.slow
async def test_a_port_in_use_is_named_with_a_way_out(taken: int, tmp_path: Path) -> None:
    """`gateway dev` takes GATEWAY_PORT, and says what to type when that one is taken."""
    said = await in_thread(
        lambda: gateway("dev", GATEWAY_PORT=str(taken), XDG_STATE_HOME=str(tmp_path))
    )

    assert said.returncode == 1
    assert f"127.0.0.1:{taken}: it is in use; try: make dev ARGS=" in said.stderr
    (other,) = re.findall(r'make dev ARGS="--port (\d+)"', said.stderr)
    assert int(other) != taken
    assert f"(or gateway dev --port {other})" in said.stderr


@pytest.mark.slow
async def test_dev_takes_its_workers_from_the_environment() -> None:
    """GATEWAY_WORKERS is heeded; without it there are two."""
    with run_dev(GATEWAY_WORKERS="1") as dev:
        assert len(dev.worker_urls) == 1


@pytest.mark.slow
def test_dev_says_nothing_before_its_welcome(dev_gateway: DevGateway) -> None:
    """The first thing that a newcomer reads is where the gateway is."""
    said = (dev_gateway.state_home / "output").read_text(encoding="utf-8")

    assert said.lstrip().startswith("The gateway is ready after")


@pytest.mark.slow
async def test_a_second_dev_is_told_how_to_have_a_state_of_its_own(dev_gateway: DevGateway) -> None:
    """One state directory has one owner; the refusal names the setting."""
    said = await in_thread(lambda: gateway("dev", XDG_STATE_HOME=str(dev_gateway.state_home)))

    assert said.returncode == 1
    assert "GATEWAY_STATE_DIR" in said.stderr


@pytest.mark.slow
async def test_a_check_looks_at_the_dev_that_runs(dev_gateway: DevGateway) -> None:
    """`migrate --check` needs no settings beside a `gateway dev`, and says where it looked."""
    state = str(dev_gateway.state_home)

    checked = await in_thread(lambda: gateway("migrate", "--check", XDG_STATE_HOME=state))

    assert (checked.returncode, checked.stdout) == (0, "Up to date.\n")
    assert "gateway dev" in checked.stderr


@pytest.mark.slow
async def test_migrations_are_applied_only_where_they_are_meant(dev_gateway: DevGateway) -> None:
    """Without GATEWAY_DATABASE_URL, `migrate` does not take another database for it."""
    state = str(dev_gateway.state_home)

    refused = await in_thread(lambda: gateway("migrate", XDG_STATE_HOME=state))

    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "Set GATEWAY_DATABASE_URL.\n"


RECORDING = "tests/recordings/l01_answered_caller_hangs_up.jsonl.gz"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "setting"),
    [
        (["token", "1"], "GATEWAY_TOKEN_SECRET is not set"),
        (["token", "--revoke", "a jti"], "GATEWAY_DATABASE_URL is not set"),
        (["replay", RECORDING], "GATEWAY_DATABASE_URL and GATEWAY_REDIS_URL are not set"),
        (["replay", "--rebuild"], "GATEWAY_DATABASE_URL is not set"),
        (["migrate", "--check"], "GATEWAY_DATABASE_URL is not set"),
    ],
    ids=lambda value: "-".join(value[:2]).replace(RECORDING, "file") if value[0] != "G" else None,
)
@pytest.mark.parametrize("there", [True, False], ids=["an empty directory", "no directory"])
def test_a_command_that_finds_no_dev_says_where_it_looked(
    tmp_path: Path, words: list[str], setting: str, there: bool
) -> None:
    """In a second terminal without GATEWAY_STATE_DIR: the place, what to export, no output."""
    state = tmp_path / "crm-gateway"
    if there:
        state.mkdir()

    said = gateway(*words, XDG_STATE_HOME=str(tmp_path))

    assert (said.returncode, said.stdout) == (2, "")
    assert setting in said.stderr
    assert str(state) in said.stderr
    assert ("there is no directory" in said.stderr) is not there
    assert "export GATEWAY_STATE_DIR=" in said.stderr


def test_a_secret_of_no_running_dev_gives_a_token_and_a_note(tmp_path: Path) -> None:
    """An earlier `gateway dev` left the secret: the note is not part of the token."""
    (tmp_path / "token_secret").write_text("kept from an earlier run, long enough\n", "ascii")

    said = gateway("token", "1", GATEWAY_STATE_DIR=str(tmp_path))

    assert said.returncode == 0
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", said.stdout)
    assert str(tmp_path) in said.stderr
    assert "export GATEWAY_STATE_DIR" in said.stderr


async def test_a_token_is_revoked_by_its_jti_or_as_a_whole(
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Twice is no error; one that would live too long is not printed; one of both is asked for."""
    token_command = importlib.import_module("gateway.cli.token")
    monkeypatch.setenv("GATEWAY_DATABASE_URL", database)
    monkeypatch.setenv("GATEWAY_STATE_DIR", str(tmp_path))
    (tmp_path / "token_secret").write_text("kept from an earlier run, long enough\n", "ascii")
    token = Tokens("some secret of thirty-two bytes...", "", "").issue(1)

    async def said(**given: Any) -> tuple[int, str]:
        try:
            await asyncio.to_thread(token_command.run, **{"employee": None, "ttl": "8h", **given})
        except typer.Exit as end:
            return end.exit_code, capsys.readouterr().err
        return 0, capsys.readouterr().out

    assert await said(revoke="one") == (0, "one is revoked.\n")
    assert await said(revoke="one") == (0, "one was revoked before.\n")
    assert await said(revoke=token) == (0, f"{token_command.claims_of(token)[0]} is revoked.\n")
    assert (await said(revoke="x" * 9_000))[0] == 2
    code, why = await said(employee="1", ttl="31d")
    assert (code, "GATEWAY_TOKEN_MAX_S" in why) == (2, True)
    assert [(await said())[0], (await said(employee="1", revoke="one"))[0]] == [2, 2]


async def test_a_token_is_checked_with_the_database(
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whether the employee is active; exit status 1 says that the token is refused."""
    token_command = importlib.import_module("gateway.cli.token")
    secret = "kept from an earlier run, long enough"
    monkeypatch.setenv("GATEWAY_DATABASE_URL", database)
    monkeypatch.setenv("GATEWAY_STATE_DIR", str(tmp_path))
    (tmp_path / "token_secret").write_text(f"{secret}\n", "ascii")
    tokens = Tokens(secret, "crm-gateway", "crm-gateway")

    async def said(**given: Any) -> tuple[int, str]:
        code = 0
        try:
            await asyncio.to_thread(token_command.run, **{"employee": None, "ttl": "8h", **given})
        except typer.Exit as end:
            code = end.exit_code
        return code, capsys.readouterr().out

    good = await said(check=f" {tokens.issue(1)}\n")
    assert good[0] == 0
    assert "is active" in good[1]
    assert "accepts this token" in good[1]
    nobody = await said(check=tokens.issue(9_999))
    assert (nobody[0], "does not have this employee" in nobody[1]) == (1, True)
    forged = await said(check=Tokens("x" * 32, "crm-gateway", "crm-gateway").issue(1))
    assert (forged[0], "wrong  signature" in forged[1]) == (1, True)
    revoked = tokens.issue(1)
    await said(revoke=revoked)
    assert "was revoked" in (await said(check=revoked))[1]


@pytest.mark.slow
def test_dev_prints_what_other_terminals_need(dev_gateway: DevGateway) -> None:
    """With a state directory of its own: the line that it prints is enough for `gateway token`."""
    output = (dev_gateway.state_home / "output").read_text(encoding="utf-8")
    (directory,) = re.findall(r"^ +export GATEWAY_STATE_DIR=(.*)$", output, re.MULTILINE)

    said = gateway("token", "1", GATEWAY_STATE_DIR=directory)

    assert (said.returncode, said.stderr) == (0, "")


def test_the_manual_says_where_dev_keeps_its_state() -> None:
    """Whoever wants to begin anew finds the place in `gateway dev --help`."""
    said = gateway("dev", "--help").stdout

    assert "GATEWAY_STATE_DIR" in said
    assert "crm-gateway" in said


def test_an_unknown_field_is_refused_in_words_of_the_wire() -> None:
    """A client's author reads neither of keywords nor of arguments, and which field it is."""
    with pytest.raises(Invalid) as refused:
        codec.command("conversation.open", {"employee_id": 2, "employe": 3})

    assert refused.value.detail == "There is no such field."
    assert refused.value.path == "employe"
