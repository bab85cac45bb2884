"""No name from a PBX is a formula, in whatever way the reader's spreadsheet parts cells."""

from __future__ import annotations

import csv
import io
import itertools

import pytest

from gateway.rest.telephony_stats import as_csv

SIGNS = "=+-@＝＋－＠"  # noqa: RUF001 - full-width signs are the subject
SEPARATORS = ";,\t|"
BEFORE = ["", " ", "\t", "\r", "\n", "\r\n", ";", ",", "|", "x;", "x,", 'x"\n', "x;;", "x\t", 'x;"',
          "\u3000", "'", "x; "]  # fmt: skip
PLAIN = ["Продажі", "a-b", "a=b", "1 + 1", "mail@example.com", "x - y", "C+", "", "a.b"]


def cells(text: str, separator: str) -> list[str]:
    """Return all cells as a spreadsheet with this separator reads them, quoted or not."""
    read = [
        cell
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        for cell in row
    ]
    split = [cell for line in text.splitlines() for cell in line.split(separator)]
    return read + split


@pytest.mark.parametrize("separator", SEPARATORS)
def test_no_cell_is_a_formula(separator: str) -> None:
    """Any sign after anything that may begin a cell."""
    for before, sign in itertools.product(BEFORE, SIGNS):
        answer = {"queues": [{"first": 1, "queue": f"{before}{sign}cmd|' /C calc'!A0", "last": 2}]}

        found = cells(as_csv("queues", answer).removeprefix("\ufeff"), separator)

        for cell in found:
            begins = cell.lstrip(' \t\r\n"\u3000')
            assert not begins.startswith(tuple(SIGNS)), (before, sign, cell)


def test_other_names_stay_as_they_are() -> None:
    """A sign inside a name is no formula."""
    answer = {"queues": [{"queue": name, "calls": -1} for name in PLAIN]}

    rows = list(csv.reader(io.StringIO(as_csv("queues", answer).removeprefix("\ufeff"))))

    assert [row[0] for row in rows[1:]] == PLAIN
    assert {row[1] for row in rows[1:]} == {"-1"}


def test_excel_is_told_the_encoding() -> None:
    """The byte order mark comes first, once, and there also when there are no lines."""
    for queues in ([], [{"queue": "Продажі"}]):
        text = as_csv("queues", {"queues": queues})
        assert text.startswith("\ufeff")
        assert text.count("\ufeff") == 1
