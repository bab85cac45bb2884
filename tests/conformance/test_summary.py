"""The judge of Autobahn's reports: nothing that is wrong passes, nothing that is known alarms."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import autobahn, summary
from tests.conformance.__main__ import EXPECTED, SECTIONS, SKIPPED, main, sections
from tests.conformance.summary import Expected


def case(behaviour: str = "OK", close: str = "OK") -> dict[str, Any]:
    return {"behavior": behaviour, "behaviorClose": close, "duration": 1, "remoteCloseCode": 1000}


GOOD = {
    "1.1.1": case(),
    "6.4.1": case("NON-STRICT"),
    "7.1.5": case("FAILED", "WRONG CODE"),
    "7.1.6": case("INFORMATIONAL", "INFORMATIONAL"),
    "10.1.1": case(),
}


def known() -> Expected:
    return Expected.read(EXPECTED)


def test_a_run_as_expected_passes() -> None:
    """Known deviations are counted and named, and harm nothing."""
    found = summary.judge(GOOD, known())

    assert found.passed
    assert found.behaviours == {"OK": 2, "NON-STRICT": 1, "FAILED": 1, "INFORMATIONAL": 1}
    assert found.closes == {"OK": 3, "WRONG CODE": 1, "INFORMATIONAL": 1}
    assert found.deviations == {"6.4.1": "NON-STRICT", "7.1.5": "FAILED"}


@pytest.mark.parametrize(
    ("number", "wrong"),
    [
        ("1.1.1", case("FAILED")),
        ("1.1.1", case("NON-STRICT")),
        ("1.1.1", case("OK", "WRONG CODE")),
        ("1.1.1", case("OK", "UNCLEAN")),
        ("1.1.1", case("OK", "FAILED BY CLIENT")),
        ("1.1.1", case("UNIMPLEMENTED")),
        ("1.1.1", case("something new")),
        ("6.4.1", case("FAILED")),
        ("6.4.1", case("NON-STRICT", "UNCLEAN")),
        ("7.1.5", case("FAILED", "UNCLEAN")),
        ("12.1.1", case("FAILED")),
    ],
)
def test_what_is_wrong_does_not_pass(number: str, wrong: dict[str, Any]) -> None:
    """A behaviour or a closing handshake that is not on the list fails the run, and is named."""
    found = summary.judge({**GOOD, number: wrong}, known())

    assert not found.passed
    assert list(found.surprises) == [number]
    assert f"NOT EXPECTED {number}" in summary.text_of(found)


def test_an_extension_that_is_not_agreed_on_is_a_failure() -> None:
    """Sections 12 and 13 are about permessage-deflate, which the gateway offers."""
    found = summary.judge(
        {"12.1.1": case("UNIMPLEMENTED"), "13.7.18": case("UNIMPLEMENTED")}, known()
    )

    assert not found.passed
    assert set(found.surprises) == {"12.1.1", "13.7.18"}


def test_a_run_of_nothing_does_not_pass(tmp_path: Path) -> None:
    """Neither no cases nor fewer than were asked for."""
    report = tmp_path / "index.json"
    report.write_text(json.dumps({"crm-gateway": GOOD}), encoding="utf-8")

    assert not summary.judge({}, known()).passed
    assert summary.read(report, known(), wanted=5).passed
    assert not summary.read(report, known(), wanted=6).passed
    report.write_text("{}", encoding="utf-8")
    assert not summary.read(report, known()).passed


def test_the_summary_reads_as_json() -> None:
    """--json says the same."""
    said = json.loads(json.dumps(summary.judge({"2.1": case("FAILED")}, known()).as_json()))

    assert said["passed"] is False
    assert said["surprises"] == {"2.1": "FAILED"}


def test_every_known_deviation_says_why() -> None:
    """expected.json names cases of sections that exist, and a reason for each."""
    for group in json.loads(EXPECTED.read_text(encoding="utf-8")).values():
        assert len(group["why"]) > 20
        for number, deviation in group["cases"].items():
            assert int(number.split(".")[0]) in SECTIONS
            assert set(deviation["behaviours"]) <= {"NON-STRICT", "FAILED", "WRONG CODE"}


def test_sections_are_ranges_and_lists() -> None:
    """Those that Autobahn does not have are left out; nonsense is refused."""
    assert sections("1-10") == [1, 2, 3, 4, 5, 6, 7, 9, 10]
    assert sections("12,13") == [12, 13]
    assert sum(SECTIONS[number] for number in sections("1-10")) == 301
    for nonsense in ("", "all", "8", "1-", "-3"):
        with pytest.raises(argparse.ArgumentTypeError):
            sections(nonsense)


def test_without_python27_nothing_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command says why it did not run, and exits with the code for that."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    liar = tmp_path / "python2.7"  # pyenv's shim for a version that is not installed
    liar.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    liar.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(autobahn.SuiteUnavailable):
        autobahn.find_python27()
    assert main([]) == SKIPPED
    assert "no CPython 2.7" in capsys.readouterr().err
