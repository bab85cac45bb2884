"""Names of topics, written in one place.

A topic is what a node subscribes to on the bus and what a session joins in the hub.
"""

from __future__ import annotations

PRESENCE_SHARDS = 256
"""Number of presence topics, over which employees are spread: a node subscribes to those that its
sessions watch."""


CALLBACKS = "callbacks"
"""Call-back requests, for all who may handle them."""

JOBS = "jobs"
"""The doorbell of the job queue, for nodes with the role `background`."""

OUTBOX = "outbox"
"""The doorbell of the relay, for nodes with the role `background`."""

EVENTS = "events"
"""Relayed events of the CRM, for nodes with the role `sockets`."""

NEWS = "news"
"""What was written for every node to read: the CRM's functions, service accounts."""

USER, CONVERSATION, PRESENCE = "user", "conversation", "presence"
"""Kinds of topics that have a number."""

UNANNOUNCED = "conversation.unannounced"
"""On a conversation's topic, between nodes: it has changes that only the database tells of."""

ANSWERS = "answers"
"""Kind of the topics on which one node gets other nodes' answers to its questions."""

_USER = "user:"
_CONVERSATION = "conversation:"
_PRESENCE = "presence:"


def kind_of(topic: str) -> str:
    """Return the kind of a topic: what stands before its number, or the topic if it has none."""
    kind, _, number = topic.rpartition(":")
    return kind if number.isdigit() else topic


def user(employee_id: int) -> str:
    return f"{_USER}{employee_id}"


def user_of(topic: str) -> int | None:
    """Return whose topic it is; None for a topic of another kind."""
    return int(topic[len(_USER) :]) if topic.startswith(_USER) else None


def answers(number: int) -> str:
    return f"{ANSWERS}:{number}"


def conversation(conversation_id: int) -> str:
    return f"{_CONVERSATION}{conversation_id}"


def conversation_of(topic: str) -> int | None:
    """Return which conversation a topic is; None for a topic of another kind."""
    return int(topic[len(_CONVERSATION) :]) if topic.startswith(_CONVERSATION) else None


QUEUES = "queues"
"""Changed queues and agents; nodes with sessions that watch queues subscribe to it."""

QUEUE_CALLS = "queues:calls"
"""Calls of all queues; nodes with sessions that watch the calls of a queue subscribe to it."""


def presence(employee_id: int) -> str:
    return f"{_PRESENCE}{employee_id % PRESENCE_SHARDS}"


def is_presence(topic: str) -> bool:
    """Return whether a topic is one of presence."""
    return topic.startswith(_PRESENCE)
