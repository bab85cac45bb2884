"""What the documents say of the tree is so: paths, names, tables, routes, defaults of settings.

Each check is shown to fail on a text that is not true.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import truth
from tests.docs.pages import PAGES, ROOT
from tests.support.desk import Desk

ABOUT_THE_CODE = [
    ROOT / "docs" / "architecture.md",
    ROOT / "docs" / "operations.md",
    ROOT / "docs" / "glossary.md",
    ROOT / "docs" / "style.md",
    ROOT / ".github" / "CONTRIBUTING.md",
]
GLOSSARY = truth.glossary_rows(truth.text_of(ROOT / "docs" / "glossary.md"))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_paths_lead_somewhere(page: Path) -> None:
    """A path of ours, written as code on any page, is there."""
    assert truth.missing_paths(truth.text_of(page)) == []


@pytest.mark.parametrize("page", ABOUT_THE_CODE, ids=relative)
def test_names_exist(page: Path) -> None:
    """A module or class of ours, written as code, is defined somewhere."""
    assert truth.missing_names(truth.text_of(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_tables_exist(page: Path) -> None:
    """Whatever a page names in the schema `realtime` is made by a migration."""
    assert truth.missing_tables(truth.text_of(page)) == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docker-compose.yml"], ids=relative)
def test_numbers_are_the_defaults(page: Path) -> None:
    """A number beside a setting's name is the default of that setting."""
    assert truth.wrong_numbers(truth.text_of(page)) == []


async def test_routes_are_served(small_desk: Desk) -> None:
    """A request that a page prints is one that the gateway answers."""
    described = (await small_desk.http().get("/openapi.json")).json()["paths"]
    served = {(method.upper(), path) for path, found in described.items() for method in found}

    for page in PAGES:
        assert truth.missing_routes(truth.text_of(page), served) == [], relative(page)


def test_a_route_that_is_not_served_is_found() -> None:
    """The check of routes can fail, on the path and on the method."""
    page = "`GET /v1/calls/{id}`, `PUT /v1/calls/7`, `GET /v1/stats/{queues,moods}?since=now`"
    served = {("GET", "/v1/calls/{call_id}"), ("GET", "/v1/stats/queues")}

    assert truth.missing_routes(page, served) == ["GET /v1/stats/moods", "PUT /v1/calls/7"]


def test_the_pages_hold_what_is_searched_for() -> None:
    """The searches find paths and numbers on the pages that are full of them."""
    architecture = truth.text_of(ROOT / "docs" / "architecture.md")
    operations = truth.text_of(ROOT / "docs" / "operations.md")

    assert len(truth.PATH.findall(architecture)) > 50
    assert truth.numbers_read(architecture) >= 4
    assert truth.numbers_read(operations) >= 25


def test_a_path_that_leads_nowhere_is_found() -> None:
    """The check of paths can fail, on files and on folders, and knows those that exist."""
    page = "`gateway/app.py` `gateway/hub.py` `ingest/fold/` `ingest/told/` `docs/page.png`"

    assert truth.missing_paths(page) == ["gateway/hub.py", "ingest/told/"]


def test_a_name_that_does_not_exist_is_found() -> None:
    """The check of names can fail, on modules, attributes and classes."""
    page = "`gateway.app` `gateway.cli.ear` `gateway.settings.Settings` `gateway.settings.Wishes`"

    assert truth.missing_names(page) == ["gateway.cli.ear", "gateway.settings.Wishes"]
    assert truth.missing_names("`CallEvent` and `CallRumour`") == ["CallRumour"]


def test_a_table_that_does_not_exist_is_found() -> None:
    """The check of tables can fail."""
    assert truth.missing_tables("`realtime.messages`, realtime.massages") == ["massages"]


@pytest.mark.parametrize(
    "text",
    [
        "every worker, within `GATEWAY_SWEEP_S` (3 s) after the COMMIT",
        "serves 32 hellos at a time (`GATEWAY_HELLOS_AT_ONCE`)",
        "# GATEWAY_DRAIN_S (20) + 5 s",
        "| default | setting |\n|---|---|\n| 63 KiB | `GATEWAY_MAX_BODY_BYTES` |",
        "| default | setting |\n|---|---|\n| 20 a second | `GATEWAY_READS_PER_S` |",
    ],
)
def test_a_number_that_is_not_the_default_is_found(text: str) -> None:
    """The check of numbers can fail in each of the ways in which it reads them."""
    assert len(truth.wrong_numbers(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "every worker, within `GATEWAY_SWEEP_S` (2 s) after the COMMIT",
        "of 1,000 clients, 128 hellos at a time (`GATEWAY_HELLOS_AT_ONCE`)",
        "after 25 s; then the next (`GATEWAY_HOST`)",
        "| default | setting |\n|---|---|\n| 40 a second | `GATEWAY_READS_PER_S` |",
    ],
)
def test_a_number_that_is_the_default_is_not(text: str) -> None:
    """The check of numbers leaves true ones alone."""
    assert truth.wrong_numbers(text) == []


def test_the_glossary_defines_each_word_once() -> None:
    """One row for a word; each says what it means and, unless it is reserved, where it is."""
    words = [word for _, word, _, _ in GLOSSARY]

    assert len(words) > 60
    assert truth.twice(words) == []
    assert [word for _, word, meaning, _ in GLOSSARY if len(meaning) < 20] == []
    astray = [
        word
        for section, word, _, where in GLOSSARY
        if section != "Reserved words" and "`" not in where and "](" not in where
    ]
    assert astray == []


def test_a_word_that_is_defined_twice_is_found() -> None:
    """The check of the glossary can fail."""
    page = "## One\n" + "".join(
        f"| {word} | a thing | `x` | - |\n" for word in ("lane", "leg", "lane")
    )

    assert truth.twice([word for _, word, _, _ in truth.glossary_rows(page)]) == ["lane"]
