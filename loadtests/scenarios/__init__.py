"""The scenarios, by name, in the order in which all are run."""

from __future__ import annotations

from collections.abc import Callable

from loadtests.options import Options
from loadtests.report import Result
from loadtests.scenarios import locust_chat, roundtrip

SCENARIOS: dict[str, Callable[[Options], Result]] = {
    "roundtrip": roundtrip.run,
    "locust": locust_chat.run,
}

__all__ = ["SCENARIOS"]
