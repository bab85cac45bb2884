"""The wire as an AsyncAPI 3.0 document, served at /asyncapi.json beside /openapi.json.

gateway/protocol, gateway/errors ─▶ here ─▶ rest/ops.py. Programs read it to generate clients.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import orjson
from pydantic import TypeAdapter

from gateway.protocol import COMMANDS, EVENTS, REPLIES, SUBPROTOCOL, Refusal
from gateway.protocol.declaration import COMMAND_DECLARATIONS, EVENT_DECLARATIONS
from gateway.protocol.described import one_line

CHANNEL = "socket"
SCHEMAS = "#/components/schemas/{model}"

REQUEST_ID = {
    "type": "integer", "minimum": 0, "maximum": 2**53 - 1,
    "description": "Chosen by the client; the reply carries it. Without one there is no reply.",
}  # fmt: skip

DESCRIPTION = """\
One WebSocket carries JSON texts: commands of the client, one reply to each that has an `id`, and \
events without one. The first command is `hello`. A text may also be an array of commands. \
Clients ignore fields and events that they do not know."""

Json = dict[str, Any]


@cache
def render(version: str) -> bytes:
    """Return the document as JSON; it is made once, in about 0.3 s."""
    return orjson.dumps(document(version))


def document(version: str) -> Json:
    """Return the document as data."""
    messages = {**_commands(), **_replies(), **_events()}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "CRM gateway", "version": version, "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {
            CHANNEL: {
                "address": "/v1/ws",
                "description": f"A WebSocket with the subprotocol `{SUBPROTOCOL}`.",
                "messages": {key: _ref(f"components/messages/{key}") for key in messages},
                "bindings": {"ws": {"method": "GET"}},
            }
        },
        "operations": {**_receiving(), **_sending()},
        "components": {"messages": messages, "schemas": _schemas()},
    }


def _receiving() -> Json:
    """One operation per command: the gateway receives it, and replies."""
    return {
        f"receive-{name}": {
            "action": "receive",
            "channel": _ref(f"channels/{CHANNEL}"),
            "summary": _meaning(command),
            "messages": [_in_channel(_key(command))],
            **_answering(command),
            "x-cost": COMMAND_DECLARATIONS[name].cost,
            "x-repeatable": COMMAND_DECLARATIONS[name].repeatable,
        }
        for name, command in COMMANDS.items()
    }


def _answering(command: type[Any]) -> Json:
    messages = [_in_channel(_reply_key(REPLIES[command])), _in_channel("Refused")]
    return {"reply": {"channel": _ref(f"channels/{CHANNEL}"), "messages": messages}}


def _sending() -> Json:
    """One operation per event: the gateway sends it without a request."""
    return {
        f"send-{name}": {
            "action": "send",
            "channel": _ref(f"channels/{CHANNEL}"),
            "summary": _meaning(event),
            "messages": [_in_channel(_key(event))],
            "x-lane": EVENT_DECLARATIONS[name].lane,
        }
        for name, event in EVENTS.items()
    }


def _commands() -> Json:
    correlated = {"correlationId": {"location": "$message.payload#/id"}}
    return {
        _key(command): _message(name, command, _ref(f"components/schemas/{_key(command)}"))
        | correlated
        for name, command in COMMANDS.items()
    }


def _events() -> Json:
    return {
        _key(event): _message(name, event, _ref(f"components/schemas/{_key(event)}"))
        for name, event in EVENTS.items()
        if event not in REPLIES  # ping is the same either way
    }


def _replies() -> Json:
    """Name what replies look like: `{"id", "ok"}`, or `{"id", "error"}`."""
    made: Json = {}
    for reply in {reply.__name__: reply for reply in REPLIES.values() if reply}.values():
        ok = _ref(f"components/schemas/{reply.__name__}")
        made[_reply_key(reply)] = _reply(f"Reply with {reply.__name__}", "ok", ok)
    made[_reply_key(None)] = _reply("Reply without content", "ok", {"type": "object"})
    made["Refused"] = _reply("Refusal", "error", _ref("components/schemas/Refusal"))
    made["Refused"]["payload"]["required"] = ["error"]  # a text that is no JSON has no id
    return made


def _reply(title: str, under: str, content: Json) -> Json:
    return {
        "title": title,
        "correlationId": {"location": "$message.payload#/id"},
        "payload": {
            "type": "object",
            "required": ["id", under],
            "properties": {"id": REQUEST_ID, under: content},
        },
    }


def _message(name: str, cls: type[Any], payload: Json) -> Json:
    return {"name": name, "title": cls.__name__, "summary": _meaning(cls), "payload": payload}


def _schemas() -> Json:
    """Describe every type: commands refuse unknown fields, what we send may get new ones."""
    received = _definitions(COMMANDS.values(), "validation")
    for command in COMMANDS.values():
        schema = received[command.__name__]
        schema["properties"] = {"id": REQUEST_ID, **schema["properties"]}
        schema["required"] = ["type", *schema.get("required", [])]
    replies = (reply for reply in REPLIES.values() if reply is not None)
    sent = _definitions([*replies, *EVENTS.values(), Refusal], "serialization")
    for schema in sent.values():
        schema.pop("additionalProperties", None)
        schema["required"] = list(schema["properties"])  # what we send is always whole
    return {**sent, **received}


def _definitions(classes: Iterable[type[Any]], mode: str) -> Json:
    adapters = [(cls.__name__, mode, TypeAdapter(cls)) for cls in classes]
    _, schema = TypeAdapter.json_schemas(adapters, ref_template=SCHEMAS)  # type: ignore[arg-type]
    definitions: Json = schema["$defs"]
    return definitions


def _key(cls: type[Any]) -> str:
    return cls.__name__


def _reply_key(reply: type[Any] | None) -> str:
    return f"Reply-{reply.__name__}" if reply else "Reply"


def _ref(path: str) -> Json:
    return {"$ref": f"#/{path}"}


def _in_channel(key: str) -> Json:
    return _ref(f"channels/{CHANNEL}/messages/{key}")


def _meaning(cls: type[Any]) -> str:
    return one_line(cls.__doc__ or "").partition(": ")[2] or one_line(cls.__doc__ or "")
