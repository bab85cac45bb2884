"""No to something about a call."""

from __future__ import annotations

from gateway.errors.base import GatewayError


class CallNotFound(GatewayError):
    """There is no such call, or it is not yours to see."""

    code = "call.not_found"
    http_status = 404
