"""Whom the gateway is compared with when it sends one event to many sockets.

scenarios/fanout.py ─▶ start_rivals() ─▶ Competitor. What a machine lacks is left out, and the
reason is told.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from loadtests.baselines import EVENT_BYTES, send_floor
from loadtests.competitor import Competitor, baseline_process, competitor_process

RIVALS = ("websockets", "fastapi", "picows", "socketio", "ws", "send_floor")
SOCKETIO_URL = "ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
NODE_WS = Path(__file__).parent / "baselines/node_ws"
NPM = ("npm", "ci", "--ignore-scripts", "--prefer-offline", "--fetch-retries=0", "--loglevel=error")
NPM_S = 60.0


class CannotRun(Exception):
    """A rival cannot run here."""


def start_rivals(stack: ExitStack, clients: int) -> tuple[dict[str, Competitor], dict[str, str]]:
    """Start those that can run here; return them, and why the others cannot."""
    started: dict[str, Competitor] = {}
    skipped: dict[str, str] = {}
    for name in RIVALS:
        try:
            started[name] = _start(name, stack, clients)
        except CannotRun as reason:
            skipped[name] = str(reason)
    return started, skipped


def _start(name: str, stack: ExitStack, clients: int) -> Competitor:
    if name == "ws":
        return _node_ws(stack)
    if name == "send_floor":
        return _send_floor(stack, clients)
    if importlib.util.find_spec(name) is None:
        raise CannotRun(f"the package {name} is not installed")
    if name == "socketio":
        starting = baseline_process(
            "socketio_server", url=SOCKETIO_URL, greeting=b'40{"sid"', opening=b"40"
        )
    else:
        starting = baseline_process(f"{name}_server")
    return stack.enter_context(starting)


def _send_floor(stack: ExitStack, clients: int) -> Competitor:
    if send_floor.compiler() is None:
        print("No C compiler: the floor is a loop in Python.", file=sys.stderr)
    return stack.enter_context(
        baseline_process("send_floor", str(clients), url="tcp://127.0.0.1:{port}")
    )


def _node_ws(stack: ExitStack) -> Competitor:
    """Start Node's `ws`, fetched with npm into a directory of its own."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise CannotRun(f"there is no {program}")
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="node-ws-")))
    shutil.copytree(NODE_WS, directory, dirs_exist_ok=True)
    fetch_packages(directory, os.environ)
    command = ["node", str(directory / "server.js"), str(EVENT_BYTES)]
    return stack.enter_context(competitor_process(command))


def fetch_packages(directory: Path, environment: Mapping[str, str]) -> None:
    """Fetch what a package-lock.json names; CannotRun when npm could not."""
    try:
        subprocess.run(
            NPM, cwd=directory, env=environment, check=True, capture_output=True, timeout=NPM_S
        )
    except subprocess.TimeoutExpired:
        raise CannotRun(f"npm could not fetch it in {NPM_S:.0f} s") from None
    except subprocess.CalledProcessError as failed:
        said = failed.stderr.decode(errors="replace").strip().splitlines() or ["it failed"]
        raise CannotRun(f"npm could not fetch it: {said[0]}") from None
