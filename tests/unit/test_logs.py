"""Which lines each package writes, and in what form."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

SAY = """
import logging, structlog
from gateway.ops import logs
logs.configure(level={level!r}, json={json})
structlog.get_logger("gateway.app").info("gateway.ready", node="n1")
structlog.get_logger("gateway.app").debug("details")
for name in ("gateway.db.migrate", "ingest.pipeline", "presence.lease", "redis", "asyncpg"):
    logging.getLogger(name).debug("quiet")
    logging.getLogger(name).info("said number=%d", 17)
    logging.getLogger(name).warning("trouble")
"""


def lines(level: str, *, as_json: bool = False) -> list[str]:
    """Return what a process writes that logs at this level."""
    code = SAY.format(level=level, json=as_json)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    return ran.stderr.splitlines()


def test_info_lines_of_all_three_packages_appear_with_their_logger() -> None:
    """And those of libraries do not."""
    written = [json.loads(line) for line in lines("info", as_json=True)]

    assert [(one["logger"], one["event"]) for one in written if one["level"] == "info"] == [
        ("gateway.app", "gateway.ready"),
        ("gateway.db.migrate", "said number=17"),
        ("ingest.pipeline", "said number=17"),
        ("presence.lease", "said number=17"),
    ]
    assert {one["logger"] for one in written if one["level"] == "warning"} == {
        "gateway.db.migrate", "ingest.pipeline", "presence.lease", "redis", "asyncpg",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("level", "levels"),
    [
        ("debug", {"debug", "info", "warning"}),
        ("info", {"info", "warning"}),
        ("warning", {"warning"}),
        ("error", set()),
    ],
)
def test_the_level_is_the_least_that_is_written(level: str, levels: set[str]) -> None:
    """In the form of key=value, time and level first."""
    written = lines(level)

    assert {line.split()[1].removeprefix("level=") for line in written} == levels
    assert all(line.startswith("timestamp=") for line in written)


TOGETHER = """
import logging, sys, structlog
from gateway.ops import logs
logs.configure(level="info", json=True)
name = sys.argv[1]
ours, theirs = structlog.get_logger("gateway.x"), logging.getLogger("ingest.y")
for number in range(300):
    ours.info("one", who=name, number=number, text="x" * 40 * (number % 60))
    theirs.info("%s %d", name, number)
    try:
        [][number]
    except IndexError as error:
        deep = "".join(f"line {n}: a\\nb \\" of {name}" for n in range(400))
        ours.error("failed", exc_info=RuntimeError(deep), who=name, number=number)
"""


def written_by_three(stderr: IO[bytes]) -> None:
    """Let three processes log into one file or pipe at the same time."""
    command = [sys.executable, "-c", TOGETHER]
    writers = [subprocess.Popen([*command, name], stderr=stderr) for name in "abc"]
    for writer in writers:
        assert writer.wait(60) == 0


def require_whole(data: bytes) -> None:
    lines_ = [json.loads(line) for line in data.splitlines()]
    for name in "abc":
        mine = [one for one in lines_ if one.get("who") == name]
        for event, count in (("one", 300), ("failed", 300)):
            numbers = [one["number"] for one in mine if one["event"] == event]
            assert numbers == list(range(count)), (name, event)
    assert len(lines_) == 3 * 900
    assert all(one["exception"].endswith(f"of {one['who']}") for one in lines_ if "number" in one
               and one["event"] == "failed")  # fmt: skip


def test_lines_of_processes_that_share_a_file_stay_whole(tmp_path: Path) -> None:
    """Opened without O_APPEND and by two descriptors, as by a shell: nothing is overwritten."""
    path = tmp_path / "log"
    with path.open("wb") as first:
        written_by_three(first)

    require_whole(path.read_bytes())


def test_lines_of_processes_that_share_a_pipe_stay_whole() -> None:
    """Each is shorter than what a pipe keeps together, however long a traceback is."""
    reading, writing = os.pipe()
    data = bytearray()
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        with os.fdopen(writing, "wb", buffering=0) as theirs:
            command = [sys.executable, "-c", TOGETHER]
            writers = [subprocess.Popen([*command, name], stderr=theirs) for name in "abc"]
        while piece := pipe.read(65_536):
            data += piece
    for writer in writers:
        assert writer.wait(60) == 0

    assert max(map(len, data.splitlines())) < select.PIPE_BUF
    require_whole(bytes(data))
