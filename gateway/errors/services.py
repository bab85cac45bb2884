"""Refusals of the keys of service accounts, and of questions about connections."""

from __future__ import annotations

from gateway.errors.base import GatewayError


class ServiceKeyInvalid(GatewayError):
    """This is not the key of a service account here: look whether it was copied whole."""

    code = "service_key.invalid"
    http_status = 401


class ServiceKeyRevoked(GatewayError):
    """This key, or its service account, was revoked."""

    code = "service_key.revoked"
    http_status = 401


class ServiceKeyExpired(GatewayError):
    """This key has expired: make another one with `gateway service rotate`."""

    code = "service_key.expired"
    http_status = 401


class ServiceKeyRefused(GatewayError):
    """This needs the token of an employee: the key of a service account is none."""

    code = "service_key.refused"
    http_status = 403


class ServiceKeyRequired(GatewayError):
    """This needs the key of a service account: the token of an employee is none."""

    code = "service_key.required"
    http_status = 403


class ConnectionNotFound(GatewayError):
    """This employee has no such connection: it has ended, or is somebody else's."""

    code = "connection.not_found"
    http_status = 404


class ConnectionsUnavailable(GatewayError):
    """Other nodes cannot be asked for their connections now: try again later."""

    code = "connection.unavailable"
    http_status = 503
    retry_after = 2.0


class ScopeMissing(GatewayError):
    """The service account does not have the scope for this."""

    code = "service_key.scope_missing"
    http_status = 403
