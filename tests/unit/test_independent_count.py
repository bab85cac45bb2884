"""The count shares nothing with the product, agrees with the telephones' logs, and is compared."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import independent_count
from tests.support.call_truth import SHARED
from tests.support.independent_count.calls import CountedCall, calls, e164, length
from tests.support.independent_count.compare import Slack, differences
from tests.support.independent_count.pauses import pauses
from tests.support.independent_count.records import SECOND, QueueLogRow, Records, read
from tests.support.independent_count.shares import percentile

NAME = "m01_mixed_local"
HERE = Path(independent_count.__file__).parent
NEAR_S = 0.05
MISLOGGED = {
    "m104": "101 talks on two lines, and the PBX transfers the other one",
    "m106": "the other one",
    "m165": "201 is transferred to 201, and its two lines are taken for one",
}
"""Calls of which the recorder's own note is wrong → why."""

needs_the_recording = pytest.mark.skipif(
    not (SHARED / f"{NAME}.queue_log").exists(), reason=f"{SHARED} has no {NAME}.queue_log"
)


def imported(source: str) -> set[str]:
    """Return the first names of all modules that a source imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def of_the_product(source: str) -> set[str]:
    """Return what a source imports of the product, or of tests that may use it."""
    own = independent_count.__name__
    return {
        name
        for name in imported(source)
        if name.partition(".")[0] in {"gateway", "ingest", "presence", "loadtests", "tests"}
        and not name.startswith(own)
    }


def test_it_imports_nothing_of_the_product() -> None:
    """Nor anything of the tests that does."""
    sources = [path.read_text(encoding="utf-8") for path in HERE.glob("*.py")]

    assert len(sources) > 3
    assert [of_the_product(source) for source in sources] == [set()] * len(sources)


def test_an_import_of_the_product_is_found() -> None:
    """At the top of a module or in a function; its own modules and others' are none."""
    assert of_the_product("from gateway.db import Conn") == {"gateway.db"}
    assert of_the_product("def f():\n    import ingest.fold.fold") == {"ingest.fold.fold"}
    assert of_the_product("from tests.support import call_truth") == {"tests.support"}
    assert (
        of_the_product(f"import csv\nfrom {independent_count.__name__}.calls import e164") == set()
    )


@needs_the_recording
def test_it_agrees_with_the_telephones_own_logs() -> None:
    """Of each of the 200 calls: who answered, how long they waited, rang and talked."""
    truths = json.loads((SHARED / f"{NAME}.truth.json").read_text(encoding="utf-8"))["calls"]
    inbound = [call for call in calls(read(SHARED, NAME)) if call.direction == "inbound"]
    found = {}

    for call, truth in zip(inbound, sorted(truths, key=lambda one: one["started"]), strict=True):
        wrong = [text for text in judged(call, truth) if text]
        if wrong:
            found[truth["ref"]] = wrong

    assert {ref: wrong for ref, wrong in found.items() if ref not in MISLOGGED} == {}
    assert found.keys() == MISLOGGED.keys()


def judged(call: CountedCall, truth: dict[str, Any]) -> list[str]:
    """Return in what the counted call differs from what the telephones logged.

    A telephone that picks up in the moment in which another is taken logs a talk of no length.
    """
    talked = [one for one in call.telephones if one.talks]
    first = min(talked, key=lambda one: one.talks[0], default=None)
    talks = sorted((one.extension, length(one.talks) / SECOND) for one in talked)
    logged = [one for one in truth["talks"] if one["talked_s"]]
    rang = sorted(
        (one.extension, ((one.answered or one.ended) - one.began) / SECOND)
        for one in call.telephones
    )
    return [
        same("answered by", first and first.extension, logged[0]["agent"] if logged else None),
        same("queues", [one.queue for one in call.stays], [q["queue"] for q in truth["queues"]]),
        same("transferred", sum(len(one.transferred) for one in call.telephones),
             int(bool(truth["transfer"]))),
        close("began", [("", call.began / SECOND)], [("", truth["started"])]),
        close("talked", talks,
              sorted((one["agent"], one["talked_s"]) for one in logged)),
        close("rang", rang, sorted((one["agent"], one["rang_s"]) for one in truth["rang"])),
    ]  # fmt: skip


def same(what: str, ours: object, theirs: object) -> str:
    return "" if ours == theirs else f"{what}: {ours}, logged {theirs}"


def close(what: str, ours: list[tuple[str, float]], theirs: list[tuple[str, float]]) -> str:
    """Compare who, and for how long."""
    near = [who for who, _ in ours] == [who for who, _ in theirs] and all(
        abs(one - other) <= NEAR_S for (_, one), (_, other) in zip(ours, theirs, strict=True)
    )
    return "" if near else f"{what}: {ours}, logged {theirs}"


@needs_the_recording
def test_cdr_has_the_same_talks() -> None:
    """Of each telephone, to the second; two that picked up too late have one in CDR alone."""
    found = read(SHARED, NAME)
    parts = {one.channel: one for call in calls(found) for one in call.telephones}
    late = 0

    for row in found.cdr:
        part = parts.get(row.channel.removesuffix("2") + "1")
        if part is None or not row.channel.endswith(";2"):
            continue
        if part.answered is not None:
            assert row.disposition == "ANSWERED"
            assert abs(row.talked_s - (part.ended - part.answered) / SECOND) < 1, part
        else:
            late += row.disposition == "ANSWERED"
        assert abs(row.duration_s - (part.ended - part.began) / SECOND) < 1, part

    assert late == 2


def test_a_pause_with_another_reason_ends_the_one_before() -> None:
    """PAUSEALL adds nothing to the PAUSE beside it, and a pause without an end goes on."""
    rows = [
        QueueLogRow(at * SECOND, "NONE", queue, "Agent 101", event, (reason,))
        for at, queue, event, reason in (
            (10, "NONE", "PAUSEALL", "WrapUp"),
            (10, "sales", "PAUSE", "WrapUp"),
            (40, "sales", "PAUSE", "lunch"),
            (45, "sales", "PAUSE", "lunch"),
            (90, "sales", "UNPAUSE", ""),
            (95, "support", "PAUSE", "lunch"),
        )
    ]
    counted = Records(rows, [], [])
    period = (0, 100 * SECOND)

    wraps = pauses(counted, period, wrap_up=True)
    others = pauses(counted, period, wrap_up=False)

    assert wraps == {"101": [(10 * SECOND, 40 * SECOND)]}
    assert others == {"101": [(40 * SECOND, 90 * SECOND), (95 * SECOND, 100 * SECOND)]}
    assert pauses(counted, period, queue="support", wrap_up=True) == {}


def test_numbers_and_percentiles() -> None:
    """Each notation of the recordings is one number; percentiles lie between two values."""
    for number in ("+38 067 100-02-96", "8 (067) 100-02-96", "0671000296", "00380671000296"):
        assert e164(number) == "+380671000296"
    assert e164("anonymous") is e164("101") is None
    assert [percentile([1, 2, 3, 5], percent) for percent in (50, 90, 100)] == [2.5, 4.4, 5]
    assert percentile([], 50) is None


def test_every_difference_is_found() -> None:
    """A count by one, a time by more than the two clocks, a figure that only one of them has."""
    slack = Slack(Records([], [], []), {})
    ours: dict[str, Any] = {"calls": 2, "rate": 0.5, "asa_ms": 100.0, "none": None, "hours": [1],
                            "talk": {"handled": 2, "talk_ms": 50}}  # fmt: skip

    def found(**changes: Any) -> list[str]:
        return differences("x", ours, {**ours, **changes}, slack)

    assert found() == found(asa_ms=109.0) == found(talk={"handled": 2, "talk_ms": 70}) == []
    assert found(calls=3) == ["x calls: counted 2, said 3"]
    assert found(rate=0.500001) == ["x rate: counted 0.5, said 0.500001"]
    assert found(asa_ms=110.1) == ["x asa_ms: counted 100.0, said 110.1"]
    assert found(asa_ms=None) == ["x asa_ms: counted 100.0, said None"]
    assert found(none=0) == ["x none: counted None, said 0"]
    assert found(hours=[2]) == ["x hours 0: counted 1, said 2"]
    assert found(hours=[]) == ["x hours: counted [1], said []"]
    assert found(more=1) == ["x more: only said"]
    assert found(talk={"handled": 2, "talk_ms": 71}) == ["x talk talk_ms: counted 50, said 71"]
    assert differences("x", {"a": 1}, {}, slack) == ["x a: only counted"]


def test_pauses_may_differ_by_their_seconds_only() -> None:
    """Less than a second for each pause of this agent."""
    row = QueueLogRow(0, "NONE", "sales", "Agent 101", "PAUSE", ("",))
    slack = Slack(Records([row, row], [], []), {"101": 1})
    ours = {"employee_id": 1, "offered": 1, "staffed_ms": 60_000, "pause_ms": 10_000,
            "occupancy": 0.5}  # fmt: skip

    assert differences("x", ours, {**ours, "pause_ms": 12_000, "occupancy": 0.52}, slack) == []
    assert len(differences("x", ours, {**ours, "pause_ms": 12_001}, slack)) == 1
    assert len(differences("x", ours, {**ours, "occupancy": 0.53}, slack)) == 1
    assert len(differences("x", {**ours, "employee_id": 2}, {**ours, "employee_id": 2,
                           "pause_ms": 10_001}, slack)) == 1  # fmt: skip
