"""Names of topics, written in one place.

A topic is what a node subscribes to on the bus and what a session joins in the hub.
"""

from __future__ import annotations

PRESENCE_SHARDS = 256
"""People are spread over so many presence topics: a node hears only those it watches."""


def user(employee_id: int) -> str:
    return f"user:{employee_id}"


def conversation(conversation_id: int) -> str:
    return f"conversation:{conversation_id}"


def queue(name: str) -> str:
    return f"queue:{name}"


def presence(employee_id: int) -> str:
    return f"presence:{employee_id % PRESENCE_SHARDS}"
