"""A declaration with a mistake fails at import, and says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest

from gateway import commands
from gateway.context import Context
from gateway.protocol import COMMANDS, EVENTS, MessageSend, MessageSent
from gateway.protocol.declaration import (
    COMMAND_DECLARATIONS,
    EVENT_DECLARATIONS,
    WrongDeclaration,
    command,
    event,
)
from gateway.serving import HANDLERS, serves, serves_in_session


def declared(cls: type[Any], **changes: Any) -> None:
    command(**{"reply": None, "cost": "read", **changes})(cls)


class Nameless:
    text: str


class Misnamed:
    type: Literal["test.one"] = "test.two"  # type: ignore[assignment]


class WithoutDefault:
    type: Literal["test.one"]


class Shouting:
    type: Literal["Test.One"] = "Test.One"


class Twice:
    type: Literal["message.send"] = "message.send"


class Fine:
    type: Literal["test.fine"] = "test.fine"


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "no name": (lambda: declared(Nameless), "Nameless has no field"),
    "two names": (lambda: declared(Misnamed), "Misnamed: `type` needs one Literal"),
    "no default": (lambda: declared(WithoutDefault), "WithoutDefault: `type` needs"),
    "an odd name": (lambda: declared(Shouting), "'Test.One' is not a name"),
    "a name that is taken": (lambda: declared(Twice), "declared by MessageSend and by Twice"),
    "no such cost": (lambda: declared(Fine, cost="dear"), "'dear' is no cost"),
    "a silent write": (lambda: declared(Fine, cost="write"), "whether it is repeatable"),
    "no such lane": (lambda: event(lane="fast")(Fine), "'fast' is no lane"),  # type: ignore[arg-type]
    "an event is no command": (lambda: serves(EVENTS["call.ended"]), "not declared with @command"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_declaration_says_what_is_wrong(case: str) -> None:
    """And declares nothing."""
    declare, message = WRONG[case]
    before = dict(COMMAND_DECLARATIONS), dict(EVENT_DECLARATIONS)

    with pytest.raises(WrongDeclaration, match=message):
        declare()

    assert before == (COMMAND_DECLARATIONS, EVENT_DECLARATIONS)


def test_a_command_is_served_once() -> None:
    """By a function that takes the command and returns its reply."""

    async def again(ctx: Context, command: MessageSend) -> MessageSent:
        raise AssertionError

    async def other(ctx: Context, command: MessageSend) -> None:
        raise AssertionError

    before = HANDLERS["message.send"]
    with pytest.raises(WrongDeclaration, match=r"message\.send is served twice"):
        serves(MessageSend)(again)
    with pytest.raises(WrongDeclaration, match=r"message\.send is served twice"):
        serves_in_session(MessageSend)(again)
    del HANDLERS["message.send"]
    try:
        with pytest.raises(WrongDeclaration, match="other: takes and returns"):
            serves(MessageSend)(other)
    finally:
        HANDLERS["message.send"] = before


def test_every_command_is_served() -> None:
    """The table of handlers and the table of commands have the same names."""
    assert set(commands.HANDLERS) == set(COMMANDS)


def test_a_command_that_nothing_serves_is_an_error() -> None:
    """The collection names it."""
    before = HANDLERS.pop("draft.set")
    try:
        with pytest.raises(WrongDeclaration, match=r"nothing serves draft\.set"):
            commands.collect()
    finally:
        HANDLERS["draft.set"] = before
