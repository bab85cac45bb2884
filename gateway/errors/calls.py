"""Refusals about calls and call-back requests."""

from __future__ import annotations

from gateway.errors.base import GatewayError


class CallNotFound(GatewayError):
    """There is no such call, or you may not see it."""

    code = "call.not_found"
    http_status = 404


class CallbackNotFound(GatewayError):
    """There is no such call-back request."""

    code = "callback.not_found"
    http_status = 404


class CallbackClaimed(GatewayError):
    """Another employee has claimed this call-back request; the message says who."""

    code = "callback.claimed"
    http_status = 409


class CallbackClosed(GatewayError):
    """This call-back request is closed."""

    code = "callback.closed"
    http_status = 409


class CallbackAnotherOpen(GatewayError):
    """This customer already has an open call-back request, for newer calls."""

    code = "callback.another_open"
    http_status = 409
