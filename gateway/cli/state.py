"""Files of `gateway dev` beside its databases: its secrets, and the addresses of its servers."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import typer


def read_secret(state_dir: Path, name: str) -> str | None:
    """Return a secret kept in the state directory; None when there is none."""
    try:
        return (state_dir / name).read_text(encoding="ascii").strip() or None
    except OSError:
        return None


def keep_secret(state_dir: Path, name: str, *, prefix: str = "") -> str:
    """Return the secret of this name; create it the first time, readable by this user only."""
    if found := read_secret(state_dir, name):
        return found
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = prefix + base64.b64encode(secrets.token_bytes(32)).decode()
    descriptor = os.open(state_dir / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(made + "\n")
    return made


@contextmanager
def running(state_dir: Path, **facts: Any) -> Iterator[None]:
    """Write the addresses of the servers to a file for other commands; remove it at the end."""
    note = state_dir / "running.json"
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps({**facts, "pid": os.getpid()}))
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def require_running(state_dir: Path, wanted: str, *, unset: str) -> dict[str, Any]:
    """Return what find_running does; without one say what not_found says, and exit with 2."""
    running = find_running(state_dir)
    if running is None:
        typer.echo(not_found(state_dir, wanted, unset=unset), err=True)
        raise typer.Exit(2)
    return running


def not_found(state_dir: Path, wanted: str, *, unset: str) -> str:
    """Say that no `gateway dev` was found: where was looked, and what to export."""
    return (
        f"Found no {wanted}: {unset} not set, and {_what_is_missing(state_dir)}\n"
        "If `gateway dev` runs with another state directory, name it in this terminal, too:\n"
        "  export GATEWAY_STATE_DIR=/that/directory\n"
        "If it does not run, start it: make dev"
    )


def _what_is_missing(state_dir: Path) -> str:
    where = state_dir.absolute()
    if not os.access(where, os.F_OK):
        return f"there is no directory {where}, where `gateway dev` keeps its state."
    if not os.access(where, os.R_OK | os.X_OK):
        return f"{where}, where `gateway dev` keeps its state, may not be read by this user."
    return f"no `gateway dev` that runs keeps its state in {where}."


def find_running(state_dir: Path) -> dict[str, Any] | None:
    """Return the addresses of a `gateway dev` that is running; None when there is none."""
    try:
        facts: dict[str, Any] = orjson.loads((state_dir / "running.json").read_bytes())
        os.kill(facts["pid"], 0)
    except (OSError, KeyError, ValueError):
        return None
    return facts
