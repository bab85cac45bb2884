"""Every way the gateway says no, each with a code that clients may rely on.

Codes are part of the wire protocol: add one freely, never reuse or rename one.
The tables in docs/protocol.md are generated from these classes.
"""

from __future__ import annotations

from typing import ClassVar


class GatewayError(Exception):
    """Something unexpected went wrong on our side; it has been logged."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500

    retry_after: float | None = None
    """Seconds after which trying again makes sense; None when it does not."""

    path: str | None = None
    """Which field is wrong, as dots and brackets: `resume.17`, `[3].text`."""

    @property
    def detail(self) -> str:
        """What happened this time, or what this error means in general."""
        return str(self) or (type(self).__doc__ or self.code).strip()


# --- frames and commands -----------------------------------------------------------------------


class Malformed(GatewayError):
    """This is not valid JSON (RFC 8259, UTF-8, at most 1,024 levels deep)."""

    code = "frame.malformed"
    http_status = 400


class TooMany(GatewayError):
    """The array holds more items than one request may carry."""

    code = "limit.too_many"
    http_status = 413


class TooLarge(GatewayError):
    """The body is larger than this endpoint accepts."""

    code = "limit.too_large"
    http_status = 413


class TooSlow(GatewayError):
    """The body did not come to its end in time."""

    code = "limit.too_slow"
    http_status = 408


class UnknownCommand(GatewayError):
    """There is no command of this type."""

    code = "command.unknown"
    http_status = 404


class Invalid(GatewayError):
    """A field is missing, unknown, of the wrong type or out of range."""

    code = "command.invalid"
    http_status = 422

    def __init__(self, message: str = "", *, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class HelloRequired(GatewayError):
    """Say hello first: no other command is served before it."""

    code = "session.hello_required"
    http_status = 401


class HelloTwice(GatewayError):
    """This connection has already said hello."""

    code = "session.hello_twice"
    http_status = 409


# --- who is asking -----------------------------------------------------------------------------


class TokenMissing(GatewayError):
    """No token was sent."""

    code = "token.missing"
    http_status = 401


class TokenInvalid(GatewayError):
    """The token is not one of ours, or has been tampered with."""

    code = "token.invalid"
    http_status = 401


class TokenExpired(GatewayError):
    """The token has expired: get a new one, then come back."""

    code = "token.expired"
    http_status = 401


class EmployeeDisabled(GatewayError):
    """This employee is no longer active."""

    code = "employee.disabled"
    http_status = 403


class Forbidden(GatewayError):
    """Your permissions do not allow this."""

    code = "permission.denied"
    http_status = 403


class OriginRefused(GatewayError):
    """This origin is not on the list of allowed origins."""

    code = "origin.refused"
    http_status = 403


# --- chat --------------------------------------------------------------------------------------


class ConversationNotFound(GatewayError):
    """There is no such conversation, or you are not in it."""

    code = "conversation.not_found"
    http_status = 404


class EmployeeNotFound(GatewayError):
    """There is no such active employee."""

    code = "employee.not_found"
    http_status = 404


class ClientKeyReused(GatewayError):
    """This client_key was used before for a message with other content."""

    code = "message.client_key_reused"
    http_status = 409


# --- telephony ---------------------------------------------------------------------------------


class SignatureInvalid(GatewayError):
    """The webhook's signature, timestamp or source is not valid."""

    code = "webhook.signature_invalid"
    http_status = 401


class IngestBusy(GatewayError):
    """Too many events are waiting; send this batch again."""

    code = "ingest.busy"
    http_status = 503

    def __init__(self, retry_after: float = 1.0) -> None:
        super().__init__(f"Too many events are waiting; try again in {retry_after:.1f} s.")
        self.retry_after = retry_after


# --- limits and outages ------------------------------------------------------------------------


class TooFast(GatewayError):
    """You are sending faster than your limit allows."""

    code = "limit.too_fast"
    http_status = 429

    def __init__(self, retry_after: float = 1.0) -> None:
        super().__init__(f"Try again in {retry_after:.1f} s.")
        self.retry_after = round(retry_after, 3)


class TooManyConnections(GatewayError):
    """This address holds too many connections."""

    code = "limit.connections"
    http_status = 429
    retry_after = 5.0


class TooManyOfUser(GatewayError):
    """You have too many connections open: close one, or come back later."""

    code = "limit.user_connections"
    http_status = 429
    retry_after = 15.0


class TooManyAtOnce(GatewayError):
    """Too many clients connect to this node at this moment."""

    code = "limit.accepts"
    http_status = 503

    def __init__(self, retry_after: float = 1.0) -> None:
        super().__init__()
        self.retry_after = round(retry_after, 3)


class DatabaseUnavailable(GatewayError):
    """The database did not answer, a write may be stored or not: retry with the same key."""

    code = "database.unavailable"
    http_status = 503
    retry_after = 1.0


class PresenceUnavailable(GatewayError):
    """Presence cannot be changed at this moment."""

    code = "presence.unavailable"
    http_status = 503
    retry_after = 2.0


class Overloaded(GatewayError):
    """Too much is waiting on this node."""

    code = "overloaded"
    http_status = 503

    def __init__(self, message: str = "", *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = round(retry_after, 3)


class Draining(GatewayError):
    """This node is shutting down: connect again, elsewhere."""

    code = "draining"
    http_status = 503
    retry_after = 0.5


class NotFound(GatewayError):
    """There is nothing at this address."""

    code = "not_found"
    http_status = 404


class MethodNotAllowed(GatewayError):
    """This address does not answer to this HTTP method."""

    code = "method_not_allowed"
    http_status = 405


def catalogue() -> list[type[GatewayError]]:
    """Return every error class, sorted by code."""

    def below(cls: type[GatewayError]) -> list[type[GatewayError]]:
        return [cls, *(found for child in cls.__subclasses__() for found in below(child))]

    return sorted(below(GatewayError), key=lambda cls: cls.code)
