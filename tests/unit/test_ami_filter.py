"""Asterisk is asked to send what the gateway uses, and little else."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest import AsteriskNormaliser
from ingest.framing.ami_messages import AmiParser, encode
from ingest.normalise.asterisk_filter import EVENT_FILTER

RECORDINGS = Path(__file__).parent.parent / "recordings"
PATTERN = re.compile(EVENT_FILTER.replace("[[:space:]]", r"\s"), re.DOTALL)
"""As POSIX reads it: there, a dot is also a line break."""


@pytest.mark.parametrize("name", ["l05", "l17", "l22", "s05", "s22", "s26"])
def test_the_filter_lets_through_what_is_used_and_little_else(name: str) -> None:
    """Whatever the normaliser makes an event of passes; of the rest, next to nothing."""
    (path,) = RECORDINGS.glob(f"{name}*.jsonl.gz")
    normaliser = AsteriskNormaliser("pbx")
    used, passed = set(), set()
    with gzip.open(path, "rb") as lines:
        recorded = [item for item in map(json.loads, lines) if item["kind"] == "event"]
    for number, item in enumerate(recorded):
        (message,) = AmiParser().feed(item["raw"].encode("utf-8", "surrogateescape"))
        if normaliser.events(message, datetime.now(UTC)):
            used.add(number)
        if PATTERN.search(item["raw"]):
            passed.add(number)

    assert used <= passed
    assert len(passed - used) < len(recorded) / 50


@pytest.mark.parametrize("name", ["SIPCALLID", "MIXMONITOR_FILENAME", "BRIDGEPEER"])
def test_of_a_channels_variables_those_pass_that_are_used(name: str) -> None:
    """A telephone's Call-ID and the file of a recording; not what Asterisk sets for itself."""
    raw = f"Event: VarSet\r\nUniqueid: 1.1\r\nVariable: {name}\r\nValue: a\r\n\r\n"
    (message,) = AmiParser().feed(b"Asterisk Call Manager/9\r\n" + raw.encode())

    used = AsteriskNormaliser("pbx").events(message, datetime.now(UTC))

    assert bool(used) == bool(PATTERN.search(raw)) == (name != "BRIDGEPEER")


@pytest.mark.parametrize(
    ("context", "priority", "passes"),
    [("ext-group", "1", True), ("ext-group", "12", False), ("from-internal", "1", False)],
)
def test_of_a_ring_groups_steps_the_first_passes(context: str, priority: str, passes: bool) -> None:
    """It names the group; the others are a dozen of each call."""
    raw = (
        f"Event: Newexten\r\nUniqueid: 1.1\r\nContext: {context}\r\nExten: 600\r\n"
        f"Priority: {priority}\r\nApplication: Macro\r\n\r\n"
    )
    (message,) = AmiParser().feed(b"Asterisk Call Manager/9\r\n" + raw.encode())

    used = AsteriskNormaliser("pbx").events(message, datetime.now(UTC))

    assert bool(used) == bool(PATTERN.search(raw)) == passes


def test_the_filter_fits_into_a_line() -> None:
    """Asterisk reads lines of up to 1,024 bytes."""
    assert len(encode([("Filter", EVENT_FILTER)])) < 1_000
