"""What no log may show: the secret part of the keys of service accounts.

ops.logs ─▶ here. auth.service_keys makes keys of this form; their first part names them, and stays.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

KEY_PREFIX = "gw_"

SECRET = re.compile(rf"({KEY_PREFIX}[0-9A-Za-z]{{10}}_)[0-9A-Za-z]{{6,}}")
"""Also of a key that was cut off, or copied with more behind it."""


def redact(text: str) -> str:
    """Return the text without the secrets of keys in it."""
    return SECRET.sub(r"\1…", text) if KEY_PREFIX in text else text


def redact_fields(
    _logger: Any, _method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Redact the texts of a log line: a processor of structlog."""
    for name, value in fields.items():
        if isinstance(value, str):
            fields[name] = redact(value)
        elif not isinstance(value, int | float | None) and KEY_PREFIX in (shown := repr(value)):
            fields[name] = redact(shown)
    return fields
