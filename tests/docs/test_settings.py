"""docs/operations.md describes what an operator can set, see and run into, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.cli import reference
from gateway.errors import catalogue
from gateway.protocol.close_codes import CATALOGUE
from gateway.settings import Settings
from tests.docs.pages import OPERATIONS, PAGES, README, ROOT, commands
from tests.support.desk import Desk

VARIABLES = {reference.variable(name) for name in Settings.model_fields}
OF_TESTS = {"GATEWAY_TEST_DATABASE_URL", "GATEWAY_TEST_REDIS_URL"}


def test_the_table_of_settings_is_current() -> None:
    """The table is what the generator makes of the settings as they are declared."""
    remedy = "run `python -m gateway.cli.reference`"

    assert reference.render(OPERATIONS) == OPERATIONS, remedy


def test_every_setting_says_what_it_does() -> None:
    """A setting without a description would be an empty cell in the table."""
    silent = [name for name, field in Settings.model_fields.items() if not field.description]

    assert silent == []


def test_every_setting_is_read_somewhere() -> None:
    """A setting that no code reads would be a promise without effect."""
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "gateway").rglob("*.py")
        if path.name not in {"settings.py", "reference.py"}
    )

    assert [n for n in Settings.model_fields if not re.search(rf"settings\.{n}\b", code)] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / ".env.example"], ids=lambda path: path.name)
def test_every_variable_in_the_documents_exists(page: Path) -> None:
    """No page names a GATEWAY_ variable that the gateway does not know."""
    named = set(re.findall(r"\bGATEWAY_[A-Z_]+[A-Z]\b", page.read_text(encoding="utf-8")))

    assert named <= VARIABLES | OF_TESTS


def test_the_limits_name_errors_and_closes_that_exist() -> None:
    """Each error code and close code of the page is in the catalogue."""
    known = {error.code for error in catalogue()}
    codes = set(re.findall(r"`([a-z]+\.[a-z_]+)` ?(?:\(\d{3}\)|with|,)", OPERATIONS))
    closes = {int(code) for code in re.findall(r"close (\d{4})", OPERATIONS)}

    assert codes
    assert codes <= known
    assert closes
    assert closes <= {close.code for close in CATALOGUE}


async def test_the_health_endpoints_answer_as_described(small_desk: Desk) -> None:
    """/healthz and /readyz answer 200 on a worker that is well."""
    http = small_desk.http()

    assert (await http.get("/healthz")).status_code == 200
    assert (await http.get("/readyz")).json()["checks"].keys() >= {"database", "bus", "draining"}


def test_make_targets_in_the_documents_exist() -> None:
    """Each target of `make` on a page is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {
        word
        for line in [*commands(README), *commands(OPERATIONS)]
        for word in re.findall(r"^make ([a-z]+)", line)
    }

    assert {"dev", "test"} <= named <= targets


def flaws_in(description: str) -> list[str]:
    """Return what keeps a description from being understood without its neighbours."""
    first = description.partition(" ")[0]
    faults = {
        "does not begin as a sentence": not first[:1].isupper(),
        "does not end as a sentence": not description.rstrip().endswith("."),
        "goes on in the next one": "…" in (description[:1], description.rstrip(" .")[-1:]),
        "needs the one before": first in {"And", "Its", "Those", "Of", "Beyond", "But"},
        "is too short to say when to change it": len(description.split()) < 6,
    }
    return [fault for fault, found in faults.items() if found]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_description_stands_alone(name: str) -> None:
    """A description is whole sentences that do not need another setting's."""
    description = Settings.model_fields[name].description or ""

    assert flaws_in(description) == []


@pytest.mark.parametrize(
    "description",
    [
        "… and its key.",
        "Commands one connection may send on average …",
        "And its body by then, however it trickles; beyond it 408.",
        "Largest attached file.",
        "how long a link is valid, in seconds; keep it short.",
    ],
)
def test_a_description_that_needs_another_is_found(description: str) -> None:
    """The check above can fail."""
    assert flaws_in(description) != []
