"""One request over HTTP, its failure by the gateway's own code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson


@contextmanager
def checked(client: Any, method: str, path: str, name: str, **more: Any) -> Iterator[Any]:
    """Send and report a request; give what it answered, None when it failed.

    A RuntimeError from within makes it a failure with that code.
    """
    with client.request(method, path, name=name, catch_response=True, **more) as response:
        if code := failure(response.status_code, response.content or b""):
            response.failure(code)
            yield None
            return
        try:
            yield orjson.loads(response.content) if response.content else {}
        except RuntimeError as error:
            response.failure(str(error))


def failure(status: int, body: bytes) -> str | None:
    """Return the code of a failed answer; None of one that succeeded."""
    if not status:
        return "connection.lost"
    if status < 400:
        return None
    try:
        return str(orjson.loads(body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return f"http.{status}"
