"""`gateway replay`: a recorded PBX dialogue through the real pipeline, at any speed.

A gateway without sockets takes part for as long as it lasts: it normalises, stores, folds and
announces; the workers that hold the agents' sockets hear it over the bus.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from pydantic import SecretStr

from gateway.app import Gateway, open_gateway
from gateway.cli.state import require_running
from gateway.ops import logs
from gateway.settings import Settings
from gateway.telephony.pbx.connections import asterisk_dialect
from ingest import CallEvent, read_recording, shift

SLICE_S = 0.05  # events of one slice of playing time are submitted together
LINGER_S = 0.3  # the bus publishes in the background; wait for it before the process ends


def run(file: Path, *, speed: float, source: str, keep_times: bool, again: bool) -> None:
    """Replay the recording and print how many events were new."""
    settings = _settings()
    logs.configure(level="warning", json=False)
    if not file.is_file():
        typer.echo(f"There is no file {file}.", err=True)
        raise typer.Exit(2)
    try:
        accepted, duplicates = asyncio.run(
            _replay(settings, file, speed=speed, source=source, moved=not keep_times, again=again)
        )
    except (OSError, ValueError) as error:
        typer.echo(f"Cannot replay {file}: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{accepted} events accepted, {duplicates} duplicates.")
    if duplicates and not accepted:
        typer.echo("This recording was replayed before; use --again to create new calls.")


def _settings() -> Settings:
    """Return settings with the servers of the environment, else of the running `gateway dev`."""
    settings = Settings()
    found: dict[str, Any] = {}
    if not (settings.database_url and settings.redis_url):
        unset = "GATEWAY_DATABASE_URL and GATEWAY_REDIS_URL are"
        running = require_running(settings.state_dir, "servers", unset=unset)
        found = {"database_url": running["database_url"], "redis_url": running["redis_url"]}
    return settings.model_copy(
        update={
            **found,
            "node": f"replay-{secrets.token_hex(4)}",
            "token_secret": settings.token_secret or SecretStr("a replay checks no tokens" * 2),
            "database_pool": 4,
            "roles": ("ingest",),
        }
    )


async def _replay(
    settings: Settings, file: Path, *, speed: float, source: str, moved: bool, again: bool
) -> tuple[int, int]:
    dialect = asterisk_dialect(settings, source)
    events = await read_recording(file, source=source, dialect=dialect)
    if not events:
        raise ValueError("it holds no call events")
    if again:
        events = _with_new_ids(events)
    first = min(event.occurred_at for event in events)
    if moved:
        events = shift(events, datetime.now(UTC) - first)
        first = min(event.occurred_at for event in events)
    async with open_gateway(settings) as gateway:
        accepted = duplicates = 0
        began = time.monotonic()
        for at_s, together in _slices(events, first, speed):
            await asyncio.sleep(max(0.0, began + at_s - time.monotonic()))
            taken = await _submit(gateway, together)
            accepted += taken[0]
            duplicates += taken[1]
        await asyncio.sleep(LINGER_S)
    return accepted, duplicates


async def _submit(gateway: Gateway, events: list[CallEvent]) -> tuple[int, int]:
    most = gateway.pipeline.settings.max_submission_events
    accepted = duplicates = 0
    for start in range(0, len(events), most):
        receipt = await gateway.pipeline.submit(events[start : start + most])
        accepted += receipt.accepted
        duplicates += receipt.duplicates
    return accepted, duplicates


def _slices(
    events: list[CallEvent], first: datetime, speed: float
) -> Iterator[tuple[float, list[CallEvent]]]:
    """Divide the recording into slices, each with the time at which to play it."""
    together: list[CallEvent] = []
    current = 0
    for event in events:
        number = int((event.occurred_at - first).total_seconds() / speed / SLICE_S)
        if number > current:
            if together:
                yield current * SLICE_S, together
            together, current = [], number
        together.append(event)
    if together:
        yield current * SLICE_S, together


def _with_new_ids(events: list[CallEvent]) -> list[CallEvent]:
    """Replace the ids of events and all native ids in them, so that they make new calls."""
    run_id = secrets.token_hex(4)

    def named(key: str | None) -> str | None:
        return f"{key}~{run_id}" if key else None

    def renamed(event: CallEvent) -> CallEvent:
        attrs = {
            name: named(value) if name == "bridge" else value for name, value in event.attrs.items()
        }
        return replace(
            event,
            event_id=uuid.uuid5(event.event_id, run_id),
            call_key=named(event.call_key),
            leg_key=named(event.leg_key),
            peer_leg_key=named(event.peer_leg_key),
            attrs=attrs,
        )

    return [renamed(event) for event in events]
