"""The parts of a worker that REST routes use; gateway.app's Gateway provides them."""

from __future__ import annotations

from typing import Protocol

from fastapi import Request

from gateway.auth import IdentityCache, ServiceAccounts, Tokens
from gateway.auth.oidc import SignIn
from gateway.connections import AllConnections
from gateway.context import Services
from gateway.crm import ContractWatch
from gateway.events.publishing import EventPublishing
from gateway.settings import Settings
from ingest import Pipeline


class GatewayParts(Protocol):
    """Parts of one worker."""

    @property
    def settings(self) -> Settings: ...
    @property
    def services(self) -> Services: ...
    @property
    def tokens(self) -> Tokens: ...
    @property
    def identities(self) -> IdentityCache: ...
    @property
    def service_accounts(self) -> ServiceAccounts: ...
    @property
    def connections(self) -> AllConnections: ...
    @property
    def pipeline(self) -> Pipeline: ...
    @property
    def publishing(self) -> EventPublishing: ...
    @property
    def contract(self) -> ContractWatch: ...
    @property
    def sign_in(self) -> SignIn | None: ...

    @property
    def bus_healthy(self) -> bool:
        """False while announcements of other workers may not arrive here."""

    @property
    def draining(self) -> bool:
        """Whether this worker is draining its sessions before it stops."""

    async def pending_migrations(self) -> list[str]:
        """Return migrations that this version has and the database has not."""

    async def render_metrics(self) -> bytes:
        """Return this worker's metrics in Prometheus' text format."""


def parts_of(request: Request) -> GatewayParts:
    """Return the parts of the worker that serves this request."""
    parts: GatewayParts = request.app.state.gateway
    return parts
