"""The end of a connection: a `bye` event before the close frame.

Proxies often turn close codes into 1006 and shorten reasons; the event contains both.
"""

from __future__ import annotations

from gateway.delivery.shared_frame import text_frame
from gateway.errors import GatewayError
from gateway.protocol import Bye, close_codes, codec
from gateway.protocol.close_codes import CloseCode


def bye_frame(code: CloseCode, drain_s: float) -> bytes:
    """Build the `bye` event that goes before a close."""
    windows: dict[str, tuple[int, int] | None] = {
        "stop": None,
        "refresh": (0, 500),
        "back_off": (1_000, 5_000),
        "now": (0, int(min(drain_s, 8.0) * 1_000)),
    }
    bye = Bye(
        code=code.code,
        reason=code.reason,
        resume=code.verdict != "stop",
        retry_in=windows[code.verdict],
    )
    return text_frame(codec.encode(bye))


def close_after(error: GatewayError) -> CloseCode | None:
    """Return the close after a refused hello; None when the client may send it again."""
    return {
        "token.missing": close_codes.TOKEN_REFUSED,
        "token.invalid": close_codes.TOKEN_REFUSED,
        "token.revoked": close_codes.TOKEN_REFUSED,
        "service_key.refused": close_codes.TOKEN_REFUSED,
        "token.expired": close_codes.TOKEN_EXPIRED,
        "employee.disabled": close_codes.EMPLOYEE_DISABLED,
        "limit.user_connections": close_codes.TOO_MANY_CONNECTIONS,
    }.get(error.code)
