"""Which lines each package writes, and in what form."""

from __future__ import annotations

import json
import subprocess
import sys

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
