"""Programs of others see our types: each package says that it is typed (PEP 561)."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
from gateway.client import connect
from gateway.protocol import Message
from ingest import CallEvent
from presence import PresenceStore


async def send(store: PresenceStore, event: CallEvent) -> Message:
    async with connect("ws://127.0.0.1:8080/v1/ws", "token") as client:
        reveal_type(client)
        wrong: int = await client.send(1, "text")
        return await client.send(1, "text")
"""


def test_every_package_of_the_wheel_is_marked_as_typed() -> None:
    """The wheel takes each of these directories whole, py.typed with it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

    assert sorted(packages) == ["gateway", "ingest", "presence"]
    assert all((ROOT / package / "py.typed").is_file() for package in packages)


def test_no_file_of_a_package_is_ignored_by_git() -> None:
    """The build leaves out what .gitignore names, also when git has the file."""
    try:
        ignored = subprocess.run(
            ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git work tree")

    assert ignored == []


@pytest.mark.slow
def test_a_strict_mypy_of_another_program_sees_the_types(tmp_path: Path) -> None:
    """From outside the repository, with no configuration of ours: only the planted error is one."""
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")

    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", "cache", "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 'Revealed type is "gateway.client.connection.Connection"' in checked.stdout
    assert 'expression has type "Message", variable has type "int"' in checked.stdout
    assert "Found 1 error in 1 file" in checked.stdout, checked.stdout + checked.stderr
