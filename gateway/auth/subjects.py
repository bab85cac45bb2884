"""Who a token is for: the number of an employee, or the CRM's own id of one.

tokens.py ─▶ here. rest/depends.py reads ids in filters by the same rule, and realtime.id_of
(migration 0053) does the same in SQL.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from gateway.crm.contract import MAX_ID
from gateway.protocol.frame import MAX_INT

HASHED_FROM = 2**52
"""Hashes are from here to MAX_ID."""

DIGITS = re.compile(r"[1-9][0-9]{0,18}")
EXTERNAL = re.compile(r"(?![-+]?(?:[0-9.]{0,20}|[0-9.]{1,12}[eE][-+]?[0-9]{1,3})$)[!-~]{1,255}")
"""Printable ASCII, and not what somebody would read as another number: -1, 007, 1.0, 1e3. Of 24
hexadecimal digits, as in MongoDB's ids, all may be decimal: those are text."""


def id_of(kind: str, external_id: str) -> int:
    """Return the number of an id of the CRM: itself if it is one below 2^53, otherwise a hash."""
    if DIGITS.fullmatch(external_id) and int(external_id) <= MAX_ID:
        return int(external_id)
    hashed = hashlib.sha256(f"{kind}:{external_id}".encode()).hexdigest()
    return HASHED_FROM | int(hashed[:13], 16)


def from_external(kind: str, value: Any) -> Any:
    """Return the number of a text that is the CRM's own id; anything else as it is."""
    if isinstance(value, str) and EXTERNAL.fullmatch(value):
        return id_of(kind, value)
    return value


def parse(kind: str, text: str) -> int:
    """Return the number that a text means; ValueError when it is no id."""
    if text.isascii() and text.isdecimal() and len(text) <= 20:
        if not DIGITS.fullmatch(text) or int(text) > MAX_INT:
            raise ValueError(f"it must be between 1 and {MAX_INT}, without zeros before it")
    elif not EXTERNAL.fullmatch(text):
        raise ValueError("it must be the id of an employee: digits, or an id of printable ASCII")
    return id_of(kind, text)
