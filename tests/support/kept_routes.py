"""Routes are made once for all gateways of a test process.

FastAPI makes the validators of a router anew for each app that includes it: 0.3 s of CPU with the
first request to each of some hundred nodes. Nothing of a router depends on the app here.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI

from gateway.rest import REFUSALS

_nobodys = FastAPI(responses=REFUSALS)
"""Includes each router first: what is kept must not keep a node."""
_included: dict[int, tuple[APIRouter, Any]] = {}
"""A router's id → it, and what the first app made of it."""
_include = FastAPI.include_router


def _include_once(app: FastAPI, router: APIRouter) -> None:
    kept = _included.get(id(router))
    if kept is None:
        _include(_nobodys, router)
        kept = _included[id(router)] = router, _nobodys.router.routes[-1]
    app.router.routes.append(kept[1])


FastAPI.include_router = _include_once  # type: ignore[method-assign,assignment]
