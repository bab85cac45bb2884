"""The event socket's bytes: whole messages, however they are cut, and an end to what is none."""

from __future__ import annotations

import pytest

from ingest.framing.esl_messages import BODY_LIMIT_BYTES, HEAD_LIMIT_BYTES, EslParser, NotEsl


def message(length: str, body: bytes = b"") -> bytes:
    return f"Content-Type: api/response\nContent-Length: {length}\n\n".encode() + body


def test_however_the_bytes_are_cut_the_messages_are_the_same() -> None:
    """One byte at a time or all at once; letters of several bytes come out whole."""
    data = b"Content-Type: auth/request\n\n" + message("14", "Продажі".encode()) * 2
    by_byte = EslParser()

    whole = EslParser().feed(data)

    assert [one.body.decode() for one in whole] == ["", "Продажі", "Продажі"]
    assert [m for at in range(len(data)) for m in by_byte.feed(data[at : at + 1])] == whole


@pytest.mark.parametrize("length", ["", "0", "007", str(BODY_LIMIT_BYTES)])
def test_a_length_within_the_bound_is_taken(length: str) -> None:
    """Zeros in front change nothing, and none at all is no body."""
    taken = EslParser().feed(message(length, bytes(int(length or 0))))

    assert [len(one.body) for one in taken] == [int(length or 0)]


@pytest.mark.parametrize(
    "length",
    [
        str(BODY_LIMIT_BYTES + 1),
        "000000000000999999999999999",
        "0" * 50 + "9" * 5_000,
        "-1",
        "1e3",
        "1_000",
        "٣",
        "²",
        "x",
    ],
)
def test_a_length_that_is_no_plain_number_or_too_large_is_refused(length: str) -> None:
    """A peer that announces a body without end cannot fill the memory, nor end us by it."""
    with pytest.raises(NotEsl):
        EslParser().feed(message(length))


def test_a_head_without_end_is_refused() -> None:
    """As is one that never comes to its empty line."""
    parser = EslParser()
    parser.feed(b"x" * HEAD_LIMIT_BYTES)

    with pytest.raises(NotEsl):
        parser.feed(b"x")
