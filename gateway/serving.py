"""How a command is served: `@serves(MessageSend)` above the function that does it.

    @serves(MessageSend)
    async def send(ctx: Context, command: MessageSend) -> MessageSent: ...

Each decorated function enters HANDLERS at import; commands.py imports them all and checks that
nothing is missing. Sockets look a handler up by the command's name, REST calls commands.run.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.protocol.declaration import COMMAND_DECLARATIONS, Cost, Work, WrongDeclaration
from gateway.protocol.frame import type_of

Serve = Callable[[Any, Any], Awaitable[Any]]
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


@dataclass(frozen=True, slots=True)
class Handler:
    """How one command is treated."""

    cost: Cost
    serve: Serve | None = None
    """Takes a Context and the command; with `by_session`, the Session and the command."""
    by_session: bool = False
    """It changes the connection itself, so it exists on sockets alone."""
    in_order: bool | None = None
    """Whether commands sent behind it wait until it is done; None: unless it only reads."""
    work: Work | None = None
    """How often it counts against its rate limit; None: once."""

    @property
    def changes(self) -> bool:
        """Whether commands sent behind it wait until it is done."""
        return self.cost != "read" if self.in_order is None else self.in_order

    @property
    def may_wait(self) -> bool:
        """Whether its steps take turns with those of others: reads, and what a session watches."""
        return self.cost == "read" or (self.cost == "passing" and self.by_session)


HANDLERS: dict[str, Handler] = {}
"""Command name → how it is treated."""


def serves(command: type[Any]) -> Callable[[F], F]:
    """Enter the function below as the one that serves this command: `(ctx, command) -> reply`."""
    return _register(command, by_session=False)


def serves_in_session(command: type[Any]) -> Callable[[F], F]:
    """Enter a function that serves a command of the connection itself: `(session, command)`."""
    return _register(command, by_session=True)


def _register(command: type[Any], *, by_session: bool) -> Callable[[F], F]:
    name = type_of(command)
    declared = COMMAND_DECLARATIONS.get(name)
    if declared is None or declared.cls is not command:
        raise WrongDeclaration(f"{command.__name__} is not declared with @command")

    def register(function: F) -> F:
        before = HANDLERS.get(name)
        if before is not None and before.serve is not None:
            raise WrongDeclaration(f"{name} is served twice: {before.serve} and {function}")
        _check_types(function, command, declared.reply)
        HANDLERS[name] = Handler(
            declared.cost, function, by_session, in_order=declared.in_order, work=declared.work
        )
        return function

    return register


def _check_types(function: Callable[..., Any], command: type[Any], reply: type[Any] | None) -> None:
    """Compare the annotations with the declaration, as they are written: names of classes."""
    signature = inspect.signature(function)
    found = [one.annotation for one in signature.parameters.values()][1:2]
    found.append(signature.return_annotation)
    wanted = [command.__name__, reply.__name__ if reply else "None"]
    if [getattr(one, "__name__", str(one)) for one in found] != wanted:
        raise WrongDeclaration(
            f"{function.__module__}.{function.__qualname__}: takes and returns {found}, "
            f"the declaration says {wanted}"
        )
