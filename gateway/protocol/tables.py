"""What travels, in tables: each command with its reply, and each event.

The declarations ─▶ COMMANDS, REPLIES, EVENTS, REPEATABLE ─▶ codec, the SDKs, generated documents.
The package's __init__.py imports this module last, when every type has been declared.
"""

from __future__ import annotations

from typing import Any

from gateway.protocol.declaration import (
    COMMAND_DECLARATIONS,
    EVENT_DECLARATIONS,
    CommandDeclaration,
    EventDeclaration,
)


def _order(declared: CommandDeclaration | EventDeclaration) -> tuple[bool, str]:
    """Put what concerns the connection first and sort by name; import order does not show."""
    return not declared.cls.__module__.endswith(".envelope"), declared.name


_commands = sorted(COMMAND_DECLARATIONS.values(), key=_order)
_events = sorted(EVENT_DECLARATIONS.values(), key=_order)

COMMANDS: dict[str, type[Any]] = {declared.name: declared.cls for declared in _commands}
"""name → command."""

REPLIES: dict[type[Any], type[Any] | None] = {one.cls: one.reply for one in _commands}
"""command → what its reply carries under `ok`; None: an empty object."""

EVENTS: dict[str, type[Any]] = {declared.name: declared.cls for declared in _events}
"""name → event."""

REPEATABLE: frozenset[str] = frozenset(one.name for one in _commands if one.repeatable)
"""Commands that may be sent again when their reply was lost: twice does the same as once."""
