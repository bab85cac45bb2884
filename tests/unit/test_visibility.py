"""What of a conversation's changes is for somebody who was out of it for a while."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gateway.chat.queries.changes import Change
from gateway.protocol import Employee, Message, MessageCreated, Participant, ParticipantChanged
from gateway.sockets.subscriptions.visibility import visible_changes

PETRO, IRYNA = 19, 20


def said(change: int, text: str, **more: Any) -> Change:
    message = Message(
        conversation_id=1,
        seq=change,
        change=change,
        sender_id=IRYNA,
        text=text,
        created_at=datetime(2026, 11, 23, tzinfo=UTC),
        **more,
    )
    event = MessageCreated(conversation_id=1, change=change, message=message)
    return Change(1, change, change, 9, event)


def took_out(change: int, who: int) -> Change:
    attrs = {"event": "removed", "employee_ids": [who]}
    return said(change, "", kind="system", attrs=attrs)


def changed(change: int, who: int, *, left: bool) -> Change:
    participant = Participant(employee=Employee(id=who, name="A"), role="member", last_read_seq=0)
    event = ParticipantChanged(conversation_id=1, change=change, participant=participant, left=left)
    return Change(1, change, 0, 9, event)


def numbers(changes: list[Change]) -> list[int]:
    return [one.change for one in changes]


def test_what_was_said_while_one_was_out_is_not_for_who_is_in_again() -> None:
    """Their removal shows in a system message only: their row tells of the return."""
    told = [said(2, "a"), took_out(3, PETRO), said(4, "secret"), changed(5, PETRO, left=False)]

    heard, out = visible_changes([*told, said(6, "b")], PETRO)

    assert (numbers(heard), out) == ([2, 3, 5, 6], False)


def test_who_is_out_in_the_end_hears_of_it_and_nothing_more() -> None:
    """The row says so, or a system message, or both, one after the other."""
    by_row, by_message = changed(3, PETRO, left=True), took_out(2, PETRO)
    for told, expected in (
        ([by_message], [1, 2]),
        ([by_row], [1, 3]),
        ([by_message, by_row], [1, 2, 3]),
    ):
        heard, out = visible_changes([said(1, "a"), *told, said(4, "secret")], PETRO)

        assert (numbers(heard), out) == (expected, True)


def test_the_absence_of_another_one_hides_nothing() -> None:
    """Everybody has absences of their own."""
    told = [took_out(2, IRYNA), changed(3, IRYNA, left=True), said(4, "c")]

    assert visible_changes(told, PETRO) == (told, False)
