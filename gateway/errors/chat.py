"""Refusals about conversations and messages."""

from __future__ import annotations

from gateway.errors.base import GatewayError


class ConversationNotFound(GatewayError):
    """There is no such conversation, or you are not in it."""

    code = "conversation.not_found"
    http_status = 404


class EmployeeNotFound(GatewayError):
    """There is no such active employee."""

    code = "employee.not_found"
    http_status = 404


class ParticipantNotFound(GatewayError):
    """This person is not in the conversation."""

    code = "participant.not_found"
    http_status = 404


class DirectConversation(GatewayError):
    """A direct conversation always has the same two people, and no title."""

    code = "conversation.direct"
    http_status = 409


class LastOwner(GatewayError):
    """The last owner cannot leave or lose the role: make someone else owner first."""

    code = "conversation.last_owner"
    http_status = 409


class ConversationFull(GatewayError):
    """A conversation has at most 1,000 participants."""

    code = "conversation.full"
    http_status = 409


class TooManyPinned(GatewayError):
    """At most 20 conversations can be pinned: unpin another one first."""

    code = "conversation.too_many_pinned"
    http_status = 409


class ConversationClosed(GatewayError):
    """This conversation is closed: it accepts no messages."""

    code = "conversation.closed"
    http_status = 409


class MessageNotFound(GatewayError):
    """There is no such message in this conversation, or it was deleted."""

    code = "message.not_found"
    http_status = 404


class TooManyReactions(GatewayError):
    """A message can have 20 different emojis, 10 of them by one person."""

    code = "message.too_many_reactions"
    http_status = 409


class ClientKeyReused(GatewayError):
    """This client_key was already used for a message with other content."""

    code = "message.client_key_reused"
    http_status = 409


class ScheduledNotFound(GatewayError):
    """You have no such scheduled message."""

    code = "scheduled.not_found"
    http_status = 404


class ScheduledSent(GatewayError):
    """This message is being sent or was sent: edit or delete the message itself."""

    code = "scheduled.sent"
    http_status = 409


class TooManyScheduled(GatewayError):
    """You can have at most 100 scheduled messages."""

    code = "scheduled.too_many"
    http_status = 409
