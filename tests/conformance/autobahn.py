"""Autobahn|Testsuite: where it is, how it is installed, how it is run.

It needs CPython 2.7 (its dependencies never left it), so it lives in a virtualenv of its own in
the user's cache, made once.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "25.10.1"
VIRTUALENV = "virtualenv<20.22"  # the last ones that make environments for 2.7

AGENT = "crm-gateway"
RUN_S = 1_800.0


class SuiteUnavailable(Exception):
    """Autobahn cannot run here; the text says why."""


def cache_dir() -> Path:
    """Return where the environment is kept: $XDG_CACHE_HOME/crm-gateway."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(home) / "crm-gateway" / f"autobahn-{VERSION}"


def find_python27() -> Path:
    """Return a CPython 2.7: pyenv's, or the one on the PATH; Unavailable when there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path("~/.pyenv").expanduser())
    candidates = sorted(pyenv.glob("versions/2.7*/bin/python2.7"), reverse=True)
    if on_path := shutil.which("python2.7"):
        candidates.append(Path(on_path))
    for candidate in candidates:
        if _is_python27(candidate):
            return candidate
    raise SuiteUnavailable(
        "no CPython 2.7 found, neither by pyenv nor on the PATH (pyenv install 2.7)"
    )


def install() -> Path:
    """Return wstest, installing it first if it is not there; Unavailable when that fails."""
    home = cache_dir()
    wstest = home / "python27" / "bin" / "wstest"
    ready = home / "ready"
    if ready.exists() and wstest.exists():
        return wstest
    python27 = find_python27()
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    tool = home / "tool"
    _run(sys.executable, "-m", "venv", str(tool))
    _run(str(tool / "bin" / "pip"), "install", "--quiet", VIRTUALENV)
    _run(str(tool / "bin" / "virtualenv"), "-q", "-p", str(python27), str(home / "python27"))
    pip = home / "python27" / "bin" / "pip"
    _run(str(pip), "install", "--quiet", f"autobahntestsuite=={VERSION}")
    ready.touch()
    return wstest


async def run(wstest: Path, port: int, cases: list[str], out: Path) -> Path:
    """Run these cases against the server on a port of this machine; return the report's index."""
    spec = out / "spec.json"
    spec.write_text(json.dumps(specification(port, cases, out / "reports")), encoding="utf-8")
    with (out / "wstest.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            str(wstest), "-m", "fuzzingclient", "-s", str(spec),
            cwd=out, stdout=log, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            code = await asyncio.wait_for(process.wait(), RUN_S)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    index = out / "reports" / "index.json"
    if code or not index.exists():
        tail = (out / "wstest.log").read_text(encoding="utf-8", errors="replace")[-2_000:]
        raise RuntimeError(f"wstest ended with {code} and no report:\n{tail}")
    return index


def specification(port: int, cases: list[str], reports: Path) -> dict[str, object]:
    """Return what `wstest` reads."""
    return {
        "outdir": str(reports),
        # Without it a server that closes the TCP connection itself fails section 7.
        "options": {"failByDrop": False},
        "servers": [{"agent": AGENT, "url": f"ws://127.0.0.1:{port}/v1/ws"}],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }


def _is_python27(candidate: Path) -> bool:
    """Say whether this is one: pyenv puts a `python2.7` on the PATH that may lead nowhere."""
    try:
        said = subprocess.run(
            [str(candidate), "-c", "import sys; print(sys.version_info[:2] == (2, 7))"],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return said.stdout.strip() == "True"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-500:]
        raise SuiteUnavailable(f"`{' '.join(command)}` failed: {said}")
