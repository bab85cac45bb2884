"""Refusals of frames, commands and tokens."""

from __future__ import annotations

from gateway.errors.base import GatewayError


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
    """The body was not complete in time."""

    code = "limit.too_slow"
    http_status = 408


class RequestInvalid(GatewayError):
    """This is not a valid HTTP/1.1 request (RFC 9112)."""

    code = "request.invalid"
    http_status = 400


class HeadTooLarge(GatewayError):
    """The head of the request is larger than 16 KiB."""

    code = "limit.head"
    http_status = 431


class VersionUnsupported(GatewayError):
    """Version 13 of the WebSocket protocol is needed (RFC 6455)."""

    code = "socket.version"
    http_status = 426


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
    """Send hello first: no other command is accepted before it."""

    code = "session.hello_required"
    http_status = 401


class HelloTwice(GatewayError):
    """hello was already accepted on this connection."""

    code = "session.hello_twice"
    http_status = 409


class TokenMissing(GatewayError):
    """No token was sent, or an empty one: look at what should have made it."""

    code = "token.missing"
    http_status = 401


class TokenInvalid(GatewayError):
    """The token is not valid: it was not issued for this gateway, or it was changed."""

    code = "token.invalid"
    http_status = 401


class KeysUnavailable(GatewayError):
    """The keys of your login's tokens cannot be read now: try again with the same token."""

    code = "token.keys_unavailable"
    http_status = 503

    def __init__(self, retry_after: float = 5.0) -> None:
        super().__init__()
        self.retry_after = round(retry_after, 3)


class TokenRevoked(GatewayError):
    """The token was revoked: sign in again."""

    code = "token.revoked"
    http_status = 401


class TokenExpired(GatewayError):
    """The token has expired: get a new one and reconnect."""

    code = "token.expired"
    http_status = 401


class EmployeeDisabled(GatewayError):
    """This employee is no longer active."""

    code = "employee.disabled"
    http_status = 403


class Forbidden(GatewayError):
    """A permission for this is missing."""

    code = "permission.denied"
    http_status = 403


class OriginRefused(GatewayError):
    """This origin is not on the list of allowed origins."""

    code = "origin.refused"
    http_status = 403


class DeadJobNotFound(GatewayError):
    """No job that failed for good has this id: it was ordered again or given up."""

    code = "job.not_found"
    http_status = 404
