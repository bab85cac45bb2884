"""From the operator's settings to ingest's settings and its live connections to PBXs.

app ─▶ build_connectors ─▶ ingest's Connectors, which feed the pipeline. Every node with the role
`ingest` has them all; each PBX is connected to by the node that holds its lease.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import timedelta

from gateway.db import Pool
from gateway.pbx_settings import AmiPbx, EslPbx, TwilioPbx
from gateway.settings import Settings
from ingest import (
    AmiLink,
    AsteriskDialect,
    AsteriskNormaliser,
    Connectors,
    EslLink,
    FreeswitchNormaliser,
    IngestSettings,
    LinkTiming,
    PbxAddress,
    PbxConnection,
    PbxLink,
    Pipeline,
)

TIMING = LinkTiming()
MAX_CONNECTOR_EVENTS = IngestSettings().max_submission_events


def ingest_settings(settings: Settings) -> IngestSettings:
    """Return ingest's settings; those that an operator cannot set keep their defaults."""
    return IngestSettings(
        keep_months=settings.call_event_months,
        lost_after=timedelta(hours=settings.lost_call_hours),
        payload_days=settings.pbx_payload_days,
        max_submission_events=max(settings.max_webhook_events, MAX_CONNECTOR_EVENTS),
    )


def regions(settings: Settings) -> tuple[str, ...]:
    """Return the countries by whose rules a number may be written, our own first."""
    pbxs = (*settings.pbxs.values(), *settings.pbx_secrets.values())
    others = {pbx.region for pbx in pbxs if pbx.region}
    return (settings.phone_region, *sorted(others - {settings.phone_region}))


def build_connectors(settings: Settings, pool: Pool, pipeline: Pipeline) -> Connectors:
    """Return the connections to all PBXs of the kinds `ami` and `esl`."""
    connections = [
        PbxConnection(name, _link_factory(name, pbx, settings), TIMING)
        for name, pbx in settings.pbxs.items()
        if not isinstance(pbx, TwilioPbx)
    ]
    return Connectors(pool, pipeline, connections, holder=settings.node)


def asterisk_dialect(settings: Settings, name: str) -> AsteriskDialect:
    """Return how the names and numbers of this PBX are read; by default if it is no Asterisk."""
    pbx = settings.pbxs.get(name)
    if not isinstance(pbx, AmiPbx):
        return AsteriskDialect(region=settings.phone_region)
    chosen = {} if pbx.extension is None else {"extension": pbx.extension}
    return AsteriskDialect(
        region=pbx.region or settings.phone_region,
        trunk=pbx.trunk,
        keep_native=settings.pbx_payload_days > 0,
        **chosen,
    )


def _link_factory(name: str, pbx: AmiPbx | EslPbx, settings: Settings) -> Callable[[], PbxLink]:
    address = PbxAddress(
        host=pbx.host,
        port=pbx.port,
        user=pbx.user,
        secret=pbx.secret.get_secret_value(),
        tls=ssl.create_default_context(cafile=pbx.ca_file) if pbx.tls else None,
    )
    if isinstance(pbx, EslPbx):
        chosen = {} if pbx.extension is None else {"extension": pbx.extension}
        normaliser = FreeswitchNormaliser(
            name,
            region=pbx.region or settings.phone_region,
            trunk=pbx.trunk,
            keep_native=settings.pbx_payload_days > 0,
            **chosen,
        )
        return lambda: EslLink(name, address, TIMING, normaliser)
    dialect = asterisk_dialect(settings, name)
    return lambda: AmiLink(name, address, TIMING, AsteriskNormaliser(name, dialect))
