"""What REST needs of the worker it runs in; app.py's Gateway has it."""

from __future__ import annotations

from typing import Protocol

from fastapi import Request

from gateway.auth import Tokens
from gateway.context import Services
from gateway.settings import Settings
from ingest import Pipeline


class GatewayParts(Protocol):
    """One worker's parts."""

    @property
    def settings(self) -> Settings: ...
    @property
    def services(self) -> Services: ...
    @property
    def tokens(self) -> Tokens: ...
    @property
    def pipeline(self) -> Pipeline: ...

    @property
    def bus_healthy(self) -> bool:
        """False while announcements of other workers may not arrive here."""

    @property
    def draining(self) -> bool:
        """Whether this worker is saying goodbye."""

    async def pending_migrations(self) -> list[str]:
        """Return migrations that this version has and the database has not."""

    def figures(self) -> bytes:
        """Print this worker's figures in Prometheus' text format."""


def parts_of(request: Request) -> GatewayParts:
    """Return the parts of the worker that serves this request."""
    parts: GatewayParts = request.app.state.gateway
    return parts
