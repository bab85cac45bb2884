"""Collect the functions that serve commands, and run them.

Packages of use cases are imported here, so that each `@serves` in them enters HANDLERS. REST
routes call run() with a Context of their own: there is one way to send a message.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

import gateway.chat
import gateway.people
import gateway.telephony
from gateway.context import Context
from gateway.errors import UnknownCommand
from gateway.protocol.declaration import COMMAND_DECLARATIONS, Cost, WrongDeclaration
from gateway.serving import HANDLERS, Handler

__all__ = ["HANDLERS", "Cost", "Handler", "handler_of", "run"]

PACKAGES = (gateway.chat, gateway.people, gateway.telephony)

CONNECTION_COMMANDS = frozenset(
    {
        "hello", "token.refresh", "ping", "pong", "presence.watch", "presence.away", "queue.watch",
        "topic.watch", "topic.unwatch",
    }
)  # fmt: skip
"""Commands that change the connection itself: gateway/sockets serves them."""


def handler_of(type_: str) -> Handler:
    """Return how a command of this type is treated; UnknownCommand when there is none."""
    handler = HANDLERS.get(type_)
    if handler is None:
        raise UnknownCommand
    return handler


async def run(ctx: Context, command: Any) -> Any:
    """Do what the command asks; return what its reply carries."""
    serve = HANDLERS[command.type].serve
    assert serve is not None
    return await serve(ctx, command)


def _import_all(package: ModuleType) -> None:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if ".queries" not in module.name:
            importlib.import_module(module.name)


def collect() -> None:
    """Fill HANDLERS; WrongDeclaration when a command that is declared is served by nobody."""
    for package in PACKAGES:
        _import_all(package)
    for name in CONNECTION_COMMANDS:
        HANDLERS.setdefault(name, Handler(COMMAND_DECLARATIONS[name].cost))
    if unserved := sorted(COMMAND_DECLARATIONS.keys() - HANDLERS.keys()):
        raise WrongDeclaration(f"nothing serves {', '.join(unserved)}: write @serves above it")


collect()
