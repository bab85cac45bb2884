"""What an Asterisk answers to a request for a snapshot takes a bounded amount of memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.framing.ami_messages import MESSAGE_LIMIT_BYTES, AmiMessage, AmiParser, MessageTooLong
from ingest.normalise import asterisk_snapshot
from ingest.normalise.asterisk_snapshot import USED, AsteriskSnapshot

MIB = 1024 * 1024
AT = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def message(action: str, **fields: str) -> AmiMessage:
    return AmiMessage((*fields.items(), ("ActionID", f"t-{action}")))


def channel(number: int) -> AmiMessage:
    """Return a channel as Asterisk lists it, all its fields included."""
    return message(
        "CoreShowChannels", Event="CoreShowChannel", Channel=f"PJSIP/101-{number:08x}",
        ChannelState="6", ChannelStateDesc="Up", CallerIDNum=f"+38067{number:07}",
        CallerIDName=f"Name {number}", ConnectedLineNum=f"+38044{number:07}",
        ConnectedLineName="<unknown>", Language="en", AccountCode="", Context="from-internal",
        Exten=f"{number}", Priority="3", Uniqueid=f"1795377589.{number}",
        Linkedid=f"1795377589.{number}", Application="Queue", ApplicationData=f"sales,{number}",
        Duration="00:00:03", BridgeId=f"{number:036}",
    )  # fmt: skip


KINDS: dict[str, Callable[[int], AmiMessage]] = {
    "channels": channel,
    "channels with a long name": lambda number: message(
        "CoreShowChannels", Event="CoreShowChannel", Uniqueid=f"{number}",
        Application=f"{number}".ljust(200_000, "x"),
    ),
    "channels with a thousand fields": lambda number: message(
        "CoreShowChannels", Event="CoreShowChannel", Uniqueid=f"{number}",
        **{f"Field{number}-{field}": f"{field}" for field in range(1_000)},
    ),
    "waiting callers": lambda number: message(
        "QueueStatus", Event="QueueEntry", Queue=f"q{number}", Uniqueid=f"{number}", Wait="3",
    ),
    "queue members": lambda number: message(
        "QueueStatus", Event="QueueMember", Queue=f"queue {number}", Name=f"PJSIP/{number}",
        Location="PJSIP/101", StateInterface="PJSIP/101", Paused="1", LastPause="1795377589",
        PausedReason=f"{number}".ljust(200, "x"), LoginTime="1795377589",
    ),
    "contacts": lambda number: message(
        "PJSIPShowContacts", Event="ContactList", ObjectName=f"{number};@1f", Endpoint=f"{number}",
    ),
    "what nobody asked for": lambda number: message("QueueStatus", Event="Other", N=f"{number}"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_an_endless_answer_of_any_kind_is_given_up(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what there is too much of, after a bounded number of messages."""
    bounds = {"MAX_LISTED": 200, "MAX_MEMBERS": 300, "MAX_CHARACTERS": 30_000, "MAX_MESSAGES": 500}
    for name, most in bounds.items():
        monkeypatch.setattr(asterisk_snapshot, name, most)
    snapshot = AsteriskSnapshot("pbx", "t")

    for number in range(1_000):
        assert snapshot.accept(KINDS[kind](number))
        if snapshot.too_long:
            break

    assert number <= max(bounds["MAX_MESSAGES"], bounds["MAX_LISTED"])
    assert (snapshot.too_long or "").startswith("more than ")
    assert not snapshot.complete


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_endless_answer_takes_some_dozen_mebibytes(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below 64 MiB whatever it consists of: measured with a twentieth of the bounds."""
    for name in ("MAX_LISTED", "MAX_MEMBERS", "MAX_CHARACTERS", "MAX_MESSAGES"):
        monkeypatch.setattr(asterisk_snapshot, name, getattr(asterisk_snapshot, name) // 20)
    snapshot = AsteriskSnapshot("pbx", "t")
    number = 0
    tracemalloc.start()
    try:
        while not snapshot.too_long:
            snapshot.accept(KINDS[kind](number))
            number += 1
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 64 * MIB // 20


def test_what_is_kept_of_a_channel_is_all_that_is_used() -> None:
    """The snapshot of a channel's used fields is the snapshot of all its fields."""

    def result_of(shown: list[AmiMessage]) -> Any:
        snapshot = AsteriskSnapshot("pbx", "t")
        for one in shown:
            snapshot.accept(one)
        return snapshot.result(AT)

    kept = {*USED, "Event", "ActionID"}
    kinds = [channel(1), KINDS["waiting callers"](2)]
    less = [
        replace(one, fields=tuple(field for field in one.fields if field[0] in kept))
        for one in kinds
    ]

    assert result_of(less) == result_of(kinds)
    names = {fact.type for fact in result_of(kinds).facts}
    assert {"leg.created", "leg.answered", "bridge.joined"} <= names


def test_a_message_without_an_end_is_given_up() -> None:
    """After 256 KiB, in pieces of any size, with or without line breaks."""
    for piece in (b"x" * 1_000, b"Name: value\r\n" * 100):
        parser = AmiParser()
        for _ in range(MESSAGE_LIMIT_BYTES // len(piece)):
            assert parser.feed(piece) == []
        with pytest.raises(MessageTooLong):
            parser.feed(piece)
