"""How commands and events are declared: `@command` or `@event` above the class that travels.

    @command(reply=MessageSent, cost="write", repeatable=True)
    class MessageSend:
        type: Literal["message.send"] = "message.send"

The decorator carries what belongs to the type, so that nothing has to list it a second time:
tables.py, the socket's lanes, both SDKs and every generated document read COMMAND_DECLARATIONS
and EVENT_DECLARATIONS. A declaration with a mistake fails at import.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, dataclass_transform, get_args

from gateway.protocol.frame import frame

T = TypeVar("T")

Cost = Literal["session", "write", "read", "passing", "ping"]
"""The rate limit that a command counts against. Only a read may overtake the command before it,
unless it is declared in_order."""

Lane = Literal["call", "reply", "message", "receipt", "passing"]
"""What leaves first when a client reads slowly: the first one here. `passing` may be dropped."""

Work = Callable[[Any], int]
"""Takes a command; returns 1 for one that asks for little."""

NAME = re.compile(r"[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)?")
LITERAL = re.compile(r"""(?:\w+\.)?Literal\[["']([^"']*)["']\]""")


class WrongDeclaration(TypeError):
    """A wire type is declared in a way that cannot work."""


@dataclass(frozen=True, slots=True)
class CommandDeclaration:
    """What the declaration of a command says."""

    name: str
    cls: type[Any]
    reply: type[Any] | None
    """What the reply carries under `ok`; None: an empty object."""
    cost: Cost
    repeatable: bool
    """A client may send it again when the connection was lost before the reply came."""
    in_order: bool
    """Commands sent behind it wait until it is done."""
    work: Work | None
    """How often it counts against its rate limit, by what it asks for; None: once."""


@dataclass(frozen=True, slots=True)
class EventDeclaration:
    """What the declaration of an event says."""

    name: str
    cls: type[Any]
    lane: Lane


COMMAND_DECLARATIONS: dict[str, CommandDeclaration] = {}
EVENT_DECLARATIONS: dict[str, EventDeclaration] = {}


@dataclass_transform(kw_only_default=True, frozen_default=True)
def command(
    *,
    reply: type[Any] | None,
    cost: Cost,
    repeatable: bool | None = None,
    in_order: bool | None = None,
    work: Work | None = None,
) -> Callable[[type[T]], type[T]]:
    """Declare what a client may send.

    A command that only reads is repeatable unless it says otherwise; one that writes has to say
    whether sending it twice does the same as sending it once. Any other is not, unless it says so.
    """

    def declare(cls: type[T]) -> type[T]:
        made = _frame_once(cls)
        name = _name_of(made)
        if cost not in get_args(Cost):
            raise WrongDeclaration(f"{cls.__name__}: {cost!r} is no cost: {get_args(Cost)}")
        if cost == "write" and repeatable is None:
            raise WrongDeclaration(f"{cls.__name__}: a write says whether it is repeatable")
        _only_once(COMMAND_DECLARATIONS, name, made)
        reads = cost == "read"
        COMMAND_DECLARATIONS[name] = CommandDeclaration(
            name,
            made,
            reply,
            cost,
            repeatable=reads if repeatable is None else repeatable,
            in_order=not reads if in_order is None else in_order,
            work=work,
        )
        return made

    return declare


@dataclass_transform(kw_only_default=True, frozen_default=True)
def event(*, lane: Lane) -> Callable[[type[T]], type[T]]:
    """Declare what the gateway sends without a request."""

    def declare(cls: type[T]) -> type[T]:
        made = _frame_once(cls)
        name = _name_of(made)
        if lane not in get_args(Lane):
            raise WrongDeclaration(f"{cls.__name__}: {lane!r} is no lane: {get_args(Lane)}")
        _only_once(EVENT_DECLARATIONS, name, made)
        EVENT_DECLARATIONS[name] = EventDeclaration(name, made, lane)
        return made

    return declare


def _frame_once(cls: type[T]) -> type[T]:
    """Make cls a frame, unless another decorator has: ping is both a command and an event."""
    return cls if "__dataclass_fields__" in vars(cls) else frame(cls)


def _name_of(cls: type[Any]) -> str:
    """Return what stands under `type`, which is declared as `type: Literal["a.b"] = "a.b"`."""
    field = next((one for one in fields(cls) if one.name == "type"), None)
    if field is None:
        raise WrongDeclaration(f'{cls.__name__} has no field `type: Literal["noun.verb"]`')
    if isinstance(field.type, str):
        found = LITERAL.fullmatch(field.type)
        allowed = (found[1],) if found else ()
    else:
        allowed = get_args(field.type)
    if allowed != (field.default,):
        raise WrongDeclaration(f"{cls.__name__}: `type` needs one Literal and the same default")
    name = str(field.default)
    if not NAME.fullmatch(name):
        raise WrongDeclaration(f"{cls.__name__}: {name!r} is not a name such as `message.send`")
    return name


def _only_once(
    declared: dict[str, CommandDeclaration] | dict[str, EventDeclaration],
    name: str,
    cls: type[Any],
) -> None:
    if name in declared:
        other = declared[name].cls
        raise WrongDeclaration(f"{name} is declared by {other.__name__} and by {cls.__name__}")
