"""Refusals for load and outages, of webhooks, and of unknown addresses."""

from __future__ import annotations

from gateway.errors.base import GatewayError


class SignatureInvalid(GatewayError):
    """The webhook's signature, timestamp or source is not valid."""

    code = "webhook.signature_invalid"
    http_status = 401


class IngestBusy(GatewayError):
    """Too many events are waiting: send this batch again later."""

    code = "ingest.busy"
    http_status = 503

    def __init__(self, retry_after: float = 1.0) -> None:
        super().__init__(f"Too many events are waiting; try again in {retry_after:.1f} s.")
        self.retry_after = retry_after


class TooFast(GatewayError):
    """You are sending faster than your limit allows."""

    code = "limit.too_fast"
    http_status = 429

    def __init__(self, retry_after: float = 1.0) -> None:
        super().__init__(f"Try again in {retry_after:.1f} s.")
        self.retry_after = round(retry_after, 3)


class TooManyAnonymous(GatewayError):
    """Too many requests without a valid token come from this address: try again later."""

    code = "limit.anonymous"
    http_status = 429

    def __init__(self, retry_after: float = 1.0) -> None:
        super().__init__()
        self.retry_after = round(retry_after, 3)


class TooManyConnections(GatewayError):
    """Too many connections from this address."""

    code = "limit.connections"
    http_status = 429
    retry_after = 5.0


class TooManyOfUser(GatewayError):
    """You have too many open connections: close one, or try again later."""

    code = "limit.user_connections"
    http_status = 429
    retry_after = 15.0


class TooManyAtOnce(GatewayError):
    """Too many clients are connecting to this node: try again later."""

    code = "limit.accepts"
    http_status = 503

    def __init__(self, retry_after: float = 1.0) -> None:
        super().__init__()
        self.retry_after = round(retry_after, 3)


class DatabaseUnavailable(GatewayError):
    """The database did not answer. A write may or may not be stored: retry with the same key."""

    code = "database.unavailable"
    http_status = 503
    retry_after = 1.0


class ContractUnavailable(GatewayError):
    """A view of the CRM that this needs is missing or wrong: `/readyz` says which, and why."""

    code = "contract.unavailable"
    http_status = 503
    retry_after = 30.0

    def __init__(self, view: str = "employees", fault: str = "is unusable") -> None:
        super().__init__(f"The CRM's view crm.{view} {fault}.")
        self.view = view


class PresenceUnavailable(GatewayError):
    """Presence cannot be changed now: try again later."""

    code = "presence.unavailable"
    http_status = 503
    retry_after = 2.0


class Overloaded(GatewayError):
    """This node has too much work waiting: try again later."""

    code = "overloaded"
    http_status = 503

    def __init__(self, message: str = "", *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = round(retry_after, 3)


class Draining(GatewayError):
    """This node is shutting down: reconnect to another one."""

    code = "draining"
    http_status = 503
    retry_after = 0.5


class NotFound(GatewayError):
    """There is nothing at this address."""

    code = "not_found"
    http_status = 404


class MethodNotAllowed(GatewayError):
    """This address does not support this HTTP method."""

    code = "method_not_allowed"
    http_status = 405
