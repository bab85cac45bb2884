"""Write the tables of `docs/protocol.md` between their markers; the other text is hand-written.

gateway/protocol, gateway/errors ─▶ here ─▶ docs/protocol.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from gateway.protocol import COMMANDS, EVENTS, REPEATABLE, REPLIES
from gateway.protocol import described as wire
from gateway.protocol.close_codes import CATALOGUE
from gateway.protocol.described import FieldDescription, TypeDescription, one_line, wire_types
from gateway.protocol.frame import type_of

PATH = Path(__file__).parents[2] / "docs" / "protocol.md"

MARKERS = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

VERDICTS = {
    "stop": "do not reconnect",
    "refresh": "get a new token, then reconnect",
    "back_off": "reconnect with back-off",
    "now": "reconnect at once",
}


def render(page: str) -> str:
    """Return page with every table between markers regenerated; KeyError for an unknown table."""
    return MARKERS.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n{found[3]}", page)


def commands() -> str:
    """One row per command."""
    described = wire_types()
    rows = []
    for name, command in COMMANDS.items():
        reply = REPLIES[command]
        what = described[command.__name__]
        answer = _link(reply.__name__) if reply else "`{}`"
        if reply in REPLIES:  # pong: a frame of its own
            answer = f"the frame `{type_of(reply)}`"
        again = "yes" if name in REPEATABLE else ""
        rows.append((f"`{name}`", _sentence(what.meaning), _fields(what), answer, again))
    return _table(("command", "what it does", "fields", "reply (`ok`)", "repeatable"), rows)


def events() -> str:
    """One row per event."""
    described = wire_types()
    rows = []
    for name, event in EVENTS.items():
        what = described[event.__name__]
        rows.append((f"`{name}`", _sentence(what.meaning), _fields(what)))
    return _table(("event", "when", "fields"), rows)


def types() -> str:
    """One heading and table for each type that is neither a command nor an event."""
    framed = {cls.__name__ for cls in (*COMMANDS.values(), *EVENTS.values())}
    return "\n".join(
        f"### {name}\n\n{described.meaning}\n\n{_field_table(described.fields)}"
        for name, described in sorted(wire_types().items())
        if name not in framed
    )


def errors() -> str:
    """One row per error code."""
    rows = [
        (
            f"`{error.code}`",
            str(error.http_status),
            "yes" if error().retry_after is not None else "",
            one_line(error.__doc__ or ""),
        )
        for error in wire.errors()
    ]
    return _table(("code", "HTTP", "temporary", "meaning"), rows)


def close_codes() -> str:
    """One row per close code."""
    rows = [
        (str(close.code), close.reason, close.meaning, VERDICTS[close.verdict])
        for close in CATALOGUE
    ]
    return _table(("code", "reason", "meaning", "the client"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "events": events,
    "types": types,
    "errors": errors,
    "close_codes": close_codes,
}


def _fields(described: TypeDescription) -> str:
    """List the fields except `type`; those that may be left out are in brackets."""
    named = []
    for field in described.fields:
        if field.name != "type":
            name = f"`{field.name}`" if field.required else f"[`{field.name}`]"
            named.append(f"{name} {_type(field.type)}" + (f", {field.limits}" * bool(field.limits)))
    return "<br>".join(named)


def _field_table(fields: Iterable[FieldDescription]) -> str:
    rows = [
        (f"`{field.name}`", _type(field.type), " ".join((field.meaning, field.limits)).strip())
        for field in fields
    ]
    return _table(("field", "type", "meaning"), rows)


def _type(name: str) -> str:
    """Write a type for the page; names of wire types link to their tables."""
    return re.sub(r"\b[A-Z]\w+\b(?=\W|$)", lambda found: _link(found[0]), name).replace(
        "Object<string, ", "map<string, "
    )


def _link(name: str) -> str:
    return name if name == "Object" else f"[{name}](#{name.lower()})"


def _sentence(meaning: str) -> str:
    """Leave out `Client → server:`, which the heading of the table says."""
    sentence = re.sub(r"^(Client|Server|Either side) → [^:]*: ", "", meaning)
    return sentence[:1].upper() + sentence[1:]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    cells = (" | ".join(cell.replace("|", r"\|") for cell in line) for line in lines)
    return "".join(f"| {line} |\n" for line in cells)
