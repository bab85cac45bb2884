"""Rivals that a machine cannot run are left out of a comparison, with the reason."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from loadtests import rivals
from loadtests.report import Result, table, to_json


def test_what_a_machine_lacks_is_skipped_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Node and without a package both rivals are missing, and the report says why."""
    monkeypatch.setattr(rivals, "RIVALS", ("ws", "no_such_package"))
    monkeypatch.setenv("PATH", "")

    with ExitStack() as stack:
        started, skipped = rivals.start_rivals(stack, 1)

    assert started == {}
    reasons = {"ws": "there is no node", "no_such_package": "the package no_such_package is not"}
    assert {name: skipped[name][: len(why)] for name, why in reasons.items()} == reasons
    result = Result("fanout", "nobody", {"clients": 1}, skipped=skipped)
    assert "not compared: ws, there is no node" in table(result)
    assert '"skipped":{"ws":"there is no node"' in to_json(result)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")
def test_a_registry_out_of_reach_is_a_reason(tmp_path: Path) -> None:
    """When npm fetches nothing, its own words say so."""
    shutil.copytree(rivals.NODE_WS, tmp_path / "server")
    unreachable = {
        "PATH": str(Path(shutil.which("npm") or "").parent),
        "HOME": str(tmp_path),
        "npm_config_registry": "http://127.0.0.1:1/",
        "npm_config_cache": str(tmp_path / "cache"),
    }

    with pytest.raises(rivals.CannotRun, match="npm could not fetch it: npm"):
        rivals.fetch_packages(tmp_path / "server", unreachable)
