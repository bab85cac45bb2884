"""Refusals about events of the CRM and their topics."""

from __future__ import annotations

from gateway.errors.base import GatewayError


class TopicNotFound(GatewayError):
    """There are no such topics, or you may not read them."""

    code = "topic.not_found"
    http_status = 404


class TooManyTopics(GatewayError):
    """A connection watches at most 100 topics: end another one first."""

    code = "topic.too_many"
    http_status = 409


class EventKeyReused(GatewayError):
    """This key was used before for an event with other content."""

    code = "event.key_reused"
    http_status = 409


class EventBacklog(GatewayError):
    """Too many events wait to be delivered: send these again later."""

    code = "event.backlog"
    http_status = 503
    retry_after = 5.0
