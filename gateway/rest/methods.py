"""Which HTTP methods an address takes: for `Allow`, and to tell 405 from 404.

page, errors ─▶ here. Starlette answers with the methods of the first route of a path alone, and the
page is mounted behind all routes and takes what none of them took.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.routing import BaseRoute, Match, Mount

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def methods_of(app: FastAPI, scope: dict[str, Any]) -> list[str]:
    """Return the methods that routes of this address take, without those of mounted apps."""
    routes = [one for one in app.routes if not isinstance(one, Mount) and _match(one, scope, "-")]
    return [
        method
        for method in METHODS
        if any(_match(one, scope, method) is Match.FULL for one in routes)
    ]


def _match(route: BaseRoute, scope: dict[str, Any], method: str) -> Match | None:
    """Return how far a route takes this method at this address, None when it has another path."""
    match, _ = route.matches({**scope, "method": method})
    return None if match is Match.NONE else match
