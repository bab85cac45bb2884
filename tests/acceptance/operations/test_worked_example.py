"""CONTRIBUTING's worked example, applied to a copy of the tree: everything derived appears."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[3]
PAGE = TREE / ".github" / "CONTRIBUTING.md"
COMMAND, EVENT = "draft.clear_all", "draft.all_cleared"

LISTED = f"""
import json
from gateway.app import create_app
from gateway.protocol import COMMANDS, EVENTS, REPEATABLE, REPLIES, asyncapi
from gateway import commands
from gateway.settings import Settings
from gateway.delivery import lanes
import gateway
from tests.support.bad_inputs import bad_inputs

document = asyncapi.document("1")
secret = "a secret of thirty-two bytes or so"
app = create_app(Settings(database_url="postgresql://localhost/x", token_secret=secret))
command = COMMANDS["{COMMAND}"]
print(json.dumps({{
    "tree": gateway.__file__,
    "reply": REPLIES[command].__name__,
    "repeatable": "{COMMAND}" in REPEATABLE,
    "event": EVENTS["{EVENT}"].__name__,
    "lane": lanes.NAMES[lanes.lane_of("{EVENT}")],
    "cost": commands.handler_of("{COMMAND}").cost,
    "asyncapi": [one for one in document["operations"] if one.endswith(("{COMMAND}", "{EVENT}"))],
    "route": app.openapi()["paths"]["/v1/messenger/drafts"]["delete"]["responses"]["200"],
    "bad_inputs": [wrong.why for wrong in bad_inputs("{COMMAND}")],
}}))
"""


def patches() -> list[str]:
    """Return the patches of the page's worked example, one for each file."""
    example = PAGE.read_text(encoding="utf-8").partition("## A worked example")[2]
    return re.findall(r"^```diff\n(.*?)^```$", example, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the tree, apply the example, and run the generators."""
    copy = tmp_path_factory.mktemp("tree")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=TREE, check=True, capture_output=True, text=True
    )
    for name in listed.stdout.rstrip("\0").split("\0"):
        if (TREE / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TREE / name, copy / name)
    for patch in patches():
        subprocess.run(["git", "apply", "-"], cwd=copy, input=patch, text=True, check=True)
    run(copy, "-m", "gateway.protocol")
    return copy


def run(copy: Path, *arguments: str) -> str:
    """Run Python in the copy, with the copy's packages before those that are installed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    return done.stdout


def test_the_example_touches_its_type_use_case_sql_route_and_test() -> None:
    """And no list, table or document: those are generated."""
    assert [re.search(r"^\+\+\+ b/(.+)$", patch, re.MULTILINE)[1] for patch in patches()] == [  # type: ignore[index]
        "gateway/protocol/drafts.py",
        "gateway/chat/queries/drafts.py",
        "gateway/chat/drafts.py",
        "gateway/rest/drafts.py",
        "tests/acceptance/chat/test_draft_clear_all.py",
    ]


@pytest.mark.slow
def test_everything_derived_appears(copy: Path) -> None:
    """Tables, lane, cost, documents, the SDK's list and the bad inputs."""
    listed = json.loads(run(copy, "-c", LISTED))
    page = (copy / "docs" / "protocol.md").read_text(encoding="utf-8")
    sdk = (copy / "gateway" / "web" / "sdk" / "protocol.js").read_text(encoding="utf-8")
    repeatable = re.search(r"REPEATABLE = new Set\(\[(.*?)\]\)", sdk, re.DOTALL)

    assert Path(listed.pop("tree")).is_relative_to(copy)
    assert {"before: a text", "before: a lone surrogate"} <= set(listed.pop("bad_inputs"))
    answer = listed.pop("route")["content"]["application/json"]["schema"]["$ref"]
    assert answer == "#/components/schemas/DraftsCleared"
    assert listed == {
        "reply": "DraftsCleared",
        "repeatable": True,
        "event": "DraftAllCleared",
        "lane": "receipt",
        "cost": "write",
        "asyncapi": [f"receive-{COMMAND}", f"send-{EVENT}"],
    }
    assert f"| `{COMMAND}` |" in page
    assert f"| `{EVENT}` |" in page
    assert repeatable
    assert f'"{COMMAND}"' in repeatable[1]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_example_passes_its_own_test_and_those_of_all_commands(copy: Path) -> None:
    """Also what is generated is current, and the code is as ruff wants it."""
    run(copy, "-m", "ruff", "check", "--quiet", "gateway", "tests/acceptance/chat")
    run(copy, "-m", "ruff", "format", "--check", "--quiet", "gateway", "tests/acceptance/chat")
    said = run(
        copy, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider",
        "tests/acceptance/chat/test_draft_clear_all.py",
        "tests/acceptance/sockets/test_bad_commands.py",
        "tests/docs/test_generated.py",
        "tests/unit/test_asyncapi.py",
        "tests/unit/test_limits.py",
        "tests/unit/test_repeatable.py",
        "-k", "draft or not harms_nobody",
    )  # fmt: skip

    assert " passed" in said
    assert "failed" not in said
