"""Logs of every process: one line an event, as key=value, or as JSON for machines.

gateway.cli ─▶ configure. The gateway logs through structlog; ingest, presence, the migrations and
all libraries log through the standard library. Both end in one format on stderr.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson
import structlog

OURS = ("gateway", "ingest", "presence")
"""Packages that log at the level asked for. Libraries log warnings and errors only: at level info
they write several lines for each request and connection."""


class _NamedLogger(structlog.PrintLogger):
    """Prints lines, and knows for which module: structlog's own logger forgets it."""

    def __init__(self, name: str) -> None:
        super().__init__(sys.stderr)
        self.name = name


def configure(*, level: str, json: bool) -> None:
    """Send the logs of this process to stderr, in one format, from this level on."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if json
        else structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "event"], bool_as_flag=False
        )
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=_NamedLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(threshold, logging.WARNING))
    for package in OURS:
        logging.getLogger(package).setLevel(threshold)


def _dumps(value: Any, **_: Any) -> str:
    return orjson.dumps(value, default=str).decode()
